/**
 * Idle watch: while members have nothing to do, finds at once which of them leave, fail or are gone. Nobody else receives from
 * them then.
 */
import { LIMITS } from '../../protocol/wire/limits.ts';
import { asKind, ReceiveInterrupted, ReceiveTimeout } from '../../protocol/wire/transport.ts';
import type { Fleet } from './fleet.ts';
import type { Member } from './member.ts';

export interface IdleWatch {
  /** Watches those too that have become members since. */
  extend(): void;
  /** Others may receive from the members again. */
  end(): void;
}

/** Watches nobody before `extend`. `onError`: told what is no member's fault. */
export function createIdleWatch(fleet: Pick<Fleet, 'members' | 'lose'>, onError: (error: unknown) => void): IdleWatch {
  const watched = new Set<Member>();
  const watch = async (member: Member): Promise<void> => {
    watched.add(member);
    try {
      asKind(await member.transport.receive(LIMITS.longestWaitMs, 'leave'), ['leave']);
    } catch (error) {
      if (error instanceof ReceiveInterrupted || error instanceof ReceiveTimeout) return;
      fleet.lose(member, undefined, error);
    } finally {
      watched.delete(member);
    }
  };
  return {
    extend() {
      for (const member of fleet.members) if (!watched.has(member)) watch(member).catch(onError);
    },
    end() {
      for (const { transport } of watched) transport.interrupt();
    },
  };
}
