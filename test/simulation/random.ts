/** Random choices of a simulation: streams that depend on a seed and a name alone. */
import { seededWords } from '../../protocol/data/random.ts';

export interface Random {
  /** From 0 to below 1. */
  readonly float: () => number;
  /** From `least` to `most`, both included. */
  int(least: number, most: number): number;
  pick<T>(options: readonly T[]): T;
  /** Whether something happens that does with this probability. */
  chance(probability: number): boolean;
}

/** `name` sets apart streams of one seed, so that what one part draws changes nothing for another. */
export function createRandom(seed: number, name: string): Random {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) | 0;
  const words = seededWords(seed, hash, 0);
  const float = () => words() / 2 ** 32;
  const int = (least: number, most: number) => least + Math.floor(float() * (most - least + 1));
  return {
    float,
    int,
    pick: (options) => options[int(0, options.length - 1)]!,
    chance: (probability) => float() < probability,
  };
}
