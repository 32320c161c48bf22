/** What the library makes of a model. */
import type { ModelSpec } from '../../protocol/state/model-spec.ts';
import type { Assessment } from '../inference/assessment.ts';
import type { EvaluateOptions } from './options.ts';
import type { DataInMemory } from './samples.ts';

export interface Prediction {
  /** The likeliest class: its index, and its name. */
  readonly label: number;
  readonly className: string;
  /** [numClasses], of all classes; they add up to 1. */
  readonly probabilities: Float64Array;
}

export interface Evaluation extends Assessment {
  /** The name of the data, and what computed. */
  readonly data: string;
  readonly split: 'test' | 'train' | 'validation';
  readonly engine: string;
  readonly device: string;
}

export interface Model {
  readonly spec: ModelSpec;
  /** Names of the classes, in the order of their labels. */
  readonly classes: readonly string[];
  /** Its file; undefined of one that was trained in this process. */
  readonly path: string | undefined;
  /** [numParameters] and the running statistics, [numBuffers], in the order of the layers; not to be changed. */
  readonly parameters: Float32Array;
  readonly buffers: Float32Array;
  /**
   * What it says of images, [numImages, channels, height, width] bytes. Default: as many images as there are bytes for.
   *
   * The first call makes the engine. Rejects with `ConfigError` where that cannot be had, and for bytes that are no whole
   * number of images.
   */
  predict(images: Uint8Array, numImages?: number): Promise<Prediction[]>;
  /**
   * How well it does on a dataset: by its name or path, or in memory. Default: what its run was trained on, else
   * Fashion-MNIST. Rejects with `ConfigError` as `predict`, and for data that does not fit.
   */
  evaluate(data?: string | DataInMemory, options?: EvaluateOptions): Promise<Evaluation>;
  /** Frees the engine, once what was asked before is answered. No call may follow. */
  dispose(): Promise<void>;
}
