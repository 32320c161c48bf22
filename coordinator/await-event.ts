/** Waits with a deadline for something that another part of the program tells of. */

/**
 * Waits until the function that `listen` is given is called, and no longer than `timeoutMs`. Resolves with whether it was
 * called in time; rejects with the signal's reason.
 */
export function awaitEvent(
  listen: (happened: () => void) => void,
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const stop = (settle: () => void) => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      settle();
    };
    const abort = () => stop(() => reject(signal!.reason as Error));
    const timer = setTimeout(() => stop(() => resolve(false)), timeoutMs);
    signal?.addEventListener('abort', abort);
    listen(() => stop(() => resolve(true)));
    if (signal?.aborted) abort();
  });
}
