/**
 * What a worker joins: a URL and a token. Where they come from may change under way: a join file may not be there yet, may
 * be that of the job before, and is written anew by a coordinator that was started again on another port.
 */
import { ConfigError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import { NotYet } from './waiting.ts';

export interface JoinTarget {
  /** "ws://HOST:PORT", without a token. */
  readonly url: string;
  /** Further addresses of the same coordinator, likewise. Default: none are known. */
  readonly otherUrls?: readonly string[];
  /** The run's; for a run without one undefined. */
  readonly token: string | undefined;
}

export interface TargetSource {
  /** For the middle of a sentence: "the join file /run/join". */
  readonly what: string;
  /** The target as it is now. Throws `NotYet` while there is none, `ConfigError` for what is no target. */
  read(): JoinTarget;
  /** Whether `read` may return another one later. */
  readonly canChange: boolean;
}

export interface FollowedTarget {
  /** The target for the next attempt. Throws `NotYet` while there is none, or only one that was refused a moment ago. */
  next(): JoinTarget;
  /** The last target was not joined, for this reason; returns what is waited for, where there may be another target. */
  refused(reason: Error): NotYet | undefined;
  /** The coordinator of the last target took this worker. */
  isRight(): void;
}

/** The same URL may be right later: a port and a token that are given are those of the next run too. */
const REFUSED_FOR_MS = LIMITS.waitingLineMs;

/** A target that is read anew for each attempt. */
export function followTarget(source: TargetSource): FollowedTarget {
  let last: JoinTarget | undefined;
  let joined: JoinTarget | undefined;
  let refused: { target: JoinTarget; notYet: NotYet; untilMs: number } | undefined;

  /** While a coordinator that was lost is waited for, its file may be gone. */
  const readOrJoined = (): JoinTarget => {
    try {
      return source.read();
    } catch (error) {
      if (joined && (error instanceof NotYet || error instanceof ConfigError)) return joined;
      throw error;
    }
  };

  return {
    next() {
      const target = readOrJoined();
      if (refused && isSame(target, refused.target) && performance.now() < refused.untilMs) {
        throw refused.notYet;
      }
      last = target;
      return target;
    },
    refused({ message }) {
      if (!source.canChange || !last) return undefined;
      const cure = `start the coordinator that writes ${source.what}`;
      const notYet = new NotYet(
        `a new join URL in ${source.what}`,
        `at ${urlsOf(last).join(' or ')}: ${message}`,
        cure,
      );
      refused = { target: last, notYet, untilMs: performance.now() + REFUSED_FOR_MS };
      return notYet;
    },
    isRight() {
      joined = last;
    },
  };
}

/** All addresses of a target, the likeliest first. */
export function urlsOf({ url, otherUrls = [] }: JoinTarget): readonly string[] {
  return [url, ...otherUrls];
}

function isSame(one: JoinTarget, other: JoinTarget): boolean {
  return urlsOf(one).join(' ') === urlsOf(other).join(' ') && one.token === other.token;
}
