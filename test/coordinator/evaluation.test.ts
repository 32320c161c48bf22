/** Evaluation in virtual time: who is late, and who only works. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { evaluateSamples } from '../../coordinator/evaluation.ts';
import { createFleet } from '../../coordinator/members/fleet.ts';
import { EVALUATION_BATCH } from '../../coordinator/run-config.ts';
import { planModel } from '../../protocol/state/model-spec.ts';
import { createReplica } from '../../protocol/state/replica.ts';
import { receiveKind } from '../../protocol/wire/transport.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { TINY_MODEL } from '../helpers/cluster.ts';
import { createTestMember } from '../helpers/members.ts';
import { PLAIN_SGD } from '../helpers/optimizers.ts';

const NUM_CHUNKS = 12;

const replica = createReplica(planModel(TINY_MODEL), PLAIN_SGD, 1);
const PROOF = {
  kind: 'applied',
  step: 0,
  parametersSha256: replica.parametersSha256(),
  applyMs: 0,
  hashMs: 0,
} as const;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Answers each request after `chunkMs` for each of its chunks; after `mostAnswers` answers it hangs. */
async function evaluateOn(worker: Transport, chunkMs: number, mostAnswers = Infinity): Promise<void> {
  for (let numAnswers = 0; ;) {
    const message = await receiveKind(worker, 1e9, 'evaluate', 'snapshot');
    if (message.kind === 'snapshot') {
      // Its proof makes it a member again.
      worker.send(PROOF);
      continue;
    }
    if (numAnswers++ >= mostAnswers) continue;
    const { epoch, numChunks } = message;
    await new Promise((resolve) => setTimeout(resolve, chunkMs * numChunks));
    const chunk = { lossSum: 2 * EVALUATION_BATCH, numCorrect: 1, numSamples: EVALUATION_BATCH };
    const chunks = Array.from({ length: numChunks }, () => chunk);
    worker.send({ kind: 'evaluation', epoch, chunks, computeMs: 0 });
  }
}

/** Evaluates on workers that take so long for a chunk; returns the mean loss and what was said. */
async function evaluateWith(chunkMs: readonly number[], mostAnswers: readonly number[] = []) {
  const said: string[] = [];
  const workers = chunkMs.map((_, index) => createTestMember(`worker-${index}`));
  workers.forEach(({ worker }, index) => {
    // Ends with its connection.
    evaluateOn(worker, chunkMs[index]!, mostAnswers[index]).catch(() => {});
  });
  const limits = { stepTimeoutMs: 120_000, waitMs: 0, maxMembers: 8 };
  const members = workers.map(({ member }) => member);
  const fleet = createFleet(members, { replica, ...limits, say: (line) => said.push(line) });
  const numEvaluationSamples = NUM_CHUNKS * EVALUATION_BATCH;
  const evaluated = evaluateSamples({ fleet, numEvaluationSamples, config: { stepTimeoutSeconds: 120 } }, 1);
  await vi.runAllTimersAsync();
  const { loss } = await evaluated;
  fleet.close();
  for (const { member } of workers) member.transport.close();
  return { loss, said };
}

describe('evaluation', () => {
  test('leaves the only worker to its work, however long a chunk takes', async () => {
    expect(await evaluateWith([30_000])).toEqual({ loss: 2, said: [] });
  });

  test('leaves busy workers to their work while nobody has nothing to do', async () => {
    expect(await evaluateWith([20_000, 20_000, 20_000])).toEqual({ loss: 2, said: [] });
  });

  test('is done by slow workers that were late, when the fast one that they were compared with hangs', async () => {
    const { loss, said } = await evaluateWith([1, 3000, 3000, 3000], [9]);
    expect(loss).toBe(2);
    const late = said.filter((line) => line.includes('is late')).map((line) => line.split(' ')[0]);
    expect(late).toEqual(['worker-1', 'worker-2', 'worker-3', 'worker-0']);
  });

  test('sets a worker aside for which an idle one could have done the work many times over', async () => {
    const { loss, said } = await evaluateWith([10, 60_000]);
    expect(loss).toBe(2);
    expect(said[0]).toMatch(/^worker-1 .* is late in evaluation/);
  });
});
