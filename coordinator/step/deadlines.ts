/**
 * Deadlines: how long a member's next answer may take, learnt from how long its answers took. So a worker that hangs is
 * found in seconds where steps take milliseconds. Silence alone, pings that nobody answers, counts only after the longest
 * of these waits: see `members/limits.ts`.
 */
import type { Member } from '../members/member.ts';

/** The shortest deadline: other programs may hold a worker up for that long. */
const LEAST_MS = 3000;
/** A deadline is this many times the member's longest recent answer. */
const FACTOR = 10;
/** Recent: among the last 100 to 200 answers. After one long answer, deadlines are soon short again. */
const RECENT_ANSWERS = 100;
/** Nothing is learnt from fewer answers: the first ones compile code and touch memory. */
const ANSWERS_TO_LEARN = 3;

export interface Deadlines {
  /** Milliseconds that an answer of the member may take, whole ones. */
  of(member: Member): number;
  /** Tells how long one took. */
  observe(member: Member, milliseconds: number): void;
}

interface Seen {
  /** Since the member came. */
  count: number;
  /** The longest of the answers since `count` was last a multiple of `RECENT_ANSWERS`, and of as many before. */
  longestMs: number;
  longestBeforeMs: number;
}

/** `mostMs` bounds every wait. */
export function createDeadlines(mostMs: number): Deadlines {
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
      if (found.count++ % RECENT_ANSWERS === 0) {
        found.longestBeforeMs = found.longestMs;
        found.longestMs = 0;
      }
      found.longestMs = Math.max(found.longestMs, milliseconds);
    },
  };
}

const NOTHING: Seen = { count: 0, longestMs: 0, longestBeforeMs: 0 };

/** A step has late members when it takes twice as long as usual, and 200 ms longer. */
const LATE_FACTOR = 2;
const LATE_MS = 200;
/** The usual time is the median over the last 9 steps. */
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
