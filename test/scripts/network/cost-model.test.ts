import { describe, expect, it } from 'vitest';
import { ALGORITHMS, BYTES_ON_WIRE, efficiencyOf, predictStep } from '../../../scripts/network/cost-model.ts';
import type { StepInput } from '../../../scripts/network/cost-model.ts';
import { parseLink, UNLIMITED } from '../../../scripts/network/link.ts';

const FREE = { fixedMs: 0, msPerByte: 0 };

/** A megabyte on a gigabit takes 8 ms, and its share of headers. */
const W = 8 * BYTES_ON_WIRE;

const input: StepInput = {
  algorithm: 'star',
  numWorkers: 4,
  payloadBytes: 1e6,
  link: parseLink('1gbit/0ms'),
  computeMs: 10,
  cores: 'own',
  handling: FREE,
  buckets: 1,
  stepsPerEpoch: Infinity,
};

describe('the cost model', () => {
  it.each(ALGORITHMS)('%s: one worker has no wire', (algorithm) => {
    const handling = { fixedMs: 1, msPerByte: 1 };
    const cost = predictStep({ ...input, algorithm, numWorkers: 1, handling, link: parseLink('1mbit/50ms') });
    expect(cost).toMatchObject({ stepMs: 10, computeMs: 10, exchangeMs: 0, wireMs: 0, roundTripMs: 0 });
  });

  it('without limits of rate and handling, only round trips are left: one for a star, N for a ring', () => {
    const link = { bitsPerSecond: Infinity, roundTripMs: 20 };
    expect(predictStep({ ...input, link }).stepMs).toBe(10 + 20);
    expect(predictStep({ ...input, link, algorithm: 'ring' }).stepMs).toBe(10 + 4 * 20);
    expect(predictStep({ ...input, link, algorithm: 'ring', peerRoundTripMs: 1 }).stepMs).toBe(10 + 3 + 20);
    expect(predictStep({ ...input, link, stepsPerEpoch: 10 }).stepMs).toBe(10 + 22);
  });

  it('a star sends every payload over one link, in both directions; a ring shares them out', () => {
    expect(predictStep(input).stepMs).toBeCloseTo(10 + 1.75 * 4 * W, 9);
    expect(predictStep({ ...input, algorithm: 'ring' }).stepMs).toBeCloseTo(10 + (2 * 3 * W) / 4, 9);
    expect(predictStep({ ...input, algorithm: 'ring', numWorkers: 1000 }).wireMs).toBeCloseTo(2 * 0.999 * W, 9);
  });

  it('more buckets never cost more, and let a star come near to half', () => {
    const handling = { fixedMs: 0.1, msPerByte: 2e-6 };
    for (const algorithm of ALGORITHMS) {
      const steps = [1, 2, 4, 8, 64, 1024].map(
        (buckets) => predictStep({ ...input, algorithm, handling, buckets }).stepMs,
      );
      for (let i = 1; i < steps.length; i++) expect(steps[i]).toBeLessThanOrEqual(steps[i - 1]!);
    }
    expect(predictStep({ ...input, buckets: 1e6 }).wireMs).toBeCloseTo(4 * W, 3);
  });

  it('a star wins while round trips count, a ring once bytes do', () => {
    const stepOf = (algorithm: StepInput['algorithm'], payloadBytes: number) =>
      predictStep({ ...input, algorithm, payloadBytes, numWorkers: 8, link: parseLink('1gbit/20ms') }).stepMs;
    expect(stepOf('star', 1e4)).toBeLessThan(stepOf('ring', 1e4));
    expect(stepOf('ring', 1e7)).toBeLessThan(stepOf('star', 1e7));
    // Where they are equal: 7/4 N w - 2 (N - 1) w / N = (N - 1) round trips.
    const crossing = (7 * 20) / ((1.75 * 8 - (2 * 7) / 8) * (W / 1e6));
    expect(stepOf('star', crossing)).toBeCloseTo(stepOf('ring', crossing), 6);
  });

  it('on shared cores workers take turns, on their own they do not', () => {
    expect(predictStep({ ...input, cores: 2 }).computeMs).toBe(20);
    expect(predictStep({ ...input, cores: 8 }).computeMs).toBe(10);
    expect(predictStep(input).computeMs).toBe(10);
  });

  it('the faster of wire and handling is hidden, but for one payload', () => {
    const handling = { fixedMs: 1, msPerByte: 1e-6 };
    const { exchangeMs, wireMs, handlingMs } = predictStep({ ...input, cores: 1, handling });
    expect(handlingMs).toBeCloseTo(4 * 2, 9);
    expect(exchangeMs).toBeCloseTo(wireMs + handlingMs / 4, 9);
    const slow = predictStep({ ...input, cores: 1, handling: { fixedMs: 100, msPerByte: 0 } });
    expect(slow.exchangeMs).toBeCloseTo(slow.handlingMs + slow.wireMs / 4, 9);
  });

  it('with buckets on shared cores wire and handling add up', () => {
    const handling = { fixedMs: 1, msPerByte: 1e-6 };
    const { exchangeMs, wireMs, handlingMs } = predictStep({ ...input, cores: 2, handling, buckets: 7 });
    expect(wireMs).toBeCloseTo((1 + 0.75 / 7) * 4 * W, 9);
    expect(exchangeMs).toBeCloseTo(wireMs + handlingMs, 9);
  });

  it('with own cores half of the handling is done by all workers at once', () => {
    const handling = { fixedMs: 2, msPerByte: 0 };
    expect(predictStep({ ...input, link: UNLIMITED, handling }).handlingMs).toBe(((4 + 1) * 2) / 2);
    expect(predictStep({ ...input, link: UNLIMITED, handling, cores: 2 }).handlingMs).toBe(4 * 2);
  });

  it('efficiency is 1 when a step takes as long as without a network', () => {
    expect(efficiencyOf(10, 10)).toBe(1);
    expect(efficiencyOf(40, 10)).toBe(0.25);
  });
});
