/** Confirm: a member's proof that it holds the replica's state. */
import { ProtocolError } from '../../protocol/errors.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import { receiveKind } from '../../protocol/wire/transport.ts';
import type { Member } from '../membership.ts';
import type { Confirmation } from './all-reduce.ts';

/** Waits for a member's `applied` and compares its state with the replica's. */
export async function confirmMember(member: Member, replica: Replica, timeoutMs: number): Promise<Confirmation> {
  const { step, parametersSha256, applyMs, hashMs } = await receiveKind(member.transport, timeoutMs, 'applied');
  const atMs = performance.now();
  if (step !== replica.step || parametersSha256 !== replica.parametersSha256()) {
    throw new ProtocolError(
      'ERR_STATE_MISMATCH',
      `its parameters at step ${step} are not the coordinator's at step ${replica.step}`,
    );
  }
  return { member, atMs, applyMs, hashMs };
}
