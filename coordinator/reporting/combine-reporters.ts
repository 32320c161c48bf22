/** One stream of what a run tells, for several reporters: each hears the same calls in the same order. */
import type { Reporter } from './reporter.ts';

/**
 * A reporter that passes every call on to `first` and then to the others. What is special to `first`, such as a line for
 * people, stays its own. What one throws, the caller gets, and those behind it do not hear of that call.
 */
export function combineReporters<R extends Reporter>(first: R, others: readonly Reporter[]): R {
  if (others.length === 0) return first;
  const all: readonly Reporter[] = [first, ...others];
  const hearsSteps = all.some((one) => one.onStep !== undefined);
  const hearsConfusions = all.some((one) => one.onConfusion !== undefined);
  const combined: Reporter = {
    onStart: (...facts) => all.forEach((one) => one.onStart?.(...facts)),
    onPhase: (doing) => all.forEach((one) => one.onPhase?.(doing)),
    onProgress: (progress) => all.forEach((one) => one.onProgress?.(progress)),
    // Absent where nobody listens: then no record of a step is made.
    ...(hearsSteps && { onStep: (record, parts) => all.forEach((one) => one.onStep?.(record, parts)) }),
    // Absent in the same way: then workers are asked for no predictions.
    ...(hearsConfusions && { onConfusion: (confusion) => all.forEach((one) => one.onConfusion?.(confusion)) }),
    onTrace: (moments) => all.forEach((one) => one.onTrace?.(moments)),
    onEpoch: (record) => all.forEach((one) => one.onEpoch?.(record)),
    onEvent: (event) => all.forEach((one) => one.onEvent?.(event)),
    onEnd: (result, runDir) => all.forEach((one) => one.onEnd?.(result, runDir)),
    onRefused: () => all.forEach((one) => one.onRefused?.()),
    async close() {
      await Promise.all(all.map(async (one) => one.close?.()));
    },
  };
  return { ...first, ...combined };
}
