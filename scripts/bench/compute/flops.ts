/** Counts the arithmetic of a training step from the model's plan alone: what the mathematics needs, not what is run. */
import { internalError } from '../../../protocol/errors.ts';
import { product } from '../../../protocol/state/model-spec.ts';
import type { LayerPlan, ModelPlan } from '../../../protocol/state/model-spec.ts';

/**
 * Floating-point operations of one training step: 2 for each multiply-add of the products of dense and convolution
 * layers, counted for the output, for the weight gradient, and for the input gradient.
 *
 *     dense   in x out                                        multiply-adds a sample, each of the three times
 *     conv    filters x height x width x channels x k x k     height and width of the output
 *
 * Nothing needs the input gradient of the first layer that has parameters: it is not counted. Neither is what grows with
 * activations or parameters alone (ReLU, pools, batch norm, loss, update): few operations, though not little time.
 */
export function trainingFlops(plan: ModelPlan, numSamples: number): number {
  let multiplyAdds = 0;
  let hasParametersBefore = false;
  for (const layer of plan.layers) {
    multiplyAdds += multiplyAddsOf(layer) * (hasParametersBefore ? 3 : 2);
    hasParametersBefore ||= layer.kind === 'conv' || layer.kind === 'dense' || layer.kind === 'batchNorm';
  }
  return 2 * multiplyAdds * numSamples;
}

/** Floating-point operations of a forward pass, counted likewise. */
export function forwardFlops(plan: ModelPlan, numSamples: number): number {
  return 2 * numSamples * plan.layers.reduce((sum, layer) => sum + multiplyAddsOf(layer), 0);
}

/** Multiply-adds of one sample's output. */
function multiplyAddsOf(layer: LayerPlan): number {
  switch (layer.kind) {
    case 'conv': {
      const [, ...positions] = layer.outputShape;
      return layer.weight.size * product(positions);
    }
    case 'dense':
      return layer.weight.size;
    case 'maxPool':
    case 'flatten':
    case 'averagePool':
    case 'batchNorm':
    case 'dropout':
    case 'fork':
    case 'join':
      return 0;
    default:
      throw internalError(`no count for ${(layer satisfies never as LayerPlan).kind}`);
  }
}
