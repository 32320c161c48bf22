/**
 * Patience: how long a member's next answer may take, learnt from how long its answers took. So a worker that hangs is
 * found in seconds where steps take milliseconds. Silence alone, pings that nobody answers, counts only after the longest
 * of these waits: see `members/limits.ts`.
 */
import type { Member } from '../members/member.ts';

/** A worker may be held up so long by what goes on on its machine. */
const LEAST_MS = 3000;
/** And by so many times its longest answer of late. */
const FACTOR = 10;
/** Of late: in the last so many answers, and up to so many before. One that was held up once is soon found again. */
const ANSWERS_OF_LATE = 100;
/** The first answers compile code and touch memory: nothing is learnt before there were so many. */
const ANSWERS_TO_LEARN = 3;

export interface Patience {
  /** Milliseconds that an answer of the member may take, whole ones. */
  of(member: Member): number;
  /** Tells how long one took. */
  observe(member: Member, milliseconds: number): void;
}

interface Seen {
  /** Since the member came. */
  count: number;
  /** The longest of the answers since `count` was last a multiple of `ANSWERS_OF_LATE`, and of as many before. */
  longestMs: number;
  longestBeforeMs: number;
}

/** `mostMs` bounds every wait. */
export function createPatience(mostMs: number): Patience {
  const seen = new WeakMap<Member, Seen>();
  return {
    of(member) {
      const { count, longestMs, longestBeforeMs } = seen.get(member) ?? NOTHING;
      if (count < ANSWERS_TO_LEARN) return mostMs;
      return Math.min(mostMs, Math.max(LEAST_MS, Math.ceil(FACTOR * Math.max(longestMs, longestBeforeMs))));
    },
    observe(member, milliseconds) {
      const found = seen.get(member) ?? { ...NOTHING };
      seen.set(member, found);
      if (found.count++ % ANSWERS_OF_LATE === 0) {
        found.longestBeforeMs = found.longestMs;
        found.longestMs = 0;
      }
      found.longestMs = Math.max(found.longestMs, milliseconds);
    },
  };
}

const NOTHING: Seen = { count: 0, longestMs: 0, longestBeforeMs: 0 };

/** A step that takes so many times as long as usual, and so much more, has late members. */
const LATE_FACTOR = 2;
const LATE_MS = 200;
/** What is usual is the median over so many steps. */
const STEPS_KEPT = 9;

/** Pace: how long steps take until all answers are there, and so from when on those that are missing are late. */
export interface Pace {
  /** From a step's beginning; undefined as long as too few steps are known. */
  lateAfterMs(): number | undefined;
  observe(milliseconds: number): void;
}

/** `leastMs`: what a step may take beyond the usual in any case. */
export function createPace(leastMs = LATE_MS): Pace {
  const seen: number[] = [];
  return {
    lateAfterMs() {
      if (seen.length < ANSWERS_TO_LEARN) return undefined;
      const usualMs = [...seen].sort((a, b) => a - b)[seen.length >> 1]!;
      return Math.max(LATE_FACTOR * usualMs, usualMs + leastMs);
    },
    observe(milliseconds) {
      seen.push(milliseconds);
      if (seen.length > STEPS_KEPT) seen.shift();
    },
  };
}
