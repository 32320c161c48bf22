import { describe, expect, it } from 'vitest';
import { forwardFlops, trainingFlops } from '../../scripts/bench/compute/flops.ts';
import { planModel } from '../../protocol/state/model-spec.ts';
import type { LayerSpec } from '../../protocol/state/model-spec.ts';
import { MODELS } from '../../protocol/state/models.ts';

// The head's layers after the first: 120 x 84 + 84 x 10.
const HEAD_REST = 10_080 + 840;

describe('floating-point operations of a training step', () => {
  it('dense: forward and weight gradients of 105,000 multiply-adds, input gradients of all but the first layer', () => {
    const forward = 784 * 120 + HEAD_REST;
    expect(forward).toBe(105_000);
    expect(trainingFlops(planModel(MODELS.dense), 1)).toBe(2 * (2 * forward + HEAD_REST));
    expect(trainingFlops(planModel(MODELS.dense), 256)).toBe(113_111_040);
  });

  it('conv: a kernel at every position of the output, the first one without input gradient', () => {
    const first = 24 * 24 * 6 * 25;
    const rest = 22 * 22 * 16 * (6 * 9) + 7744 * 120 + HEAD_REST;
    expect(trainingFlops(planModel(MODELS.conv), 1)).toBe(2 * (2 * first + 3 * rest));
  });

  it('conv-pool: pools make the maps smaller and count for nothing themselves', () => {
    const first = 24 * 24 * 6 * 25;
    const rest = 10 * 10 * 16 * (6 * 9) + 400 * 120 + HEAD_REST;
    expect(trainingFlops(planModel(MODELS['conv-pool']), 1)).toBe(2 * (2 * first + 3 * rest));
  });

  it('a norm before the first product has parameters that need its input gradient', () => {
    const output: LayerSpec = { kind: 'dense', units: 2, activation: 'none' };
    const plan = (layers: LayerSpec[]) => planModel({ name: 'small', input: [1, 1, 5], numClasses: 2, layers });
    expect(trainingFlops(plan([{ kind: 'flatten' }, output]), 1)).toBe(2 * 2 * 10);
    expect(trainingFlops(plan([{ kind: 'flatten' }, { kind: 'batchNorm' }, output]), 1)).toBe(2 * 3 * 10);
  });

  it('a forward pass counts every product once', () => {
    expect(forwardFlops(planModel(MODELS.dense), 10)).toBe(10 * 2 * 105_000);
  });
});
