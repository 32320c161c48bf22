import { beforeEach, describe, expect, test } from 'vitest';
import { planModel } from '../../protocol/state/model-spec.ts';
import { createReplica } from '../../protocol/state/replica.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import { bytesOfLabels } from '../../protocol/data/labels.ts';
import type { Labels } from '../../protocol/data/labels.ts';
import type { MessageOf } from '../../protocol/wire/messages.ts';
import type { Engine } from '../../worker/engines/engine.ts';
import { createReferenceEngine } from '../../worker/engines/reference/reference-engine.ts';
import { createEvaluator } from '../../worker/evaluation.ts';
import type { EvaluationParts } from '../../worker/evaluation.ts';
import { madeUpDataset, TINY_MODEL } from '../helpers/cluster.ts';
import { PLAIN_SGD } from '../helpers/optimizers.ts';

const plan = planModel(TINY_MODEL);
const averaging = { ...PLAIN_SGD, momentum: 0.9, emaDecay: 0.9, emaEvery: 1 };
const dataset = madeUpDataset(10, 70);
const welcome = { evaluationBatch: 32 };
const all: MessageOf<'evaluate'> = { kind: 'evaluate', epoch: 1, firstChunk: 0, numChunks: 3 };

const evaluateChunks = (parts: EvaluationParts, request: MessageOf<'evaluate'>) => createEvaluator(parts)(request);

/** As after some training: weights and averages apart. */
function trained(optimizer: typeof PLAIN_SGD): Replica {
  const replica = createReplica(plan, optimizer, 1);
  for (let step = 1; step <= 3; step++) {
    const average = Float32Array.from({ length: plan.numParameters + plan.numBuffers }, (_, i) => Math.sin(i) ** 2);
    replica.applyUpdate(average, { learningRate: 0.3, stepSize: 0.3, secondMomentScale: 1 }, step);
  }
  return replica;
}

/** An engine on `workspace` that tells, for each call, what it saw and which samples. */
async function watchedEngine({ parameters, buffers }: Replica, failAt = Infinity) {
  const engine = await createReferenceEngine({ plan, parameters, buffers, maxBatch: 32, threads: 1 });
  const seen: { parameters: Float32Array; buffers: Float32Array; labels: Labels }[] = [];
  const watched: Engine = {
    ...engine,
    evaluate(batch, outputs) {
      const [ofParameters, ofBuffers] = [Float32Array.from(parameters), Float32Array.from(buffers)];
      seen.push({ parameters: ofParameters, buffers: ofBuffers, labels: batch.labels.slice() });
      if (seen.length > failAt) return Promise.reject(new Error('the device is lost'));
      return engine.evaluate(batch, outputs);
    },
  };
  return { engine: watched, seen };
}

describe.each(['the replica itself', 'a workspace of its own'])('on %s, with averages,', (where) => {
  let replica: Replica;
  let workspace: Replica;
  beforeEach(() => {
    replica = trained(averaging);
    workspace = where === 'the replica itself' ? replica : createReplica(plan, averaging, 5);
  });

  test('the engine sees the averages in every chunk, and the state that is trained is as before afterwards', async () => {
    const before = replica.state.slice();
    const { engine, seen } = await watchedEngine(workspace);
    await evaluateChunks({ welcome, dataset, engine, replica, workspace }, all);
    expect(seen.map(({ labels }) => labels.length)).toEqual([32, 32, 6]);
    expect(Buffer.concat(seen.map(({ labels }) => bytesOfLabels(labels)))).toEqual(
      Buffer.from(dataset.evaluation.labels),
    );
    for (const { parameters, buffers } of seen) {
      expect(parameters).toEqual(replica.averages!.parameters);
      expect(buffers).toEqual(replica.averages!.buffers);
      expect(parameters).not.toEqual(before.slice(0, plan.numParameters));
    }
    expect(replica.state).toEqual(before);
    expect(replica.step).toBe(3);
  });

  test('it is also when the engine fails in the middle', async () => {
    const before = replica.state.slice();
    const { engine, seen } = await watchedEngine(workspace, 1);
    const evaluation = evaluateChunks({ welcome, dataset, engine, replica, workspace }, all);
    await expect(evaluation).rejects.toThrow('the device is lost');
    expect(seen.length).toBe(2);
    expect(replica.state).toEqual(before);
  });

  test('the sums are those of a model that has the averages as its weights', async () => {
    const { engine } = await watchedEngine(workspace);
    const { chunks, payload } = await evaluateChunks(
      { welcome, dataset, engine, replica, workspace },
      { ...all, firstChunk: 2, numChunks: 1 },
    );
    const plain = await createReferenceEngine({ plan, ...replica.averages!, maxBatch: 32, threads: 1 });
    const { images, labels } = dataset.evaluation;
    const last = { images: images.slice(64 * 784), labels: labels.slice(64), numSamples: 6 };
    expect(chunks).toEqual([await plain.evaluate(last)]);
    expect(payload, 'none is asked for').toHaveLength(0);
  });
});

