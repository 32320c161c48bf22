/**
 * Moments: when a worker did what, by its own clock. In a run that is traced they ride along with a worker's answers; in any
 * other they are absent from every message.
 *
 * The clock is `performance.now()` of the worker's process, in milliseconds: it begins with the process and is never set back.
 * What it says is compared with nothing but itself until `coordinator/reporting/trace/clock-fit.ts` estimates its offset.
 */
import { z } from 'zod';

const count = z.int().min(1);
const clockMs = z.number().min(0);
/** [begin, end] */
const span = z.tuple([clockMs, clockMs]);

/**
 * The most spans of computing in one message, 19 bytes each: a gradient's header is nearly full of the counts of a thousand
 * microbatches already. Further microbatches are part of the last span.
 */
export const MOST_COMPUTED_SPANS = 32;

export const momentsSchema = z.strictObject({
  /** When the worker had received what this message answers. */
  receivedMs: clockMs,
  /** Applying the average that came with it. */
  applied: span.optional(),
  /** Hashing the parameters, for the proof. */
  hashed: span.optional(),
  /** Computing, since the message before of this step: a span for each microbatch, in order. */
  computed: z.array(span).max(MOST_COMPUTED_SPANS).optional(),
  /** Packing the sum. */
  encoded: span.optional(),
  /** In a ring: exchanging sums and averages with the neighbours. */
  exchanged: span.optional(),
  /** When the message was handed over to be sent. */
  sentMs: clockMs,
});

/** The steps that workers time; in rounds of local steps, the rounds that begin with one of them. */
export const tracedStepsSchema = z.strictObject({ firstStep: count, lastStep: count });

export type Moments = Readonly<z.infer<typeof momentsSchema>>;
export type Span = Readonly<z.infer<typeof span>>;
export type TracedSteps = Readonly<z.infer<typeof tracedStepsSchema>>;

/** Whether a step, or the round that begins with it, is timed. */
export const isTraced = ({ firstStep, lastStep }: TracedSteps, step: number): boolean =>
  step >= firstStep && step <= lastStep;
