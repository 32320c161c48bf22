/** What is drawn of steps whose workers' clocks say anything: the rules of the format hold all the same. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createStepDrawing } from '../../../../coordinator/reporting/trace/draw-step.ts';
import type { TracedMoments, TracedPart, TracedStep } from '../../../../coordinator/reporting/trace/step-tracer.ts';
import { createTraceEvents } from '../../../../coordinator/reporting/trace/trace-events.ts';
import { readEvents } from '../../../helpers/trace-file.ts';

/** Whole numbers: of floating-point ones, most that fast-check makes are next to 0. */
const aClock = fc.integer({ min: 0, max: 1000 });
const aSpan = fc.tuple(aClock, aClock);
const orNone = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

/** Moments that a worker might tell, in no order at all; the steps below lie within them. */
const moments = fc.record({
  receivedMs: aClock,
  applied: orNone(aSpan),
  hashed: orNone(aSpan),
  computed: orNone(fc.array(aSpan, { maxLength: 3 })),
  encoded: orNone(aSpan),
  exchanged: orNone(aSpan),
  sentMs: aClock,
});

/** Whom a step is computed by, and what they tell; times of arrival are parts of the step. */
const aStep = fc.record({
  isRing: fc.boolean(),
  endsEpoch: fc.boolean(),
  parts: fc.array(
    fc.array(
      fc.tuple(
        moments,
        fc.integer({ min: 0, max: 100 }).map((percent) => percent / 100),
      ),
      { minLength: 1, maxLength: 3 },
    ),
    {
      minLength: 1,
      maxLength: 2,
    },
  ),
});

/** Steps of 10 ms, as the tracer tells them. */
function stepsOf(steps: readonly (typeof aStep extends fc.Arbitrary<infer T> ? T : never)[]): TracedMoments[] {
  let opening: readonly [number, number] | undefined;
  return steps.flatMap(({ isRing, endsEpoch, parts }, i): TracedMoments[] => {
    const startMs = 100 + 20 * i;
    const [first, second] = opening ?? [startMs, startMs + 1];
    const partsOf = (askedMs: number, lastMs: number): TracedPart[] =>
      parts.map((messages, nth) => ({
        ...{ id: `w${nth}`, name: 'worker', engine: 'reference', device: 'cpu', isHere: false, askedMs },
        messages: messages
          .map(([told, part]) => ({ told, atMs: second + part * (lastMs - second) }))
          .sort((a, b) => a.atMs - b.atMs)
          .map(({ told, atMs }) => {
            const { receivedMs, sentMs, ...others } = told;
            const given = Object.fromEntries(Object.entries(others).filter(([, value]) => value !== undefined));
            return { atMs, moments: { receivedMs, sentMs, ...given }, numMicrobatches: 3, numSamples: 9, numBytes: 5 };
          }),
      }));
    const reducedMs = startMs + 10;
    const step: TracedStep = {
      ...{ kind: 'step', step: i + 1, numSteps: 1, epoch: 1, numSamples: 18, isTraced: i < steps.length - 1, isRing },
      ...{ opening: [first, second], reducedMs, sentMs: reducedMs + 1, appliedMs: reducedMs + 2 },
      parts: partsOf((first + second) / 2, reducedMs),
    };
    opening = endsEpoch ? undefined : [reducedMs, reducedMs + 1];
    if (!endsEpoch || !step.isTraced) return [step];
    const proof = partsOf(reducedMs, reducedMs + 5).map((part) => ({ ...part, messages: part.messages.slice(-1) }));
    return [step, { kind: 'proof', step: i + 1, epoch: 1, span: [reducedMs + 1, reducedMs + 5], parts: proof }];
  });
}

test('whatever workers tell, spans of a lane nest or are disjoint, and no arrow goes back in time', () => {
  fc.assert(
    fc.property(fc.array(aStep, { minLength: 1, maxLength: 4 }), (steps) => {
      const told = stepsOf(steps);
      const events = createTraceEvents(100);
      const drawing = createStepDrawing(events);
      for (const one of told) drawing.draw(one, () => (workerMs) => 90 + 0.1 * workerMs);
      const { spans } = readEvents(events.take().map((line) => JSON.parse(line) as never));
      const numTraced = told.filter((one) => one.kind === 'step' && one.isTraced).length;
      expect(spans.filter(({ lane }) => lane === 'steps').filter(({ name }) => name.startsWith('step')).length).toBe(
        numTraced,
      );
    }),
    { numRuns: 60 },
  );
});

test('gradients that are on their way at the same time follow each other on the lane', () => {
  const message = (sentMs: number, atMs: number) => ({
    ...{ atMs, moments: { receivedMs: 102, sentMs }, numMicrobatches: 1, numSamples: 1, numBytes: 1 },
  });
  const worker = { id: 'w1', name: 'worker', engine: 'reference', device: 'cpu', isHere: false, askedMs: 100 };
  const events = createTraceEvents(100);
  createStepDrawing(events).draw(
    {
      ...{ kind: 'step', step: 1, numSteps: 1, epoch: 1, numSamples: 2, isTraced: true, isRing: false },
      ...{ opening: [100, 101], reducedMs: 112, sentMs: 113, appliedMs: 114 },
      parts: [{ ...worker, messages: [message(103, 108), message(105, 110)] }],
    },
    () => (workerMs) => workerMs,
  );
  const { spans } = readEvents(events.take().map((line) => JSON.parse(line) as never));
  const sends = spans.filter(({ lane, process }) => lane === 'sending' && process.startsWith('worker'));
  expect(sends.map(({ beginNs, endNs }) => [beginNs / 1e6, endNs / 1e6])).toEqual([
    [3, 8],
    [8, 10],
  ]);
});
