/** Evaluation: the test set, cut into fixed chunks, run across the workers. */
import { ProtocolError } from '../protocol/errors.ts';
import { part } from '../protocol/state/sharding.ts';
import { receiveKind } from '../protocol/wire/transport.ts';
import { blame } from './blame.ts';
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
 * in which their sums are added do not depend on the number of members, so neither does the result.
 */
export async function evaluateTestSet(
  {
    members,
    numTestSamples,
    config,
  }: { members: readonly Member[]; numTestSamples: number; config: Pick<RunConfig, 'stepTimeoutSeconds'> },
  epoch: number,
): Promise<TestFigures> {
  const startMs = performance.now();
  const chunks = { first: 0, count: Math.ceil(numTestSamples / EVALUATION_BATCH) };
  // Each chunk has the deadline of a step.
  const timeoutMs = config.stepTimeoutSeconds * 1000 * Math.max(1, chunks.count);
  const answers = await Promise.all(
    members.map((member, index) =>
      blame(member, undefined, async () => {
        const share = part(chunks, members.length, index);
        if (share.count === 0) return [];
        member.transport.send({ kind: 'evaluate', epoch, firstChunk: share.first, numChunks: share.count });
        const answer = await receiveKind(member.transport, timeoutMs, 'evaluation');
        if (answer.epoch !== epoch || answer.chunks.length !== share.count) {
          throw new ProtocolError(
            'ERR_SHAPE_MISMATCH',
            `${answer.chunks.length} chunks evaluated, expected ${share.count}`,
          );
        }
        return answer.chunks;
      }),
    ),
  );
  const totals = { lossSum: 0, numCorrect: 0, numSamples: 0 };
  for (const sums of answers.flat()) {
    totals.lossSum += sums.lossSum;
    totals.numCorrect += sums.numCorrect;
    totals.numSamples += sums.numSamples;
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
