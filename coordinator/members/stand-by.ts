/** What workers without work, and the user, are told of why that is. */
import type { Transport } from '../../protocol/wire/transport.ts';
import type { Member } from './member.ts';

export const RING_TAKES_IN_LATER = 'the ring takes in workers between epochs';

/** Why a worker has no work where each microbatch of a step has another worker. */
export function whyNoWork(numMicrobatches: number): string {
  if (numMicrobatches === 1) return 'the only microbatch of a step has a worker; it takes its place when that is lost';
  return `each of the ${numMicrobatches} microbatches of a step has a worker; it takes the place of one that is lost`;
}

/** Why a worker has no work where the run has the most workers that it may have, fewer than microbatches. */
export function whyNoPlace(maxWorkers: number): string {
  const workers = maxWorkers === 1 ? 'its one worker' : `its ${maxWorkers} workers`;
  return `the run has ${workers} (--max-workers ${maxWorkers}); this one takes the place of one that is lost`;
}

export interface StandByNotices {
  /** Tells a worker and the user why it stands by, each reason once. */
  tell(member: Member, reason: string): void;
  /** It stands by no more: should it again, that is said again. */
  forget(member: Member): void;
}

/** `say`: tells the user. */
export function createStandByNotices(say: (line: string) => void): StandByNotices {
  const told = new WeakMap<Transport, string>();
  return {
    tell({ name, id, transport }, reason) {
      if (told.get(transport) === reason) return;
      told.set(transport, reason);
      say(`${name} (${id}) stands by: ${reason}`);
      transport.send({ kind: 'standBy', reason });
    },
    forget: ({ transport }) => void told.delete(transport),
  };
}
