/**
 * One whole training step of a single node, as a run takes it: the worker's own code gathers the batch and computes the
 * gradient, the sum is divided by the samples, and the replica applies optimizer and running statistics. What a run adds
 * to this is messages and records.
 */
import { internalError } from '../../protocol/errors.ts';
import type { Dataset, SampleSet } from '../../protocol/data/dataset.ts';
import { planModel } from '../../protocol/state/model-spec.ts';
import type { ModelSpec } from '../../protocol/state/model-spec.ts';
import { updateRates } from '../../protocol/vectors/optimizer.ts';
import { createReplica } from '../../protocol/state/replica.ts';
import type { MessageOf } from '../../protocol/wire/messages.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { createVectorCodec } from '../../protocol/vectors/vector-codec.ts';
import { createEngine } from '../../worker/engines/choose-engine.ts';
import type { ChosenEngine } from '../../worker/engines/choose-engine.ts';
import { createGradientContribution } from '../../worker/step/contribution.ts';
import { createGradientTask } from '../../worker/step/gradient-task.ts';
import { fastestVectorMath } from '../../worker/machine/vector-math.ts';
import { estimateStepMs } from './step-estimate.ts';
import { BENCH_OPTIMIZER, BENCH_SEED } from './settings.ts';

export interface TrainingStepOptions {
  readonly model: ModelSpec;
  readonly engine: string;
  readonly device?: string | undefined;
  readonly dataset: Dataset<SampleSet>;
  readonly globalBatch: number;
  readonly learningRate: number;
}

export interface TrainingStep {
  /** "native on cpu (avx512)" */
  readonly description: string;
  /** What computes; the caller disposes of it. */
  readonly chosen: ChosenEngine;
  /** Takes the next step; resolves with the mean loss of its batch. */
  next(): Promise<number>;
  /** About the milliseconds that a step takes, found without taking one: from the gradient of a few samples, warm. */
  estimateMs(): Promise<number>;
}

/** Steps follow each other through epochs of shuffled whole batches. The engine has passed the probe. */
export async function createTrainingStep(options: TrainingStepOptions): Promise<TrainingStep> {
  const { model, dataset, globalBatch, learningRate, device } = options;
  const plan = planModel(model);
  const vectorMath = fastestVectorMath();
  const replica = createReplica(plan, BENCH_OPTIMIZER, BENCH_SEED, vectorMath);
  const { parameters, buffers } = replica;
  const engineOptions = { plan, parameters, buffers, maxBatch: globalBatch, threads: 1, device };
  const chosen = await createEngine(options.engine, engineOptions);
  const { engine } = chosen;

  const numTrainSamples = dataset.train.numSamples;
  const stepsPerEpoch = Math.floor(numTrainSamples / globalBatch);
  const catcher = createCatcher();
  const welcome = { model, seed: BENCH_SEED, globalBatch, numMicrobatches: 1, numTrainSamples, wire: 'f32' } as const;
  const codec = createVectorCodec(welcome.wire, plan, vectorMath);
  const task = createGradientTask({
    ...{ transport: catcher.transport, welcome, vectorMath },
    contribution: createGradientContribution({ welcome, dataset, engine, replica, vectorMath }),
  });
  const estimateInto = {
    gradient: new Float32Array(plan.numParameters),
    statistics: new Float32Array(plan.numBuffers),
  };
  const average = new Float32Array(plan.numParameters + plan.numBuffers);
  let step = 0;

  return {
    description: `${engine.name} on ${engine.device}`,
    chosen,
    async next() {
      step++;
      const epoch = 1 + Math.floor((step - 1) / stepsPerEpoch);
      const stepInEpoch = (step - 1) % stepsPerEpoch;
      await task.compute({ step, epoch, stepInEpoch, firstMicrobatch: 0, numMicrobatches: 1, numBuckets: 1 }, 0);
      const { payload, microbatches } = catcher.take();
      vectorMath.divideVector(average, codec.asVector!(payload), globalBatch);
      replica.applyUpdate(average, updateRates(BENCH_OPTIMIZER, learningRate, step), step);
      task.gradientsArrived();
      return microbatches[0]!.lossSum / globalBatch;
    },
    estimateMs: () =>
      estimateStepMs(
        (numSamples) => engine.computeGradient({ ...dataset.train, numSamples }, estimateInto),
        globalBatch,
      ),
  };
}

/** The end of a channel that keeps the gradient it is sent. */
function createCatcher(): { transport: Transport; take(): MessageOf<'gradient'> } {
  let caught: MessageOf<'gradient'> | undefined;
  return {
    take() {
      if (!caught) throw internalError('a step without a gradient');
      const gradient = caught;
      caught = undefined;
      return gradient;
    },
    transport: {
      peer: 'the benchmark',
      bytesSent: 0,
      bytesReceived: 0,
      sharedBytesSent: 0,
      sharedBytesReceived: 0,
      measureRoundTrip: () => Promise.resolve(0),
      sharesMemory: true,
      send(message) {
        if (message.kind === 'gradient') caught = message;
      },
      receive: () => Promise.reject(internalError('the benchmark sends nothing')),
      interrupt() {},
      recycle() {},
      shareMemory() {},
      limit() {},
      close() {},
      closed: new Promise(() => {}),
    },
  };
}
