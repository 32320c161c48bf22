/** Evaluation: the test samples, or those that were held back, cut into fixed chunks, run across the workers. */
import { countOf } from '../protocol/counts.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { Range } from '../protocol/data/sharding.ts';
import { ReceiveInterrupted, receiveKind } from '../protocol/wire/transport.ts';
import type { Sums } from '../protocol/wire/messages.ts';
import type { Fleet } from './members/fleet.ts';
import type { Member } from './members/member.ts';
import { checkLength, enterPredictions } from './predictions.ts';
import type { Predictions } from './predictions.ts';
import { EVALUATION_BATCH } from './run-config.ts';
import type { RunConfig } from './run-config.ts';

export interface EvaluationFigures {
  /** Mean over the samples, in nats; null where there are none. */
  readonly loss: number | null;
  readonly accuracy: number | null;
  readonly evaluationSeconds: number;
}

export const NOT_EVALUATED: EvaluationFigures = { loss: null, accuracy: null, evaluationSeconds: 0 };

/** A member is late when its chunks take 4 times as long as the slowest that were answered, and 2 s at least. */
const LATE_FACTOR = 4;
const LATE_MS = 2000;

/**
 * Evaluates the members' replicas, which are equal. Chunks go to any member that is free, several at a time, fewer
 * towards the end: so unlike members finish at about the same time. Neither chunks nor the order in which their sums
 * are added depend on the members, so neither does the result. A member that fails is lost. A member that is late is
 * set aside. The chunks of either are given to the others.
 *
 * `predictions`, where somebody is told of them, are of all samples afterwards. They change no figure.
 */
export async function evaluateSamples(
  {
    fleet,
    numEvaluationSamples,
    config,
    predictions,
  }: {
    fleet: Fleet;
    numEvaluationSamples: number;
    config: Pick<RunConfig, 'stepTimeoutSeconds'>;
    predictions?: Predictions | undefined;
  },
  epoch: number,
): Promise<EvaluationFigures> {
  const startMs = performance.now();
  const numChunks = Math.ceil(numEvaluationSamples / EVALUATION_BATCH);
  const answers = Array.from<Sums | undefined>({ length: numChunks });
  const runs = createRuns(numChunks);
  const busy = new Map<Member, { run: Range; sinceMs: number; settled: Promise<void> }>();
  let longestMs = 0;

  const evaluateOn = async ({ transport }: Member, run: Range) => {
    const asked = predictions && ({ predictions: true } as const);
    transport.send({ kind: 'evaluate', epoch, firstChunk: run.first, numChunks: run.count, ...asked });
    // Each chunk has the deadline of a step.
    const timeoutMs = config.stepTimeoutSeconds * 1000 * run.count;
    const { epoch: ofEpoch, chunks, payload } = await receiveKind(transport, timeoutMs, 'evaluation');
    if (ofEpoch !== epoch || chunks.length !== run.count) {
      const message = `${countOf(chunks.length, 'chunk')} of epoch ${ofEpoch} evaluated, expected ${run.count} of epoch ${epoch}`;
      throw new ProtocolError('ERR_SHAPE_MISMATCH', message);
    }
    // Nothing of the payload is kept when the member is asked for more: that is an answer, after which it may change.
    if (predictions) enterPredictions(predictions, samplesOf(run, numEvaluationSamples), payload);
    else checkLength(payload, 0);
    chunks.forEach((sums, i) => (answers[run.first + i] = sums));
  };
  const begin = (member: Member, run: Range) => {
    const sinceMs = performance.now();
    const settled = evaluateOn(member, run)
      .then(() => void (longestMs = Math.max(longestMs, performance.now() - sinceMs)))
      .catch((error: unknown) => {
        runs.giveBack(run);
        if (!(error instanceof ReceiveInterrupted)) fleet.lose(member, undefined, error);
      })
      .finally(() => busy.delete(member));
    busy.set(member, { run, sinceMs, settled });
  };
  /**
   * Called only when other members have nothing to do. The time that a late member had is a lower bound of what its chunks
   * take. So the next member to be given them has more time, and slow members finish when no fast one is left.
   */
  const setLateAside = () => {
    const limitMs = lateAfter(longestMs);
    for (const [member, { sinceMs }] of busy) {
      const tookMs = performance.now() - sinceMs;
      if (tookMs < limitMs) continue;
      longestMs = Math.max(longestMs, tookMs);
      member.transport.interrupt();
      fleet.setAside(member, undefined);
    }
  };

  for (;;) {
    for (const member of [...fleet.members]) {
      if (!busy.has(member) && runs.numLeft() > 0) begin(member, runs.take(fleet.members.length));
    }
    if (busy.size === 0 && runs.numLeft() === 0) break;
    if (fleet.members.length === 0) {
      await fleet.whenAny();
      continue;
    }
    const settled = [...busy.values()].map((request) => request.settled);
    // The timer also runs while all are busy: members come back meanwhile, and are given work above.
    const isAnyLate = await isLongerThan(lateAfter(longestMs), settled);
    const isAnyIdle = runs.numLeft() === 0 && fleet.members.some((member) => !busy.has(member));
    if (isAnyLate && isAnyIdle) setLateAside();
  }
  const totals = { lossSum: 0, numCorrect: 0, numSamples: 0 };
  for (const sums of answers) {
    totals.lossSum += sums!.lossSum;
    totals.numCorrect += sums!.numCorrect;
    totals.numSamples += sums!.numSamples;
  }
  if (totals.numSamples !== numEvaluationSamples) {
    throw new ProtocolError(
      'ERR_SHAPE_MISMATCH',
      `${countOf(totals.numSamples, 'sample')} evaluated of ${numEvaluationSamples}`,
    );
  }
  const mean = (sum: number) => (numEvaluationSamples === 0 ? null : sum / numEvaluationSamples);
  return {
    loss: mean(totals.lossSum),
    accuracy: mean(totals.numCorrect),
    evaluationSeconds: (performance.now() - startMs) / 1000,
  };
}

/** The samples of a run of chunks. */
function samplesOf({ first, count }: Range, numEvaluationSamples: number): Range {
  const firstSample = first * EVALUATION_BATCH;
  const end = Math.min((first + count) * EVALUATION_BATCH, numEvaluationSamples);
  return { first: firstSample, count: end - firstSample };
}

const lateAfter = (longestMs: number): number => Math.max(LATE_MS, LATE_FACTOR * longestMs);

/** Whether `milliseconds` have passed before one of the promises settles. */
async function isLongerThan(milliseconds: number, promises: readonly Promise<void>[]): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const alarm = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(true), milliseconds)));
  try {
    return await Promise.race([alarm, ...promises.map((promise) => promise.then(() => false))]);
  } finally {
    clearTimeout(timer);
  }
}

/** Chunks that nobody has been asked for, as runs. */
function createRuns(numChunks: number) {
  const runs: Range[] = numChunks > 0 ? [{ first: 0, count: numChunks }] : [];
  const numLeft = () => runs.reduce((sum, { count }) => sum + count, 0);
  return {
    numLeft,
    /** The next ones: all for one member, else half of an equal part. */
    take(numMembers: number): Range {
      const wanted = numMembers === 1 ? numLeft() : Math.ceil(numLeft() / (2 * numMembers));
      const { first, count } = runs.shift()!;
      if (count > wanted) runs.unshift({ first: first + wanted, count: count - wanted });
      return { first, count: Math.min(count, wanted) };
    },
    giveBack: (run: Range) => void runs.push(run),
  };
}
