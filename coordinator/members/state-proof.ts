/** Confirm: a member's proof that it holds the replica's state. */
import { ProtocolError } from '../../protocol/errors.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import type { MessageOf } from '../../protocol/wire/messages.ts';
import { receiveKind } from '../../protocol/wire/transport.ts';
import type { Member } from './membership.ts';
import type { Confirmation } from '../all-reduce/all-reduce.ts';

/** What a member may still send of a step when it owes the proof of the state after it. */
export const PARTS = ['gradientBucket', 'gradient', 'notFinite'] as const;
export type Part = MessageOf<(typeof PARTS)[number]>;

/**
 * Waits for a member's `applied` and compares its state with the replica's. Parts of sums that come before it are skipped
 * where `isSuperseded` says that another member's answer was taken instead; any other part is an error.
 */
export async function confirmMember(
  member: Member,
  replica: Replica,
  timeoutMs: number,
  isSuperseded: (part: Part) => boolean = () => false,
): Promise<Confirmation> {
  const { transport } = member;
  let answer = await receiveKind(transport, timeoutMs, 'applied', ...PARTS);
  while (answer.kind !== 'applied') {
    if (!isSuperseded(answer)) {
      throw new ProtocolError('ERR_UNEXPECTED_MESSAGE', `expected applied, got ${answer.kind}`);
    }
    if ('payload' in answer) transport.recycle(answer.payload);
    answer = await receiveKind(transport, timeoutMs, 'applied', ...PARTS);
  }
  const { step, parametersSha256, applyMs, hashMs } = answer;
  const atMs = performance.now();
  if (step !== replica.step || parametersSha256 !== replica.parametersSha256()) {
    throw new ProtocolError(
      'ERR_STATE_MISMATCH',
      `its parameters at step ${step} are not the coordinator's at step ${replica.step}`,
    );
  }
  return { member, atMs, applyMs, hashMs };
}
