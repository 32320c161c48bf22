/** State proof: how a member comes by the state of the coordinator's replica, and proves that it holds it. */
import { ProtocolError } from '../../protocol/errors.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import type { MessageOf } from '../../protocol/wire/messages.ts';
import type { Moments } from '../../protocol/wire/moments.ts';
import { receiveKind } from '../../protocol/wire/transport.ts';
import type { Member } from './member.ts';

/** What members' proofs are compared with. */
export type ExpectedState = Pick<Replica, 'step' | 'parametersSha256'>;

/** The replica's state, hashed once for all members that prove it. Only as long as the replica does not change. */
export function hashedOnce(replica: Pick<Replica, 'step' | 'state' | 'parametersSha256'>) {
  let sum: string | undefined;
  const { step, state } = replica;
  return { step, state, parametersSha256: () => (sum ??= replica.parametersSha256()) };
}

/** When a member's proof came, and what its last update took: milliseconds. */
export interface Confirmation {
  readonly member: Member;
  readonly atMs: number;
  readonly applyMs: number;
  readonly hashMs: number;
  /** After a step that is traced: when what was done, by the member's clock. */
  readonly moments?: Moments;
}

/** What a member may still send of a step when it owes the proof of the state after it. */
export const PARTS = ['gradientBucket', 'gradient', 'notFinite'] as const;
export type Part = MessageOf<(typeof PARTS)[number]>;

/**
 * Waits for a member's `applied` and compares its state with the one that is expected. Parts of sums that come before it are skipped
 * where `isSuperseded` says that another member's answer was taken instead; any other part is an error.
 */
export async function confirmMember(
  member: Member,
  expected: ExpectedState,
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
  const { step, parametersSha256, applyMs, hashMs, moments } = answer;
  const atMs = performance.now();
  if (step !== expected.step || parametersSha256 !== expected.parametersSha256()) {
    throw new ProtocolError(
      'ERR_STATE_MISMATCH',
      `its parameters at step ${step} are not the coordinator's at step ${expected.step}`,
    );
  }
  return { member, atMs, applyMs, hashMs, ...(moments && { moments }) };
}

/** Gives a member the whole state, which must not change until this settles. Rejects when it does not prove that it has it. */
export async function giveState(
  member: Member,
  given: ExpectedState & Pick<Replica, 'state'>,
  timeoutMs: number,
): Promise<void> {
  const { step, state } = given;
  member.transport.send({ kind: 'snapshot', step, parametersSha256: given.parametersSha256(), payload: state });
  await confirmMember(member, given, timeoutMs);
}
