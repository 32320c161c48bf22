/** The measuring itself: contenders warmed up, then timed in pairs, one right after the other. */
import type { Contender, Measurement } from './contender.ts';

/** One measurement: long against a timer and a time slice, short enough for the machine to stay as it is for a pair. */
const MEASUREMENT_SECONDS = 0.4;
/** Below this a calibration is repeated with more steps; compilers have done their work by then. */
const CALIBRATION_SECONDS = 0.3;
/** A contender whose single repeat takes longer is slow, and measured in at most `SLOW_PAIRS` pairs. */
const SLOW_MS = 2000 * MEASUREMENT_SECONDS;
const SLOW_PAIRS = 3;

export interface Timed {
  readonly contender: Contender;
  /** Repeats that one measurement takes. */
  readonly repeats: number;
  /** Measured in fewer pairs, if fewer are not asked for anyway. */
  readonly isSlow?: boolean;
}

/** A measurement, by the repeat. */
export interface Timing {
  readonly milliseconds: number;
  /** Part of the measured time in which the process ran. */
  readonly shareOfCore: number;
  readonly minorPageFaults: number;
  /** Of the processes that worked for it, all together. */
  readonly workerPageFaults?: number;
  readonly loss: number | undefined;
}

export interface PairOf {
  readonly ours: Timing;
  /** Absent when there is no peer. */
  readonly peer: Timing | undefined;
}

/**
 * Warms a contender up and finds how many repeats take about {@link MEASUREMENT_SECONDS}; `repeats` fixes them. Ends
 * with one measurement for nobody: memory and compiled code are then as they stay.
 */
export async function warmUp(contender: Contender, repeats?: number): Promise<Timed> {
  const timed = { contender, repeats: repeats ?? (await calibrate(contender)) };
  const { milliseconds } = await time(timed);
  return { ...timed, isSlow: milliseconds > SLOW_MS };
}

async function calibrate(contender: Contender): Promise<number> {
  let trial = 1;
  for (;;) {
    const { seconds } = await contender.run(trial);
    if (seconds >= CALIBRATION_SECONDS) return Math.max(1, Math.round((trial * MEASUREMENT_SECONDS) / seconds));
    // Aims beyond the limit, by at most tenfold: the first steps are the slowest.
    trial = Math.ceil(trial * Math.min(10, (1.2 * CALIBRATION_SECONDS) / seconds));
  }
}

export async function time({ contender, repeats }: Timed): Promise<Timing> {
  return perRepeat(await contender.run(repeats), repeats);
}

/**
 * Pairs of ours and the peer, in rounds over all of ours: all are measured over the same minute. Which of a pair goes
 * first alternates, so that neither gains from what the other leaves behind. Returns the pairs of each of ours.
 */
export async function measurePairs(ours: readonly Timed[], peer: Timed | undefined, numPairs: number) {
  const pairs: PairOf[][] = ours.map(() => []);
  for (let round = 0; round < numPairs; round++) {
    for (const [index, timed] of ours.entries()) {
      if (timed.isSlow && round >= SLOW_PAIRS) continue;
      pairs[index]!.push(await measurePair(timed, peer, (round + index) % 2 === 0));
    }
  }
  return pairs;
}

async function measurePair(ours: Timed, peer: Timed | undefined, oursFirst: boolean): Promise<PairOf> {
  if (!peer) return { ours: await time(ours), peer: undefined };
  if (oursFirst) return { ours: await time(ours), peer: await time(peer) };
  const first = await time(peer);
  return { ours: await time(ours), peer: first };
}

function perRepeat(measurement: Measurement, repeats: number): Timing {
  const { seconds, cpuSeconds, minorPageFaults, workerPageFaults, loss } = measurement;
  return {
    milliseconds: (seconds * 1000) / repeats,
    shareOfCore: cpuSeconds / seconds,
    minorPageFaults: minorPageFaults / repeats,
    ...(workerPageFaults !== undefined && { workerPageFaults: workerPageFaults / repeats }),
    loss,
  };
}
