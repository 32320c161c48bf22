/**
 * First failure: of a run that fails, which failure came first. Workers that leave because one has broken a ring, or because
 * the run ends, fail after it and must not be taken for the cause.
 *
 * A run gets over a failure by completing a step: then it is forgotten. What is remembered at the end has happened since the
 * last step, and its first is the cause: a worker that only reports that its link to another broke comes after all others.
 */
import { ProtocolError } from '../../protocol/errors.ts';
import type { WorkerEvent } from './reported-event.ts';
import type { Reporter, RunResult } from './reporter.ts';

type RunError = NonNullable<RunResult['error']>;

/** Codes of errors that a lost worker can be the cause of; others, such as a full disk, are causes of their own. */
const FOLLOWING = new Set([
  'ERR_PEER_LOST',
  'ERR_CLOSED',
  'ERR_TIMEOUT',
  'ERR_LEFT',
  'ERR_STATE_MISMATCH',
  'ERR_REPLACED',
]);

export interface FirstFailure extends Reporter {
  /**
   * The error to tell of a run that ends with `error`, whose record is `last`: the first failure's, with what is known
   * of its worker.
   */
  of(error: unknown, last: RunError): RunError;
}

/** `lastLinesOf`: what a worker of this name said last, where that is known. */
export function createFirstFailure(lastLinesOf: (worker: string) => readonly string[] = () => []): FirstFailure {
  /** Since the last step, the first first. */
  let losses: WorkerEvent[] = [];
  /** Addresses of workers that were lost at any time, by name. */
  const hosts = new Map<string, string>();
  const getOver = () => {
    if (losses.length > 0) losses = [];
  };
  const told = (record: RunError): RunError => {
    const { worker } = record;
    if (worker === undefined) return record;
    const [host, lastLines] = [hosts.get(worker), lastLinesOf(worker)];
    return { ...record, ...(host !== undefined && { host }), ...(lastLines.length > 0 && { lastLines }) };
  };
  return {
    onProgress: getOver,
    onEpoch: getOver,
    onEvent(event) {
      if (event.kind !== 'worker' || event.change !== 'lost') return;
      losses.push(event);
      hosts.set(event.name, event.host);
    },
    of(error, last) {
      // A worker that reports a broken link is not the one that broke it.
      const first = losses.find(({ code }) => code !== 'ERR_PEER_LOST') ?? losses[0];
      const follows = error instanceof ProtocolError && FOLLOWING.has(error.code);
      // An error that names the same worker knows more: how its process ended.
      if (!first || !follows || first.name === last.worker) return told(last);
      const { code = last.code, reason = last.message, name, step } = first;
      return told({ code, message: reason, worker: name, ...(step !== undefined && { step }) });
    },
  };
}
