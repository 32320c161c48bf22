/** Several attempts at the same thing, begun one after the other: the first that succeeds is taken (RFC 8305, 5). */
import { LIMITS } from '../../protocol/wire/limits.ts';

/** Rejects as soon as `signal` is aborted, with nothing left open. */
export type Attempt<T> = (signal: AbortSignal) => Promise<T>;

export interface RaceOptions<T> {
  /** Ends all attempts. */
  readonly signal: AbortSignal;
  /** Milliseconds between the beginnings of two attempts. Default: that of `LIMITS`. */
  readonly delayMs?: number;
  /** Given what an attempt returned after another had succeeded. */
  readonly discard: (late: T) => void;
}

/** Every attempt has failed. */
export class AllFailed extends Error {
  override readonly name = 'AllFailed';
  /** In the order of the attempts. */
  readonly errors: readonly unknown[];

  constructor(errors: readonly unknown[]) {
    super('every attempt has failed');
    this.errors = errors;
  }
}

/**
 * The result of the first attempt that succeeds; the others are ended. An attempt begins `delayMs` after the one before, or
 * when that has failed: so one that hangs does not hold up the others.
 *
 * Rejects with {@link AllFailed}, and when `signal` is aborted with its reason.
 */
export function raceAttempts<T>(attempts: readonly Attempt<T>[], options: RaceOptions<T>): Promise<T> {
  const { signal, delayMs = LIMITS.attemptDelayMs, discard } = options;
  const others = new AbortController();
  const errors: unknown[] = [];
  let numBegun = 0;
  let numFailed = 0;
  let isOver = false;
  let timer: NodeJS.Timeout | undefined;

  return new Promise((resolve, reject) => {
    const settle = (action: () => void) => {
      isOver = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      action();
      others.abort();
    };
    const abort = () => settle(() => reject(signal.reason as Error));
    const fail = (nth: number, error: unknown) => {
      if (isOver) return;
      errors[nth] = error;
      if (++numFailed === attempts.length) settle(() => reject(new AllFailed(errors)));
      else begin();
    };
    const succeed = (result: T) => {
      if (isOver) discard(result);
      else settle(() => resolve(result));
    };
    const begin = () => {
      clearTimeout(timer);
      if (isOver || numBegun === attempts.length) return;
      const nth = numBegun++;
      attempts[nth]!(others.signal).then(succeed, (error: unknown) => fail(nth, error));
      timer = setTimeout(begin, delayMs);
    };
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    else begin();
  });
}
