/** Waiting room: workers that are ready and have been told nothing yet. One whose connection ends is not waiting any more. */
import { ProtocolError } from '../../protocol/errors.ts';
import type { Member } from './member.ts';

export interface WaitingRoom {
  readonly size: number;
  enter(member: Member): void;
  /** Tells all of them to keep waiting. */
  hold(): void;
  /** Lets out those who came first, no more than `most`. */
  leave(most?: number): Member[];
}

export function createWaitingRoom(): WaitingRoom {
  const waiting = new Set<Member>();
  return {
    get size() {
      return waiting.size;
    },
    enter(member) {
      waiting.add(member);
      void member.transport.closed.then(() => waiting.delete(member));
    },
    hold() {
      for (const { transport } of waiting) {
        try {
          transport.send({ kind: 'hold' });
        } catch (error) {
          // Its connection has ended: it is about to leave by itself.
          if (!(error instanceof ProtocolError)) throw error;
        }
      }
    },
    leave(most = Infinity) {
      const first = [...waiting].slice(0, Math.max(0, most));
      for (const member of first) waiting.delete(member);
      return first;
    },
  };
}
