/** The estimate of a worker's clock, on clocks that are made up: what they show is known, and how far off they are. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fitClock, toCoordinatorMs } from '../../../../coordinator/reporting/trace/clock-fit.ts';
import type { Reading } from '../../../../coordinator/reporting/trace/clock-fit.ts';
import { createWorkerClock } from '../../../../coordinator/reporting/trace/worker-clock.ts';
import { uniformFloats } from '../../../../protocol/data/random.ts';

interface MadeUp {
  readonly seed: number;
  readonly offsetMs: number;
  readonly drift: number;
  readonly numExchanges: number;
  readonly stepMs: number;
  /** Of messages in each direction: the least, and the mean of what comes on top. */
  readonly delayMs: readonly [there: number, back: number];
  readonly jitterMs: number;
}

/** Exchanges one after the other; `truth` converts a worker's time as it is. */
function exchangesOf({ seed, offsetMs, drift, numExchanges, stepMs, delayMs, jitterMs }: MadeUp) {
  const random = uniformFloats(seed);
  const jitter = () => -jitterMs * Math.log(1 - random());
  const truth = (workerMs: number) => (workerMs + offsetMs) / (1 - drift);
  const workerAt = (coordinatorMs: number) => coordinatorMs * (1 - drift) - offsetMs;
  const received: Reading[] = [];
  const sent: Reading[] = [];
  let nowMs = 1000;
  for (let i = 0; i < numExchanges; i++) {
    const arrivedMs = nowMs + delayMs[0] + jitter();
    received.push({ workerMs: workerAt(arrivedMs), coordinatorMs: nowMs });
    const answeredMs = arrivedMs + stepMs * random();
    nowMs = answeredMs + delayMs[1] + jitter();
    sent.push({ workerMs: workerAt(answeredMs), coordinatorMs: nowMs });
  }
  return { truth, received, sent, minutes: nowMs / 60_000 };
}

const madeUp: fc.Arbitrary<MadeUp> = fc.record({
  seed: fc.integer({ min: 1, max: 1e6 }),
  offsetMs: fc.double({ min: -1e7, max: 0, noNaN: true }),
  drift: fc.double({ min: -200e-6, max: 200e-6, noNaN: true }),
  numExchanges: fc.integer({ min: 1, max: 60 }),
  stepMs: fc.constantFrom(1, 20, 3000),
  delayMs: fc.tuple(fc.constantFrom(0.02, 0.5, 30), fc.constantFrom(0.02, 0.5, 30)),
  jitterMs: fc.constantFrom(0, 0.1, 5),
});

test('skewed and drifting clocks: no message arrives before it was sent, and the error is within plus-minus', () => {
  fc.assert(
    fc.property(madeUp, (clocks) => {
      const { truth, received, sent } = exchangesOf(clocks);
      const line = fitClock({ received, sent })!;
      const convert = (workerMs: number) => toCoordinatorMs(line, workerMs);
      const rounding = 1e-6;
      for (const one of received) expect(convert(one.workerMs)).toBeGreaterThanOrEqual(one.coordinatorMs - rounding);
      for (const one of sent) expect(convert(one.workerMs)).toBeLessThanOrEqual(one.coordinatorMs + rounding);
      for (const { workerMs } of [...received, ...sent]) {
        expect(Math.abs(convert(workerMs) - truth(workerMs))).toBeLessThanOrEqual(line.plusMinusMs + rounding);
      }
      const drift = clocks.drift / (1 - clocks.drift);
      expect(Math.abs(line.drift - drift)).toBeLessThanOrEqual(line.driftPlusMinus + 1e-9);
    }),
    { numRuns: 60 },
  );
});

test('one exchange gives the offset of NTP, plus or minus half of the round trip', () => {
  const [t0, t1, t2, t3] = [1000, 405, 425, 1030];
  const line = fitClock({
    received: [{ workerMs: t1, coordinatorMs: t0 }],
    sent: [{ workerMs: t2, coordinatorMs: t3 }],
  })!;
  expect(line.offsetMs).toBeCloseTo((t0 - t1 + t3 - t2) / 2, 6);
  // The drift that is thought possible adds 500 ppm of the 20 ms between the two messages.
  expect(line.plusMinusMs).toBeCloseTo((t3 - t0 - (t2 - t1)) / 2, 1);
});

test('over a minute a drift of 100 ppm is found to within a fifth', () => {
  const clocks = { seed: 3, offsetMs: -5000, drift: 100e-6, delayMs: [0.1, 0.1], jitterMs: 0.2 } as const;
  const { received, sent, minutes } = exchangesOf({ ...clocks, numExchanges: 200, stepMs: 600 });
  expect(minutes).toBeGreaterThan(0.9);
  const { drift, plusMinusMs } = fitClock({ received, sent })!;
  expect(Math.abs(1e6 * drift - 100)).toBeLessThan(20);
  expect(plusMinusMs).toBeLessThan(0.5);
});

test('a clock that was stopped has no line, and a line for each part', () => {
  const { received, sent } = exchangesOf({
    ...{ seed: 1, offsetMs: 0, drift: 0, numExchanges: 40, stepMs: 10 },
    ...{ delayMs: [0.1, 0.1], jitterMs: 0 },
  });
  // A machine that sleeps: the worker's clock stands still for a minute, after the 20th exchange.
  const late = (one: Reading, i: number) => (i < 20 ? one : { ...one, coordinatorMs: one.coordinatorMs + 60_000 });
  const bounds = { received: received.map(late), sent: sent.map(late) };
  expect(fitClock(bounds)).toBeUndefined();
  const clock = createWorkerClock(false);
  for (const [i, one] of bounds.received.entries()) {
    clock.received(one);
    clock.sent(bounds.sent[i]!);
  }
  const convert = clock.settle();
  for (const one of [...bounds.received, ...bounds.sent]) {
    expect(Math.abs(convert(one.workerMs) - one.coordinatorMs)).toBeLessThan(0.3);
  }
  expect(clock.summary).toMatchObject({ numExchanges: 40, isSteady: true });
});
