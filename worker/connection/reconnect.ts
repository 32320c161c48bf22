/**
 * Rejoining: a worker whose coordinator is gone waits for it to come back, with growing pauses.
 *
 * Only a connection that was lost, or was silent for too long, is waited out, and a state that went astray replaced. A
 * coordinator that ends the run or refuses this worker has spoken, and so has an error of this worker's own. A refusal is
 * no last word where the join URL may change: see `join-target.ts`.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { ProtocolError } from '../../protocol/errors.ts';
import { RunEnded } from '../../protocol/wire/transport.ts';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5000;

/**
 * The pause before attempt `attempt` (from 0): 0.1 s, doubled each time up to 5 s, of which a random half is taken off so
 * that workers do not all come at once.
 */
export function pauseMs(attempt: number, random: () => number = Math.random): number {
  return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempt, 16)) * (1 - random() / 2);
}

/**
 * Whether the connection was lost or silent for too long, but not by the coordinator's word; or the coordinator found that
 * this worker's state is not its own: then it is sent the state anew when it joins again.
 */
export function isLost(error: unknown): error is ProtocolError {
  if (!(error instanceof ProtocolError) || error instanceof RunEnded) return false;
  return ['ERR_CLOSED', 'ERR_TIMEOUT', 'ERR_STATE_MISMATCH'].includes(error.code);
}

/** Whether a coordinator refused this worker by its token, or because its run takes nobody any more. */
export function isRefused(error: unknown): error is ProtocolError {
  return error instanceof ProtocolError && ['ERR_UNAUTHENTICATED', 'ERR_RUN_FULL'].includes(error.code);
}

export interface RejoinOptions<Connection> {
  /** Gives up this long after a loss; 0: at once. */
  readonly patienceMs: number;
  /** Keeps trying for up to `patienceMs`, or, before there was a loss, for as long as it sees fit. */
  readonly connect: (patienceMs: number | undefined) => Promise<Connection>;
  /** Whether a refusal is no last word: `connect` looks for another coordinator. Called once for each. */
  readonly looksFurther?: (refusal: ProtocolError) => boolean;
  /** Takes part in a run until its end; calls `onReady` when it has got as far as to be of use to it. */
  readonly work: (connection: Connection, onReady: () => void) => Promise<string>;
  readonly signal: AbortSignal;
  /** One line for each loss and for each return. */
  readonly warn: (line: string) => void;
}

/**
 * Connects and works until a run ends; returns the reason that its coordinator gave. Connections that are lost before
 * they are of use share one `patienceMs`, so a coordinator that fails every time is not tried for ever.
 *
 * Rejects with the error of a connection that was lost when there is no patience left, and with any other error at once.
 */
export async function workAndRejoin<Connection>(options: RejoinOptions<Connection>): Promise<string> {
  const { patienceMs, connect, looksFurther, work, signal, warn } = options;
  let deadlineMs: number | undefined;
  let attempt = 0;
  const leftMs = () => (deadlineMs === undefined ? undefined : Math.max(0, deadlineMs - performance.now()));
  for (;;) {
    const connection = await connect(leftMs());
    if (deadlineMs !== undefined) warn('the coordinator is back: joining again');
    try {
      return await work(connection, () => {
        deadlineMs = undefined;
        attempt = 0;
      });
    } catch (error) {
      if (!signal.aborted && isRefused(error) && looksFurther?.(error) && leftMs() !== 0) continue;
      if (signal.aborted || !isLost(error) || patienceMs === 0 || leftMs() === 0) throw error;
      if (deadlineMs === undefined) warn(`${error.message}: trying again for up to ${patienceMs / 1000} s`);
      deadlineMs ??= performance.now() + patienceMs;
      await delay(pauseMs(attempt++), undefined, { signal });
    }
  }
}
