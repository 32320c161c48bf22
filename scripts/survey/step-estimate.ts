/** About how long a step takes, without taking one: what a slow engine must be asked first. */

/** A step that takes longer is not taken unasked: it would make minutes hours. */
const LIMIT_MS = 2000;

/** Why a step is not taken that may be expected to take so long; undefined when it may. */
export function tooSlow(expectedMs: number): string | undefined {
  return expectedMs > LIMIT_MS ? `a step takes an estimated ${(expectedMs / 1000).toFixed(0)} s` : undefined;
}

/** Samples of the two trials: few, and enough more of them to tell the time of a sample from that of a call. */
const FEW = 8;
const MORE = 32;
/** The second trial is made if it may be expected to take less: otherwise the engine is slow beyond doubt. */
const TRIAL_MS = 1000;

/**
 * Milliseconds of a call of `compute` with `numSamples` samples, from calls with fewer: the straight line through the
 * times of 8 and of 32, or for a slow engine 8 samples' time in proportion, which is too much rather than too little.
 * `now`: a clock, in milliseconds.
 */
export async function estimateStepMs(
  compute: (numSamples: number) => Promise<unknown>,
  numSamples: number,
  now = () => performance.now(),
): Promise<number> {
  const time = async (size: number): Promise<number> => {
    let leastMs = Infinity;
    // The first call of a size is cold: libraries compile, or set memory aside.
    for (let attempt = 0; attempt < 3; attempt++) {
      const startMs = now();
      await compute(size);
      leastMs = Math.min(leastMs, now() - startMs);
    }
    return leastMs;
  };
  const fewMs = await time(FEW);
  if ((fewMs * MORE) / FEW > TRIAL_MS || numSamples < MORE) return (fewMs * numSamples) / FEW;
  const moreMs = await time(MORE);
  const sampleMs = Math.max(0, (moreMs - fewMs) / (MORE - FEW));
  return moreMs + sampleMs * (numSamples - MORE);
}
