/**
 * The probe: before an engine is used, its results for one small batch are held against the plain reference. A device
 * that computes wrongly (a software GPU was seen to) is refused, not trusted. It measures correctness, not speed.
 */
import { ConfigError } from '../../protocol/errors.ts';
import type { ModelPlan, TensorSlot } from '../../protocol/state/model-spec.ts';
import { createLabels } from '../../protocol/data/labels.ts';
import { uniformFloats } from '../../protocol/data/random.ts';
import type { Engine, EngineOptions, GradientBuffers, Microbatch } from './engine.ts';
import { createReferenceEngine } from './reference/reference-engine.ts';
import { createThreadedEngine } from './thread/threaded-engine.ts';

/** Few enough to take about a tenth of a second on `conv`; enough to give every batch norm a variance. */
const PROBE_SAMPLES = 8;
/**
 * Largest error let through, as {@link worstError} measures it. Float32 rounding gives about 1e-5 on the models named
 * here, 6e-4 at worst where a batch norm divides by a tiny variance; wrong kernels were seen to give 6e-2.
 */
const PROBE_LIMIT = 1e-3;
/**
 * An engine is refused when it is wrong on all of this many batches. An activation within rounding of a ReLU's or a
 * pool's edge falls to either side, rightly, and that moves a gradient of 8 samples by up to 1e-2: seen in 1 of 150
 * batches of `conv`, so in 1 of 3 million triples. Wrong kernels are wrong on every batch.
 */
const PROBE_BATCHES = 3;
/**
 * Multiplications of one sample's forward pass up to which the reference computes on the event loop's thread: it takes
 * three times as many for a gradient, at some 5 ns each, so a batch takes at most about a quarter of a second. Starting a thread
 * takes a fifth of that. The named models have at most 1.5 million.
 */
const MOST_ON_EVENT_LOOP = 2e6;

/** A tensor, and how far it is from what it should be. */
export interface TensorError {
  /** The slot's name, `lossSum`, or `evaluation lossSum`. */
  readonly tensor: string;
  /** See {@link worstError}. */
  readonly error: number;
}

/**
 * Compares `engine`, made for `options`, with the reference on at most 8 seeded samples: gradient, batch statistics, the
 * loss in training and in evaluation. Reads the parameters and running statistics, changes nothing. Returns the worst
 * tensor.
 *
 * Throws `ConfigError` naming engine, device, tensor, error and limit when the engine is wrong.
 */
export async function probeEngine(engine: Engine, options: EngineOptions): Promise<TensorError> {
  const { plan } = options;
  const reference = await createJudge(options);
  let worst: TensorError | undefined;
  try {
    for (let seed = 1; seed <= PROBE_BATCHES; seed++) {
      const batch = probeBatch(options, seed);
      worst = compareResults(
        options,
        await resultsOf(reference, batch, options),
        await resultsOf(engine, batch, options),
      );
      if (worst.error <= PROBE_LIMIT) return worst;
    }
  } finally {
    await reference.dispose();
  }
  const { tensor, error } = worst!;
  throw new ConfigError(
    `--engine ${engine.name} on ${engine.device} computes wrongly: ${tensor} of model ${plan.spec.name} is off ` +
      `by ${error.toExponential(1)} of its largest entry, limit ${PROBE_LIMIT}; choose another --engine or --device`,
  );
}

/** The reference engine, off the event loop where a model would take it long. */
function createJudge({ plan, parameters, buffers, maxBatch, labelSmoothing }: EngineOptions): Promise<Engine> {
  const judged = { plan, parameters, buffers, maxBatch: Math.min(PROBE_SAMPLES, maxBatch), threads: 1, labelSmoothing };
  const isLong = multiplicationsOf(plan) > MOST_ON_EVENT_LOOP;
  return isLong ? createThreadedEngine('reference', judged) : createReferenceEngine(judged);
}

/** Multiplications of one sample's forward pass. */
export function multiplicationsOf({ layers }: Pick<ModelPlan, 'layers'>): number {
  return layers.reduce((sum, layer) => {
    if (layer.kind === 'conv') return sum + layer.weight.size * layer.outputShape[1]! * layer.outputShape[2]!;
    return layer.kind === 'dense' ? sum + layer.weight.size : sum;
  }, 0);
}

/**
 * The worst error of the tensors of a flat vector: the largest difference within a tensor, as a fraction of the
 * tensor's largest expected entry. What is not a number is infinitely wrong.
 *
 * A tensor that is small or zero by cancellation (the bias before a batch norm) has rounding errors on the scale of
 * what cancelled: no tensor is held to less than 1/100 of the vector's largest entry.
 */
export function worstError(slots: readonly TensorSlot[], actual: Float32Array, expected: Float32Array): TensorError {
  const smallestScale = largest(expected) / 100;
  let worst: TensorError = { tensor: 'none', error: 0 };
  for (const { name, offset, size } of slots) {
    const scale = Math.max(largest(expected.subarray(offset, offset + size)), smallestScale);
    let difference = 0;
    for (let i = offset; i < offset + size; i++) {
      const distance = Math.abs(actual[i]! - expected[i]!);
      if (!(distance <= difference)) difference = Number.isNaN(distance) ? Infinity : distance;
    }
    const error = difference === 0 ? 0 : difference / scale;
    if (error > worst.error) worst = { tensor: name, error };
  }
  return worst;
}

interface Results extends GradientBuffers {
  readonly trainingLoss: number;
  readonly evaluationLoss: number;
}

async function resultsOf(engine: Engine, batch: Microbatch, { plan }: EngineOptions): Promise<Results> {
  const into = { gradient: new Float32Array(plan.numParameters), statistics: new Float32Array(plan.numBuffers) };
  const training = await engine.computeGradient(batch, into);
  const evaluation = await engine.evaluate(batch);
  return { ...into, trainingLoss: training.lossSum, evaluationLoss: evaluation.lossSum };
}

function compareResults({ plan }: EngineOptions, expected: Results, actual: Results): TensorError {
  const scalar = (tensor: string, value: number, should: number): TensorError => {
    const slot = { name: tensor, shape: [], offset: 0, size: 1 };
    return worstError([slot], Float32Array.of(value), Float32Array.of(should));
  };
  const errors = [
    scalar('lossSum', actual.trainingLoss, expected.trainingLoss),
    scalar('evaluation lossSum', actual.evaluationLoss, expected.evaluationLoss),
    worstError(plan.buffers, actual.statistics, expected.statistics),
    worstError(plan.parameters, actual.gradient, expected.gradient),
  ];
  return errors.reduce((worst, error) => (error.error > worst.error ? error : worst));
}

/** Noise images; labels in turn, of many classes those that lie apart. */
function probeBatch({ plan, maxBatch }: EngineOptions, seed: number): Microbatch {
  const numSamples = Math.min(PROBE_SAMPLES, maxBatch);
  const random = uniformFloats(seed);
  const images = new Uint8Array(numSamples * plan.inputSize).map(() => random() * 256);
  const { numClasses } = plan.spec;
  const step = Math.max(1, Math.floor(numClasses / numSamples));
  const labels = createLabels(numSamples, numClasses).map((_, sample) => (sample * step) % numClasses);
  return { images, labels, numSamples, dropoutKeys: Uint32Array.from(labels, () => random() * 2 ** 32) };
}

function largest(values: Float32Array): number {
  let top = 0;
  for (let i = 0; i < values.length; i++) top = Math.max(top, Math.abs(values[i]!));
  return top;
}
