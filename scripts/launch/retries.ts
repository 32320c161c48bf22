/** When the worker of a host is started again, after what pause, and when it is given up. */
import { countOf } from '../../protocol/counts.ts';
import { createRestarts } from '../run/restarts.ts';
import type { EndKind } from './worker-end.ts';

/** Of a host to which no connection has come about yet: most mistakes are found by the first attempt. */
const FIRST_PAUSES_MS: readonly number[] = [1000, 3000];
/** Of a host that was lost: it may start again, or its network. */
const LONGEST_PAUSE_MS = 30_000;
const SHORTEST_PAUSE_MS = 1000;

export type Verdict =
  /** The worker is started again after the pause. */
  | { readonly pauseMs: number }
  /** Why it is not: "died 5 times". */
  | { readonly givenUp: string };

export interface Retries {
  /** Judges an end. `nowMs`: when it came; `lifeMs`: how long the worker has worked. */
  readonly ended: (kind: Exclude<EndKind, 'done'>, nowMs: number, lifeMs: number) => Verdict;
}

/** `patienceMs`: how long a host that was lost is waited for. */
export function createRetries({ stepTimeoutMs, patienceMs }: Record<'stepTimeoutMs' | 'patienceMs', number>): Retries {
  const restarts = createRestarts(stepTimeoutMs);
  let hasWorked = false;
  /** Attempts without a connection since the last that had one, and since when. */
  let numFailed = 0;
  let failingSinceMs = 0;
  return {
    ended(kind, nowMs, lifeMs) {
      switch (kind) {
        case 'hopeless':
          return { givenUp: 'cannot work' };
        case 'lost': {
          [hasWorked, numFailed, failingSinceMs] = [true, 0, nowMs];
          const why = restarts.died(lifeMs);
          return why === undefined ? { pauseMs: 0 } : { givenUp: why };
        }
        case 'unreachable': {
          const pauseMs = hasWorked
            ? Math.min(LONGEST_PAUSE_MS, SHORTEST_PAUSE_MS * 2 ** numFailed)
            : FIRST_PAUSES_MS[numFailed];
          numFailed++;
          const waitedMs = nowMs - failingSinceMs;
          if (hasWorked && waitedMs > patienceMs)
            return { givenUp: `was not there for ${Math.round(waitedMs / 1000)} s` };
          return pauseMs === undefined ? { givenUp: `failed ${countOf(numFailed, 'time')}` } : { pauseMs };
        }
      }
    },
  };
}
