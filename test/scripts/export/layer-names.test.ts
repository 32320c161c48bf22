import { expect, test } from 'vitest';
import { planModel } from '../../../protocol/state/model-spec.ts';
import { nameLayers } from '../../../scripts/export/layer-names.ts';
import { ODD_MODELS } from '../../helpers/models.ts';

test.each(ODD_MODELS)(
  'layers of $name are called as their tensors are, and no two alike but a fork and its join',
  (spec) => {
    const layers = nameLayers(planModel(spec).layers);
    for (const layer of layers) {
      if ('weight' in layer) expect(layer.weight.name).toBe(`${layer.name}.weight`);
      if ('gamma' in layer) expect(layer.gamma.name).toBe(`${layer.name}.gamma`);
    }
    const names = layers.filter(({ kind }) => kind !== 'join').map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const joins = layers.filter(({ kind }) => kind === 'join').map(({ name }) => name);
    expect(joins.every((name) => name.startsWith('residual') && names.includes(name))).toBe(true);
  },
);
