/**
 * Retry policy: whether another ring is worth a try after those that have failed. After some failures none is tried any
 * more.
 */
import type { Member } from '../../members/member.ts';
import type { Conversation } from './conversation.ts';
import { countOf } from '../../../protocol/counts.ts';

export interface RetryPolicy {
  /** Why there should be no ring of this many members now; undefined where there should be one. */
  objection(numMembers: number): string | undefined;
  /** Whether there should be no ring ever again. */
  readonly areOver: boolean;
  /** Two members whose link has failed: better not neighbours. */
  readonly apart: readonly [Member, Member] | undefined;
  /** A ring has ended, or could not be formed. */
  failed(conversation: Pick<Conversation, 'end' | 'hasLost'>): void;
  /** A ring has completed a step. */
  succeeded(): void;
  /** An epoch begins: what was only a row of losses is forgotten. */
  epochBegins(): void;
}

/**
 * Without a completed step between them. Nobody was lost: members cannot reach each other, and will not a third time.
 */
const MOST_UNEXPLAINED = 2;
/** Each lost a member, and new ones may come and be lost for ever: in a star the step is completed by the others. */
const MOST_WITH_LOSSES = 4;

export function createRetryPolicy(): RetryPolicy {
  let numUnexplained = 0;
  let numWithLosses = 0;
  let lastReason = '';
  let apart: RetryPolicy['apart'];
  const areOver = () => numUnexplained >= MOST_UNEXPLAINED;
  return {
    get areOver() {
      return areOver();
    },
    get apart() {
      return apart;
    },
    objection(numMembers) {
      if (areOver()) return lastReason;
      if (numMembers < 2) return 'a ring needs two workers or more';
      return numWithLosses >= MOST_WITH_LOSSES
        ? `${countOf(numWithLosses, 'ring')} in a row have lost a worker`
        : undefined;
    },
    failed({ end, hasLost }) {
      if (hasLost) {
        numWithLosses++;
        return;
      }
      numUnexplained++;
      if (!end) return;
      lastReason = end.reason;
      apart = end.between ?? apart;
    },
    succeeded() {
      numUnexplained = 0;
      numWithLosses = 0;
    },
    epochBegins() {
      numWithLosses = 0;
    },
  };
}
