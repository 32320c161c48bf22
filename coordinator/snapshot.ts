/** Snapshots: how members come by the state that the coordinator's replica has. */
import type { Replica } from '../protocol/state/replica.ts';
import { confirmMember } from './all-reduce/confirm.ts';
import { blame } from './blame.ts';
import type { Member } from './membership.ts';

/** Gives every member the whole state, and waits for the proof that it has it. */
export async function synchronise(members: readonly Member[], replica: Replica, timeoutMs: number): Promise<void> {
  const parametersSha256 = replica.parametersSha256();
  await Promise.all(
    members.map((member) =>
      blame(member, undefined, () => {
        member.transport.send({ kind: 'snapshot', step: replica.step, parametersSha256, payload: replica.state });
        return confirmMember(member, replica, timeoutMs);
      }),
    ),
  );
}
