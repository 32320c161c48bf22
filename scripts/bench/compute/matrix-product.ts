/**
 * ONNX Runtime's matrix product, for the core's peak: the evaluation of a model that is nothing but large square dense
 * layers, on a batch of the same size. So the library is reached through its engine, as everywhere.
 */
import { initialBuffers, initialParameters, planModel } from '../../../protocol/state/model-spec.ts';
import type { LayerSpec, ModelPlan } from '../../../protocol/state/model-spec.ts';
import { uniformFloats } from '../../../protocol/data/random.ts';
import { ENGINES } from '../../../worker/engines/registry.ts';
import { BENCH_SEED, MATRIX_SIZE } from '../../survey/settings.ts';

/** With this many, reading the images and the loss weigh below 1 %. */
const NUM_PRODUCTS = 4;

/** The model: its forward pass over MATRIX_SIZE samples is what one repeat computes. */
export function matrixProductPlan(): ModelPlan {
  const square: LayerSpec = { kind: 'dense', units: MATRIX_SIZE, activation: 'none' };
  return planModel({
    name: 'matrix-products',
    input: [1, 1, MATRIX_SIZE],
    numClasses: 10,
    layers: [
      { kind: 'flatten' },
      ...Array.from({ length: NUM_PRODUCTS }, () => square),
      { kind: 'dense', units: 10, activation: 'none' },
    ],
  });
}

export async function createMatrixProduct() {
  const plan = matrixProductPlan();
  const engine = await ENGINES.onnx.create({
    plan,
    parameters: initialParameters(plan, BENCH_SEED),
    buffers: initialBuffers(plan),
    maxBatch: MATRIX_SIZE,
    threads: 1,
    device: 'cpu',
  });
  const random = uniformFloats(BENCH_SEED);
  const images = new Uint8Array(MATRIX_SIZE * plan.inputSize).map(() => random() * 256);
  const batch = { images, labels: new Uint8Array(MATRIX_SIZE), numSamples: MATRIX_SIZE };
  return {
    description: 'ONNX Runtime',
    async next(): Promise<undefined> {
      await engine.evaluate(batch);
    },
  };
}
