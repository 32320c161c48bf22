/** Snapshots: how members come by the state that the coordinator's replica has. */
import type { Replica } from '../protocol/state/replica.ts';
import { confirmMember } from './all-reduce/confirm.ts';
import type { Fleet } from './fleet.ts';

/** Gives every member the whole state, and waits for the proof that it has it. One that fails is lost. */
export async function synchronise(fleet: Fleet, replica: Replica, timeoutMs: number): Promise<void> {
  const parametersSha256 = replica.parametersSha256();
  await Promise.all(
    [...fleet.members].map(async (member) => {
      try {
        member.transport.send({ kind: 'snapshot', step: replica.step, parametersSha256, payload: replica.state });
        await confirmMember(member, replica, timeoutMs);
      } catch (error) {
        fleet.lose(member, undefined, error);
      }
    }),
  );
}
