/**
 * Engine: computes gradients of one model on one device.
 *
 * An engine is created for a model and for the two flat vectors that hold the replica's state, and reads their current
 * values at every call; it never writes them. Calls do not overlap: the caller awaits one before the next. An engine whose
 * calls block lives in a thread, see `thread/threaded-engine.ts`: pings must be answered meanwhile. What every engine must
 * do is checked by `test/contracts/engine.contract.ts`; the plain engine in `reference/` is the judge.
 */
import type { Labels } from '../../protocol/data/labels.ts';
import type { ModelPlan } from '../../protocol/state/model-spec.ts';

/** Samples in their stored form; the engine scales bytes to [0, 1] by dividing by 255. */
export interface Microbatch {
  /** [numSamples, inputSize] bytes; may be longer, the rest is ignored. Read only during the call. */
  readonly images: Uint8Array<ArrayBuffer>;
  /** [numSamples] class indices. An engine takes either width, whatever the model's number of classes. */
  readonly labels: Labels;
  /** 1 to the engine's `maxBatch`. */
  readonly numSamples: number;
  /** [numSamples]: what each sample's dropout mask is drawn from. Needed for the gradient of a model with dropout. */
  readonly dropoutKeys?: Uint32Array<ArrayBuffer> | undefined;
}

/** Where a gradient goes: overwritten, not added to. Views of the caller's vectors, whose identity it may keep stable. */
export interface GradientBuffers {
  /** [numParameters], layout order: the *sum* over the samples of d(loss)/d(parameter). */
  readonly gradient: Float32Array<ArrayBuffer>;
  /** [numBuffers], layout order: mean and population variance of this microbatch at each batch norm. */
  readonly statistics: Float32Array<ArrayBuffer>;
}

export interface MicrobatchResult {
  /** Sum over the samples of the softmax cross-entropy, in nats; in training against smoothed labels. */
  readonly lossSum: number;
  /** Samples whose largest output (the first, in a tie) is their label. */
  readonly numCorrect: number;
  readonly numSamples: number;
}

export type EvaluationResult = MicrobatchResult;

export interface Engine {
  /** Registry name: "onnx", "native", "reference". */
  readonly name: string;
  /** What really runs, for people and records: "cpu", "webgpu (NVIDIA ...)". */
  readonly device: string;
  readonly threads: number;
  /** Forward in training mode (batch statistics) and backward. Rejects when the device fails. */
  computeGradient(batch: Microbatch, into: GradientBuffers): Promise<MicrobatchResult>;
  /**
   * Forward with the running statistics. `outputs`, [numSamples, numClasses] or longer, is given the last layer's outputs,
   * from which a prediction is made; without it they are not copied.
   */
  evaluate(batch: Microbatch, outputs?: Float32Array<ArrayBuffer>): Promise<EvaluationResult>;
  /** Frees what the engine holds; no call may follow. */
  dispose(): Promise<void>;
}

export interface EngineOptions {
  readonly plan: ModelPlan;
  /** [numParameters]: the replica's parameters, read at every call. */
  readonly parameters: Float32Array<ArrayBuffer>;
  /** [numBuffers]: the replica's running statistics, read by `evaluate`. */
  readonly buffers: Float32Array<ArrayBuffer>;
  /** The largest `numSamples` that will be asked for, in training and in evaluation. */
  readonly maxBatch: number;
  readonly threads: number;
  /**
   * s, 0 to below 1. Default: 0. In training, not in evaluation, the loss is that against targets of 1 - s + s/K at the
   * label and s/K at each other one of K classes. Source: Szegedy et al., Rethinking the Inception architecture, 2016.
   */
  readonly labelSmoothing?: number | undefined;
  /** One of the engine's device names. Default: its default. */
  readonly device?: string | undefined;
}
