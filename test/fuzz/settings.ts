/** What the fuzz tests share: a seed that can be set again, how much to do, memory as it is, and tallies to print. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { countOfCases, freshSeed } from '../helpers/tier.ts';

/** `FUZZ_SEED` repeats a run; without it every run is another. */
export const SEED = freshSeed('FUZZ_SEED');

/** `FUZZ_SCALE=10` does ten times as much. */
export const SCALE = countOfCases(1, 30, 'FUZZ_SCALE');

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** In MiB, after what can be freed has been. */
export async function settledMemory(): Promise<Record<'rss' | 'heap' | 'external', number>> {
  // Memory outside of the heap is freed by tasks that a collection leaves behind.
  for (let i = 0; i < 3; i++) {
    collectGarbage();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return memoryNow();
}

/** In MiB, as it stands. */
export function memoryNow(): Record<'rss' | 'heap' | 'external', number> {
  const { rss, heapUsed, external } = process.memoryUsage();
  const mebibytes = (bytes: number) => Math.round((10 * bytes) / 2 ** 20) / 10;
  return { rss: mebibytes(rss), heap: mebibytes(heapUsed), external: mebibytes(external) };
}

export interface Tally {
  add(outcome: string, count?: number): void;
  total(): number;
  has(outcome: string): boolean;
  /** Prints the counts, most frequent first, with what else there is to say. */
  print(title: string, ...lines: string[]): void;
}

export function createTally(): Tally {
  const counts = new Map<string, number>();
  const total = () => [...counts.values()].reduce((a, b) => a + b, 0);
  return {
    add: (outcome, count = 1) => void counts.set(outcome, (counts.get(outcome) ?? 0) + count),
    total,
    has: (outcome) => counts.has(outcome),
    print(title, ...lines) {
      const rows = [...counts].sort(([, a], [, b]) => b - a);
      const text = rows.map(([outcome, count]) => `  ${String(count).padStart(8)}  ${outcome}`);
      process.stdout.write(`${[`${title}: ${total()} inputs, FUZZ_SEED=${SEED}`, ...text, ...lines].join('\n')}\n`);
    },
  };
}
