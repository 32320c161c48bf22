/** Training written out in straight code, for tests to compare the cluster with: no workers, no wire, no ledger. */
import type { RunConfig } from '../../coordinator/run-config.ts';
import { IMAGE_BYTES } from './fashion-mnist.ts';
import type { Dataset, SampleSet } from '../../protocol/data/dataset.ts';
import { planModel } from '../../protocol/state/model-spec.ts';
import { createOptimizer, updateRates } from '../../protocol/vectors/optimizer.ts';
import { epochOrder } from '../../protocol/data/random.ts';
import { createReplica } from '../../protocol/state/replica.ts';
import { learningRateAt } from '../../protocol/state/schedule.ts';
import { createReferenceEngine } from '../../worker/engines/reference/reference-engine.ts';

const f = Math.fround;

/** A model's state [parameters | buffers | optimizer state] with an engine that reads it and a step that changes it. */
export async function createPlainState(config: RunConfig, dataset: Dataset<SampleSet>) {
  const plan = planModel(config.model);
  const { numParameters, numBuffers } = plan;
  const { state } = createReplica(plan, config.optimizer, config.seed);
  const parameters = state.subarray(0, numParameters);
  const buffers = state.subarray(numParameters, numParameters + numBuffers);
  const optimizer = createOptimizer(config.optimizer);
  const moments = Array.from({ length: optimizer.numStateVectors }, (_, i) => {
    const first = numParameters * (1 + i) + numBuffers;
    return state.subarray(first, first + numParameters);
  });
  const engine = await createReferenceEngine({ plan, parameters, buffers, maxBatch: 1000, threads: 1 });
  const totalSteps = config.epochs * Math.ceil(dataset.train.numSamples / (config.globalBatch * config.accumulate));

  return {
    plan,
    state,
    engine,
    /** Sum of the gradients, and mean statistics, of the training samples at these indices. */
    async gradientOf(indices: Uint32Array) {
      const images = new Uint8Array(indices.length * IMAGE_BYTES);
      indices.forEach((from, i) => {
        images.set(dataset.train.images.subarray(from * IMAGE_BYTES, (from + 1) * IMAGE_BYTES), i * IMAGE_BYTES);
      });
      const labels = Uint8Array.from(indices, (from) => dataset.train.labels[from]!);
      const gradient = new Float32Array(numParameters);
      const statistics = new Float32Array(numBuffers);
      const batch = { images, labels, numSamples: indices.length };
      const { lossSum } = await engine.computeGradient(batch, { gradient, statistics });
      return { gradient, statistics, lossSum, numSamples: indices.length };
    },
    /** Step number `step` of the run, with a mean gradient and mean statistics. */
    update(gradient: Float32Array, statistics: Float32Array, step: number, epoch: number) {
      const learningRate = learningRateAt(config.schedule, { step, epoch, totalSteps });
      optimizer.apply(parameters, gradient, moments, updateRates(config.optimizer, learningRate, step));
      for (let i = 0; i < numBuffers; i++) buffers[i] = f(f(f(0.9) * buffers[i]!) + f(f(1 - 0.9) * statistics[i]!));
    },
  };
}

/** The global batches of an epoch, each cut into its microbatches: indices of training samples. */
export function plainEpoch(config: RunConfig, dataset: Dataset<SampleSet>, epoch: number): Uint32Array[][] {
  const order = epochOrder(config.seed, epoch, dataset.train.numSamples);
  const batches = [];
  for (let first = 0; first < order.length; first += config.globalBatch) {
    const batch = order.subarray(first, first + config.globalBatch);
    const numParts = Math.min(config.microbatches, batch.length);
    const cut = (i: number) => Math.floor((i * batch.length) / numParts);
    batches.push(Array.from({ length: numParts }, (_, i) => batch.subarray(cut(i), cut(i + 1))));
  }
  return batches;
}

/** Sum of vectors in pairs, and of the pairs in pairs: for up to four vectors, the order of the reduction tree. */
export function plainSum(vectors: readonly Float32Array[]): Float32Array {
  if (vectors.length === 1) return vectors[0]!;
  const pairs = [];
  for (let i = 0; i < vectors.length; i += 2) {
    const [left, right] = [vectors[i]!, vectors[i + 1]];
    pairs.push(right ? left.map((value, j) => f(value + right[j]!)) : left);
  }
  return plainSum(pairs);
}
