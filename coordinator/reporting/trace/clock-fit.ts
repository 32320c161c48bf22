/**
 * Clock fit: what the coordinator's clock shows when a worker's clock shows w, as a line, from messages between the two.
 *
 * Let f(w) = w + b + d u, with u = w - w0: b is the offset at w0, and d the drift. Both clocks go on while a message travels,
 * so each message bounds the line from one side, no matter how long it took:
 *
 *   sent here at c, received there at w:   c <= f(w),   that is   b + d u >= c - w
 *   sent there at w, received here at c:   f(w) <= c,   that is   b + d u <= c - w
 *
 * For a given drift the offset lies in [lo(d), up(d)], where lo(d) = max(c - w - d u) over the messages of the first kind, and
 * up(d) = min(c - w - d u) over those of the second. Of one exchange without drift that is the clock filter of NTP (RFC 5905,
 * 8): with t0 sent and t3 received here, t1 received and t2 sent there, b = ((t0 - t1) + (t3 - t2)) / 2, plus or minus
 * ((t3 - t0) - (t2 - t1)) / 2. Of many exchanges, those with the least round trip decide: the others bound nothing.
 *
 * lo is a maximum of lines, thus convex; up is concave. So the margin m(d) = (up(d) - lo(d)) / 2 is concave, and its maximum is
 * found by narrowing it down. The line is taken from the middle, b = (lo(d) + up(d)) / 2. Every line with m(d) >= 0 satisfies every
 * bound: no message arrives before it was sent.
 *
 * The uncertainty is no guess either. If the true relation is a line, it is one of those that satisfy all bounds. Over these,
 * the highest value at w is convex in w, and the lowest concave: the distance to the chosen line is greatest at one end of the
 * range. There it is the maximum over d of up(d) + d u, which is concave in d, and the minimum of lo(d) + d u.
 *
 * A bound on the slope between two clocks from one-sided delays: Moon, Skelly and Towsley, Estimation and removal of clock skew
 * from network delay measurements, 1999.
 */

/** What the two clocks show, in milliseconds. */
export interface Reading {
  readonly workerMs: number;
  readonly coordinatorMs: number;
}

export interface ClockBounds {
  /** At these the line is at the coordinator's reading or above it: messages to the worker. */
  readonly received: readonly Reading[];
  /** At these it is there or below: messages from the worker. */
  readonly sent: readonly Reading[];
}

export interface ClockLine {
  /** w0, b and d. */
  readonly fromMs: number;
  readonly offsetMs: number;
  readonly drift: number;
  /** The true offset is no farther away, anywhere in the range of the readings. */
  readonly plusMinusMs: number;
  readonly driftPlusMinus: number;
}

/**
 * The greatest drift that is thought possible: 500 ppm, by which NTP may slew a clock. Quartz alone is within 100 ppm. Without
 * a limit, few messages would fit absurd lines.
 */
const MOST_DRIFT = 500e-6;

/**
 * Where the margin is nearly the same, the least drift is taken: what noise there is among a few messages would look like a
 * drift.
 */
const ENOUGH_MARGIN = 0.9;

/** After these the interval is a 10^-10th of what it was, or less. */
const NUM_ROUNDS = 60;

export const toCoordinatorMs = ({ fromMs, offsetMs, drift }: ClockLine, workerMs: number): number =>
  workerMs + offsetMs + drift * (workerMs - fromMs);

/** The line; undefined where none satisfies all bounds, for the clocks' rates were not constant, or bounds of one side are missing. */
export function fitClock({ received, sent }: ClockBounds): ClockLine | undefined {
  if (received.length === 0 || sent.length === 0) return undefined;
  const all = [...received, ...sent];
  const fromMs = all.reduce((least, { workerMs }) => Math.min(least, workerMs), Infinity);
  const spanMs = all.reduce((most, { workerMs }) => Math.max(most, workerMs - fromMs), 0);
  const offsetAt = ({ workerMs, coordinatorMs }: Reading, drift: number) =>
    coordinatorMs - workerMs - drift * (workerMs - fromMs);
  const lo = (drift: number) => received.reduce((most, one) => Math.max(most, offsetAt(one, drift)), -Infinity);
  const up = (drift: number) => sent.reduce((least, one) => Math.min(least, offsetAt(one, drift)), Infinity);
  const margin = (drift: number) => (up(drift) - lo(drift)) / 2;

  const widest = maximise(margin, -MOST_DRIFT, MOST_DRIFT);
  const most = margin(widest);
  if (most < 0) return undefined;
  const drift = reach((d) => margin(d) >= ENOUGH_MARGIN * most, widest, 0);
  const offsetMs = (lo(drift) + up(drift)) / 2;
  const isPossible = (d: number) => margin(d) >= 0;
  const [least, greatest] = [-MOST_DRIFT, MOST_DRIFT].map((end) => reach(isPossible, widest, end)) as [number, number];
  const deviations = [0, spanMs].map((u) => {
    const highest = (d: number) => up(d) + d * u;
    const lowest = (d: number) => -(lo(d) + d * u);
    const here = offsetMs + drift * u;
    return Math.max(
      highest(maximise(highest, least, greatest)) - here,
      here + lowest(maximise(lowest, least, greatest)),
    );
  });
  return {
    fromMs,
    offsetMs,
    drift,
    plusMinusMs: Math.max(...deviations),
    driftPlusMinus: Math.max(greatest - drift, drift - least),
  };
}

/** Where a concave function is greatest. */
function maximise(value: (x: number) => number, from: number, to: number): number {
  let [left, right] = [from, to];
  for (let i = 0; i < NUM_ROUNDS; i++) {
    const third = (right - left) / 3;
    if (value(left + third) < value(right - third)) left += third;
    else right -= third;
  }
  return (left + right) / 2;
}

/** The point nearest to `goal` on the way from `start`, where `holds` is true, up to which it stays true. */
function reach(holds: (x: number) => boolean, start: number, goal: number): number {
  if (holds(goal)) return goal;
  let [inside, outside] = [start, goal];
  for (let i = 0; i < NUM_ROUNDS; i++) {
    const middle = (inside + outside) / 2;
    if (holds(middle)) inside = middle;
    else outside = middle;
  }
  return inside;
}
