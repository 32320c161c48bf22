/** Measuring on a machine that others use too: wait for a quiet moment, and measure again what was disturbed. */
import { setTimeout as delay } from 'node:timers/promises';
import { watchOtherLoad } from './other-load.ts';

/** How long the machine must have been quiet. */
const QUIET_MS = 2000;

export interface QuietOptions {
  /** A measurement is disturbed when others had more than this part of the processors. */
  readonly maxOtherLoad: number;
  /** A disturbed measurement is repeated, up to this many attempts in all. */
  readonly attempts: number;
  /** The longest wait for quiet before each of them; 0 does not look. */
  readonly patienceSeconds: number;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
}

/** Carries out a measurement; of several attempts the least disturbed. `otherLoad`: what others had meanwhile, 0 to 1. */
export type Undisturbed = <R>(
  name: string,
  measure: () => Promise<R>,
) => Promise<{ readonly result: R; readonly otherLoad: number }>;

export function createUndisturbed(options: QuietOptions, watch = watchOtherLoad): Undisturbed {
  const { maxOtherLoad, attempts, patienceSeconds, signal, log } = options;

  const waitForQuiet = async () => {
    const lastMs = performance.now() + 1000 * patienceSeconds;
    while (performance.now() < lastMs) {
      const otherLoad = watch();
      await delay(QUIET_MS, undefined, { signal });
      if (otherLoad() <= maxOtherLoad) return;
    }
  };

  return async (name, measure) => {
    const attempt = async (title: string) => {
      await waitForQuiet();
      log(title);
      const otherLoad = watch();
      const result = await measure();
      return { result, otherLoad: otherLoad() };
    };
    let best = await attempt(name);
    for (let made = 1; made < attempts && best.otherLoad > maxOtherLoad; made++) {
      const had = `others had ${Math.round(100 * best.otherLoad)} % of the processors`;
      const again = await attempt(`${name}: again, for ${had}`);
      if (again.otherLoad < best.otherLoad) best = again;
    }
    return best;
  };
}
