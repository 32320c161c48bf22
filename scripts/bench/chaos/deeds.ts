/** What is done to a run: which deeds, how often, and in which order. */
import { uniformFloats } from '../../../protocol/data/random.ts';

const DEEDS = ['kill a worker', 'stop a worker', 'cut a link', 'delay a link', 'kill the coordinator'] as const;

export type Deed = (typeof DEEDS)[number];

/** As many of each as `counts` says, shuffled by the seed. */
export function planDeeds(counts: Partial<Readonly<Record<Deed, number>>>, seed: number): Deed[] {
  const random = uniformFloats(seed);
  return DEEDS.flatMap((deed) => Array.from({ length: counts[deed] ?? 0 }, () => ({ deed, key: random() })))
    .sort((a, b) => a.key - b.key)
    .map(({ deed }) => deed);
}
