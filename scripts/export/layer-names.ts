/** Names of a plan's layers, the same in every format. */
import type { LayerPlan } from '../../protocol/state/layer-plan.ts';

/** Layers with tensors are called as those are: `conv1.weight` is a tensor of `conv1`. */
const PREFIXES = { batchNorm: 'norm', fork: 'residual' } as const satisfies Partial<Record<LayerPlan['kind'], string>>;

export type NamedLayer = LayerPlan & { readonly name: string };

/** Each kind is counted from one: conv1, maxPool1, norm1, conv2. A fork and its join have one name: residual1. */
export function nameLayers(layers: readonly LayerPlan[]): NamedLayer[] {
  const seen = new Map<string, number>();
  const open: string[] = [];
  return layers.map((layer) => {
    if (layer.kind === 'join') return { ...layer, name: open.pop()! };
    const prefix = layer.kind in PREFIXES ? PREFIXES[layer.kind as keyof typeof PREFIXES] : layer.kind;
    const nth = (seen.get(prefix) ?? 0) + 1;
    seen.set(prefix, nth);
    const name = `${prefix}${nth}`;
    if (layer.kind === 'fork') open.push(name);
    return { ...layer, name };
  });
}