describe('without averages', () => {
  test('the engine sees the weights as they are, and nothing is copied', async () => {
    const replica = trained({ ...PLAIN_SGD });
    const before = replica.state.slice();
    const { engine, seen } = await watchedEngine(replica);
    // A write to a view of the state would go unseen where it writes what is there already.
    const guard = (name: string) => () => {
      throw new Error(`${name} are copied`);
    };
    for (const name of ['parameters', 'buffers'] as const) {
      Object.assign(replica[name], { set: guard(name), slice: guard(name) });
    }
    await evaluateChunks({ welcome, dataset, engine, replica, workspace: replica }, all);
    for (const { parameters, buffers } of seen) {
      expect(parameters).toEqual(before.slice(0, plan.numParameters));
      expect(buffers).toEqual(before.slice(plan.numParameters, plan.numParameters + plan.numBuffers));
    }
    expect(replica.state).toEqual(before);
  });

  test('a workspace is brought to where the replica stands', async () => {
    const replica = trained({ ...PLAIN_SGD });
    const workspace = createReplica(plan, PLAIN_SGD, 5);
    const { engine, seen } = await watchedEngine(workspace);
    await evaluateChunks({ welcome, dataset, engine, replica, workspace }, all);
    expect(seen[0]!.parameters).toEqual(Float32Array.from(replica.parameters));
    expect(workspace.state).toEqual(replica.state);
  });
});

test('chunks that there are not are refused, before anything is touched', async () => {
  const replica = trained(averaging);
  const { engine, seen } = await watchedEngine(replica);
  const before = replica.state.slice();
  for (const [firstChunk, numChunks] of [
    [3, 1],
    [0, 4],
    [2, 2],
  ] as const) {
    const asked = { ...all, firstChunk, numChunks };
    await expect(
      evaluateChunks({ welcome, dataset, engine, replica, workspace: replica }, asked),
    ).rejects.toMatchObject({
      code: 'ERR_SHAPE_MISMATCH',
      message: 'chunks beyond the 3 of the evaluation',
    });
  }
  expect(seen).toEqual([]);
  expect(replica.state).toEqual(before);
});

describe('predictions', () => {
  /** Of all samples: what a plain look at the last layer's outputs says. */
  async function plainPredictions(replica: Replica) {
    const engine = await createReferenceEngine({ ...replica, maxBatch: 70, threads: 1 });
    const { evaluation } = dataset;
    const outputs = new Float32Array(70 * 10);
    await engine.evaluate(evaluation, outputs);
    return Array.from({ length: 70 }, (_, sample) => {
      const ofSample = [...outputs.subarray(10 * sample, 10 * sample + 10)];
      const probability = Math.exp(ofSample[evaluation.labels[sample]!]!) / sum(ofSample.map(Math.exp));
      return { predicted: ofSample.indexOf(Math.max(...ofSample)), loss: -Math.log(probability) };
    });
  }
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

  test('say of each sample of the chunks its largest output and its loss, and change no sum', async () => {
    const replica = trained(PLAIN_SGD);
    const { engine } = await watchedEngine(replica);
    const evaluate = createEvaluator({ welcome, dataset, engine, replica, workspace: replica });
    const expected = await plainPredictions(replica);
    const ranges = [
      [0, 3],
      [1, 1],
      [2, 1],
      [0, 2],
    ] as const;
    for (const [firstChunk, numChunks] of ranges) {
      const request = { ...all, firstChunk, numChunks };
      const without = await evaluate(request);
      const { chunks, payload } = await evaluate({ ...request, predictions: true });
      expect(chunks).toEqual(without.chunks);
      const samples = expected.slice(32 * firstChunk, 32 * (firstChunk + numChunks));
      expect([...payload.subarray(0, samples.length)]).toEqual(samples.map(({ predicted }) => predicted));
      const losses = payload.subarray(samples.length);
      expect(losses).toHaveLength(samples.length);
      losses.forEach((loss, i) => expect(loss).toBeCloseTo(samples[i]!.loss, 5));
      expect(sum([...losses])).toBeCloseTo(sum(chunks.map(({ lossSum }) => lossSum)), 3);
    }
  });

  test('lie in the same memory each time', async () => {
    const replica = trained(PLAIN_SGD);
    const { engine } = await watchedEngine(replica);
    const evaluate = createEvaluator({ welcome, dataset, engine, replica, workspace: replica });
    const request = { ...all, predictions: true } as const;
    const { buffer } = (await evaluate(request)).payload;
    expect((await evaluate(request)).payload.buffer).toBe(buffer);
  });
});
