/** Evaluation: the test set, cut into fixed chunks, run across the workers. */
import { ProtocolError } from '../protocol/errors.ts';
import { part } from '../protocol/state/sharding.ts';
import type { Range } from '../protocol/state/sharding.ts';
import { receiveKind } from '../protocol/wire/transport.ts';
import type { Sums } from '../protocol/wire/messages.ts';
import type { Fleet } from './fleet.ts';
import type { Member } from './membership.ts';
import { EVALUATION_BATCH } from './run-config.ts';
import type { RunConfig } from './run-config.ts';

export interface TestFigures {
  /** Mean over the test samples, in nats; null where there are none. */
  readonly testLoss: number | null;
  readonly testAccuracy: number | null;
  readonly evaluationSeconds: number;
}

export const NOT_EVALUATED: TestFigures = { testLoss: null, testAccuracy: null, evaluationSeconds: 0 };

/**
 * Evaluates the members' replicas, which are equal, on the test set: each runs some of the chunks. Chunks and the order
 * in which their sums are added do not depend on the number of members, so neither does the result. A member that fails is
 * lost, and its chunks are given to the others.
 */
export async function evaluateTestSet(
  {
    fleet,
    numTestSamples,
    config,
  }: { fleet: Fleet; numTestSamples: number; config: Pick<RunConfig, 'stepTimeoutSeconds'> },
  epoch: number,
): Promise<TestFigures> {
  const startMs = performance.now();
  const numChunks = Math.ceil(numTestSamples / EVALUATION_BATCH);
  // Each chunk has the deadline of a step.
  const timeoutMs = config.stepTimeoutSeconds * 1000 * Math.max(1, numChunks);
  const answers: (Sums | undefined)[] = Array.from({ length: numChunks }, () => undefined);
  const evaluateOn = async (member: Member, chunks: readonly number[]) => {
    for (const share of runsOf(chunks)) {
      member.transport.send({ kind: 'evaluate', epoch, firstChunk: share.first, numChunks: share.count });
      const answer = await receiveKind(member.transport, timeoutMs, 'evaluation');
      if (answer.epoch !== epoch || answer.chunks.length !== share.count) {
        throw new ProtocolError(
          'ERR_SHAPE_MISMATCH',
          `${answer.chunks.length} chunks evaluated, expected ${share.count}`,
        );
      }
      answer.chunks.forEach((sums, i) => (answers[share.first + i] = sums));
    }
  };
  for (;;) {
    // All of them, then what was left by members that were lost.
    const missing = [...answers.keys()].filter((chunk) => !answers[chunk]);
    if (missing.length === 0) break;
    while (fleet.members.length === 0) await fleet.whenAny();
    const members = [...fleet.members];
    await Promise.all(
      members.map((member, index) => {
        const { first, count } = part({ first: 0, count: missing.length }, members.length, index);
        return evaluateOn(member, missing.slice(first, first + count)).catch((error: unknown) => {
          fleet.lose(member, undefined, error);
        });
      }),
    );
  }
  const totals = { lossSum: 0, numCorrect: 0, numSamples: 0 };
  for (const sums of answers) {
    totals.lossSum += sums!.lossSum;
    totals.numCorrect += sums!.numCorrect;
    totals.numSamples += sums!.numSamples;
  }
  if (totals.numSamples !== numTestSamples) {
    throw new ProtocolError('ERR_SHAPE_MISMATCH', `${totals.numSamples} test samples evaluated of ${numTestSamples}`);
  }
  const mean = (sum: number) => (numTestSamples === 0 ? null : sum / numTestSamples);
  return {
    testLoss: mean(totals.lossSum),
    testAccuracy: mean(totals.numCorrect),
    evaluationSeconds: (performance.now() - startMs) / 1000,
  };
}

/** Numbers in rising order as runs without gaps. */
function runsOf(numbers: readonly number[]): Range[] {
  const runs: { first: number; count: number }[] = [];
  for (const number of numbers) {
    const run = runs.at(-1);
    if (run && run.first + run.count === number) run.count++;
    else runs.push({ first: number, count: 1 });
  }
  return runs;
}
