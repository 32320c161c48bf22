/** Snapshots: how members come by the state that the coordinator's replica has. */
import type { Replica } from '../../protocol/state/replica.ts';
import { confirmMember } from './state-proof.ts';
import type { Fleet } from './fleet.ts';
import type { Member } from './membership.ts';

/** Gives every member the whole state, and waits for the proof that it has it. One that fails is lost. */
export async function synchronise(fleet: Fleet, replica: Replica, timeoutMs: number): Promise<void> {
  await Promise.all(
    [...fleet.members].map((member) =>
      giveState(member, replica, timeoutMs).catch((error: unknown) => fleet.lose(member, undefined, error)),
    ),
  );
}

/** Gives a member the whole state, which must not change until this settles. Rejects when it does not prove that it has it. */
export async function giveState(member: Member, replica: Replica, timeoutMs: number): Promise<void> {
  const { step, state } = replica;
  member.transport.send({ kind: 'snapshot', step, parametersSha256: replica.parametersSha256(), payload: state });
  await confirmMember(member, replica, timeoutMs);
}
