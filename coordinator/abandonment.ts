/**
 * Abandonment: how an interrupted run ends although the step, or the evaluation, at hand does not.
 *
 * A run that is interrupted finishes its step first. A step may take minutes, and its workers may be gone: schedulers send
 * SIGTERM to every process of a job at once, and SIGKILL some seconds later. So the step has a short time. After it the run
 * ends with the state of the step before.
 */

/** The time that a step, or an evaluation, has after the interruption: less than a scheduler waits with SIGKILL. */
const GRACE_MS = 3000;

/** What is awaited with {@link unlessAbandoned} rejects with this error when it is abandoned. */
export class Abandoned extends Error {
  override readonly name = 'Abandoned';
}

export interface Abandonment {
  /** Aborted when what is at hand is abandoned. */
  readonly signal: AbortSignal;
  /** Stops the clock: nothing is abandoned any more. */
  end(): void;
}

/** `interruption`: the user's signal, which starts the clock. */
export function createAbandonment(interruption: AbortSignal, graceMs = GRACE_MS): Abandonment {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const begin = () => {
    timer = setTimeout(() => controller.abort(new Abandoned('abandoned')), graceMs);
  };
  if (interruption.aborted) begin();
  else interruption.addEventListener('abort', begin, { once: true });
  return {
    signal: controller.signal,
    end() {
      interruption.removeEventListener('abort', begin);
      clearTimeout(timer);
    },
  };
}

/** Settles as `work` does, or rejects with the reason of `signal` as soon as that is aborted. */
export function unlessAbandoned<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const abandon = () => reject(signal.reason as Error);
    signal.addEventListener('abort', abandon, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abandon));
    if (signal.aborted) abandon();
  });
}
