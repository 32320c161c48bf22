/**
 * The state of a ring's members, which the coordinator does not see as it changes: all members prove theirs, and one that
 * has what most have sends it.
 */
import { ProtocolError } from '../../../protocol/errors.ts';
import { sha256Of } from '../../../protocol/state/replica.ts';
import type { Replica } from '../../../protocol/state/replica.ts';
import type { MessageOf } from '../../../protocol/wire/messages.ts';
import { receiveKind } from '../../../protocol/wire/transport.ts';
import type { Fleet } from '../../members/fleet.ts';
import type { Member } from '../../members/member.ts';
import type { Confirmation } from '../../members/state-proof.ts';

export interface BringHomeOptions {
  readonly fleet: Pick<Fleet, 'members' | 'lose'>;
  /** The coordinator's: follows. */
  readonly replica: Replica;
  /** Where all members stand. */
  readonly step: number;
  /** For each answer. */
  readonly timeoutMs: number;
}

/** A member's proof of its state. */
interface Proof extends Confirmation {
  readonly parametersSha256: string;
  readonly snapshot?: MessageOf<'snapshot'>;
}

/**
 * Brings the replica to `step`, where all of `members` stand. A member is lost that does not answer, or whose
 * parameters are not those that more than half have: without a majority, nobody can tell which are right. Returns the
 * proofs of the members that are left. When there are none, the replica is as it was.
 */
export async function bringHome(members: readonly Member[], options: BringHomeOptions): Promise<Confirmation[]> {
  const { fleet, replica, step } = options;
  const isLeft = ({ member }: Proof): boolean => fleet.members.includes(member);
  const proveAll = (of: readonly Member[], sender: Member | undefined) =>
    Promise.all(of.map((member) => prove(member, member === sender, options)));

  let proofs = (await proveAll(members, members[0])).filter((proof) => proof !== undefined);
  const hashes = proofs.map(({ parametersSha256 }) => parametersSha256);
  const agreed = hashes.find((hash) => 2 * hashes.filter((other) => other === hash).length > hashes.length);
  for (const { member, parametersSha256 } of proofs) {
    if (parametersSha256 === agreed) continue;
    const message = `its parameters at step ${step} are not those of ${agreed ? 'the others' : 'another'}`;
    fleet.lose(member, step, new ProtocolError('ERR_STATE_MISMATCH', message, { step }));
  }
  proofs = proofs.filter(isLeft);
  // The first was asked along with its proof; if it failed, another is.
  while (proofs.length > 0) {
    const { member, snapshot } = proofs.find((proof) => proof.snapshot) ?? proofs[0]!;
    if (snapshot) {
      replica.restore(snapshot.payload, step);
      member.transport.recycle(snapshot.payload);
      return proofs;
    }
    const [again] = await proveAll([member], member);
    proofs = proofs.filter(isLeft);
    if (again) proofs = [again, ...proofs.filter((proof) => proof.member !== member)];
  }
  return [];
}

/** Asks a member for its proof, and for its state before it. One that fails is lost. */
async function prove(
  member: Member,
  sendState: boolean,
  { fleet, replica, step, timeoutMs }: BringHomeOptions,
): Promise<Proof | undefined> {
  const { transport } = member;
  try {
    transport.send({ kind: 'ringProve', sendState });
    const snapshot = sendState ? await receiveKind(transport, timeoutMs, 'snapshot') : undefined;
    const applied = await receiveKind(transport, timeoutMs, 'applied');
    const atMs = performance.now();
    for (const { step: found } of snapshot ? [snapshot, applied] : [applied]) {
      if (found === step) continue;
      const message = `a state of step ${found}, expected the one of step ${step}`;
      throw new ProtocolError('ERR_STATE_MISMATCH', message, { step });
    }
    const { parametersSha256, applyMs, hashMs, moments } = applied;
    if (snapshot) checkState(snapshot, parametersSha256, replica);
    const told = { ...(snapshot && { snapshot }), ...(moments && { moments }) };
    return { member, atMs, applyMs, hashMs, parametersSha256, ...told };
  } catch (error) {
    fleet.lose(member, step, error);
    return undefined;
  }
}

/** A state is checked before it is taken over: the replica has no other. */
function checkState({ payload, step }: MessageOf<'snapshot'>, expected: string, { state, parameters }: Replica): void {
  if (payload.length === state.length && sha256Of(payload.subarray(0, parameters.length)) === expected) return;
  throw new ProtocolError('ERR_STATE_MISMATCH', `its state of step ${step} does not have its hash`, { step });
}
