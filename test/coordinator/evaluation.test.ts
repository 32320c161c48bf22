/** Evaluation in virtual time: who is late, who only works, and what is known of each sample in the end. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { evaluateSamples } from '../../coordinator/evaluation.ts';
import { createFleet } from '../../coordinator/members/fleet.ts';
import { answerBytesOf, createPredictions } from '../../coordinator/predictions.ts';
import { EVALUATION_BATCH } from '../../coordinator/run-config.ts';
import { planModel } from '../../protocol/state/model-spec.ts';
import { createReplica } from '../../protocol/state/replica.ts';
import { receiveKind } from '../../protocol/wire/transport.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { TINY_MODEL } from '../helpers/cluster.ts';
import { createTestMember } from '../helpers/members.ts';
import { PLAIN_SGD } from '../helpers/optimizers.ts';

const NUM_CHUNKS = 12;
const NUM_SAMPLES = NUM_CHUNKS * EVALUATION_BATCH;

const predictedAs = (sample: number) => (7 * sample) % 10;
const lossOf = (sample: number) => (sample % 11 === 0 ? NaN : sample / 8);

/** What every worker answers of those chunks. */
function answerOf(firstChunk: number, numChunks: number): Float32Array<ArrayBuffer> {
  const samples = Array.from({ length: numChunks * EVALUATION_BATCH }, (_, i) => firstChunk * EVALUATION_BATCH + i);
  return Float32Array.from([...samples.map(predictedAs), ...samples.map(lossOf)]);
}

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
    const { epoch, firstChunk, numChunks, predictions } = message;
    await new Promise((resolve) => setTimeout(resolve, chunkMs * numChunks));
    const chunk = { lossSum: 2 * EVALUATION_BATCH, numCorrect: 1, numSamples: EVALUATION_BATCH };
    const chunks = Array.from({ length: numChunks }, () => chunk);
    const payload = predictions ? answerOf(firstChunk, numChunks) : new Float32Array(0);
    worker.send({ kind: 'evaluation', epoch, chunks, computeMs: 0, payload });
  }
}

/**
 * Evaluates, with predictions, on workers that take so long for a chunk; returns the mean loss and what was said. Expects to
 * know of each sample what every worker says of it.
 */
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
  const predictions = createPredictions(NUM_SAMPLES, 10)!;
  const parts = { fleet, numEvaluationSamples: NUM_SAMPLES, config: { stepTimeoutSeconds: 120 } };
  const evaluated = evaluateSamples({ ...parts, predictions }, 1);
  await vi.runAllTimersAsync();
  const { loss } = await evaluated;
  expect(predictions.predicted).toEqual(Uint8Array.from({ length: NUM_SAMPLES }, (_, sample) => predictedAs(sample)));
  expect(predictions.losses).toEqual(Float32Array.from({ length: NUM_SAMPLES }, (_, sample) => lossOf(sample)));
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

test.each([
  [200_000, 256, true],
  [200_001, 10, false],
  [10, 257, false],
  [0, 10, false],
])('of %i samples in %i classes predictions are asked for: %s', (numSamples, numClasses, areAskedFor) => {
  const predictions = createPredictions(numSamples, numClasses);
  expect(predictions !== undefined).toBe(areAskedFor);
  expect(answerBytesOf(predictions)).toBe(areAskedFor ? 8 * numSamples : 0);
});
