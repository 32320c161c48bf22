/** What to do about the error that ended a run, in words: by its code, and by what the worker said. */
import type { RunResult } from './reporter.ts';

/** Words of a worker, or of the system, when a microbatch is too large: for its memory, or for the time that it has. */
const TOO_LARGE =
  /out of memory|ENOMEM|bad_alloc|(alloc\w*|memory) fail|SIGKILL|SIGABRT|ERR_TIMEOUT|not answered|within [\d.]+ s|was lost/i;

/** For memory or time that did not suffice. */
const SMALLER_WORK = 'if its work takes too much memory or time, use more --microbatches, or a longer --step-timeout';

/** What may help a worker whose end was so described; undefined when nothing is known. */
export const adviceOn = (end: string): string | undefined => (TOO_LARGE.test(end) ? SMALLER_WORK : undefined);

/** As in docs/reference/errors.md. Absent: the message says it. */
const CURES: Readonly<Record<string, string>> = {
  ERR_STORAGE: 'make room',
  ERR_TIMEOUT: 'look at what holds the worker up, or set a longer --step-timeout',
  ERR_CLOSED: "look at the other end: the worker's own output says why it ended",
  ERR_ENGINE: 'another --engine on that machine',
  ERR_PEER_LOST: 'check that link or worker',
  ERR_SEND_QUEUE_FULL: 'a shorter --wire',
  ERR_INTERNAL: 'a fault of the program itself: report it with log.jsonl',
};

/** Undefined where there is nothing to add to the message. */
export function cureOf(error: NonNullable<RunResult['error']>, runDir: string | undefined): string | undefined {
  const { code, message, lastLines = [] } = error;
  const isSaid = message.includes(SMALLER_WORK);
  const advice = isSaid ? undefined : lastLines.map(adviceOn).find((line) => line !== undefined);
  const isTooFew = message.includes('joined within');
  const cure = isTooFew
    ? 'start workers sooner, or set --join-timeout'
    : (advice ?? (isSaid ? undefined : CURES[code]));
  const isOver = code === 'ERR_CONFIG' || code === 'ERR_NOT_FINITE' || isTooFew;
  const goOn = runDir === undefined || isOver ? undefined : `go on with --resume ${runDir}`;
  return [cure, goOn].filter((part) => part !== undefined).join(', then ') || undefined;
}
