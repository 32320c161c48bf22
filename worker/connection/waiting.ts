/** Waiting for what is not there yet: tries again with growing pauses, and says every 10 s for what. */
import { ProtocolError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import { pauseMs } from './reconnect.ts';

/** What an attempt needs is not there yet: another attempt may find it. */
export class NotYet extends Error {
  override readonly name = 'NotYet';
  /** What is waited for, for the middle of a sentence: "a coordinator at ws://10.0.0.1:7878". */
  readonly awaited: string;
  /** What to do when it never comes. */
  readonly cure: string;

  /** `why`: what the attempt found in its place. */
  constructor(awaited: string, why: string, cure: string) {
    super(why);
    this.awaited = awaited;
    this.cure = cure;
  }
}

export interface WaitOptions {
  /** From the first attempt on; 0 makes one attempt. */
  readonly patienceMs: number;
  readonly signal: AbortSignal;
  /** Told what is waited for: at the first attempt that fails, then every `LIMITS.waitingLineMs`. */
  readonly say?: (line: string) => void;
}

/**
 * The result of the first attempt that does not reject with `NotYet`. An attempt that is under way at the deadline is
 * not cut short.
 *
 * Rejects with `ProtocolError` ERR_CLOSED at the deadline, with the signal's reason, and with any other error of an
 * attempt at once.
 */
export async function waitFor<T>(attempt: () => T | Promise<T>, options: WaitOptions): Promise<T> {
  const { patienceMs, signal, say } = options;
  const startMs = performance.now();
  const waitedMs = () => performance.now() - startMs;
  const leftMs = () => patienceMs - waitedMs();
  let missing: NotYet | undefined;
  const tell = () => {
    if (missing) say?.(`waiting for ${missing.awaited}, ${seconds(leftMs())} s left (${missing.message})`);
  };
  const lines = setInterval(tell, LIMITS.waitingLineMs);
  try {
    for (let number = 0; ; number++) {
      signal.throwIfAborted();
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof NotYet)) throw error;
        const isFirst = missing === undefined;
        missing = error;
        if (leftMs() <= 0) throw givenUp(missing, waitedMs());
        if (isFirst) tell();
      }
      await sleep(Math.min(pauseMs(number), Math.max(0, leftMs())), signal);
    }
  } finally {
    clearInterval(lines);
  }
}

const seconds = (ms: number) => Math.max(0, Math.round(ms / 1000));

function givenUp(missing: NotYet, waitedMs: number): ProtocolError {
  const { awaited, message, cure } = missing;
  const text = `gave up waiting for ${awaited} after ${seconds(waitedMs)} s (${message}): ${cure}`;
  return new ProtocolError('ERR_CLOSED', text, { cause: missing });
}

/** Rejects with the signal's reason as soon as it is aborted. */
function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    }, ms);
    signal.addEventListener('abort', abort, { once: true });
  });
}
