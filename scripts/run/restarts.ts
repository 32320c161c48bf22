/** When a local worker that died is started again, and what is said when it is not. */
import { countOf } from '../../protocol/counts.ts';

/** A life shorter than this is a failed start: the same would happen again at once. */
const SHORT_LIFE_MS = 3000;
const MOST_SHORT_LIVES = 3;

/** Deaths of one worker that a run bears until one of its lives proves that it can work. */
const MOST_DEATHS = 5;
/** Long enough for many steps of any model; also several steps that miss their deadline. */
const PROVEN_LIFE_MS = 600_000;
const PROVEN_STEPS = 3;

export interface Restarts {
  /** Counts a death after a life of `lifeMs`. Returns undefined when the worker is to be started again, else why not. */
  died(lifeMs: number): string | undefined;
}

/** The deaths of one worker in a run whose steps may take `stepTimeoutMs`. */
export function createRestarts(stepTimeoutMs: number): Restarts {
  const provenMs = Math.max(PROVEN_LIFE_MS, PROVEN_STEPS * stepTimeoutMs);
  let numShortLives = 0;
  let numDeaths = 0;
  return {
    died(lifeMs) {
      numShortLives = lifeMs < SHORT_LIFE_MS ? numShortLives + 1 : 0;
      numDeaths = lifeMs < provenMs ? numDeaths + 1 : 1;
      if (numShortLives >= MOST_SHORT_LIVES)
        return `ended within ${SHORT_LIFE_MS / 1000} s of its start ${countOf(numShortLives, 'time')}`;
      if (numDeaths >= MOST_DEATHS) return `died ${countOf(numDeaths, 'time')}`;
      return undefined;
    },
  };
}
