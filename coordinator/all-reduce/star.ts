/**
 * Star all-reduce: every worker sends its sums to the coordinator, which completes the fixed reduction tree, divides by
 * the samples, and sends the average back to everyone.
 *
 * Each update is answered: by gradients of the next step, or by proof of the state it led to. So no vector that is
 * still being sent is ever written to.
 */
import { ProtocolError } from '../../protocol/errors.ts';
import { createReducer } from '../../protocol/state/reduction.ts';
import type { Reducer } from '../../protocol/state/reduction.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import { plainVectorMath } from '../../protocol/state/vector-math.ts';
import type { WireFormat } from '../../protocol/wire/encoding.ts';
import { receiveKind } from '../../protocol/wire/transport.ts';
import { createVectorCodec } from '../../protocol/wire/vector-codec.ts';
import { blame, blameNow } from '../blame.ts';
import { openLedger } from '../ledger.ts';
import type { Ledger } from '../ledger.ts';
import type { Member } from '../membership.ts';
import { assignmentOf } from '../step-plan.ts';
import type { AllReduce, Confirmation } from './all-reduce.ts';

/** A vector on its way up the tree. */
interface Summand {
  readonly values: Float32Array<ArrayBuffer>;
  /** Whether it was summed here: only then it may be written to. */
  readonly isOwn: boolean;
  /** Gives its memory back to where it came from. */
  release(): void;
}

export interface StarOptions {
  /** The longest wait for a member's answer. */
  readonly stepTimeoutMs: number;
  readonly wire: WireFormat;
}

/** `replica` is the coordinator's: its parameters are what every member's must equal. */
export function createStar(
  members: readonly Member[],
  replica: Replica,
  { stepTimeoutMs, wire }: StarOptions,
  vectorMath = plainVectorMath,
): AllReduce {
  const { addVectors, divideVector } = vectorMath;
  const length = replica.plan.numParameters + replica.plan.numBuffers;
  const codec = createVectorCodec(wire, replica.plan, vectorMath);
  const average = new Float32Array(length);
  /** The average as it travels. */
  const encodedAverage = codec.asBytes?.(average) ?? new Uint8Array(codec.payloadBytes);
  /** Vectors to sum into, kept from step to step. */
  const free: Float32Array<ArrayBuffer>[] = [];
  /** Members whose last update opened no step for them: they owe a proof instead of gradients. */
  const owingProof = new Set<Member>();

  const ownSummand = (): Summand => {
    const values = free.pop() ?? new Float32Array(length);
    return { values, isOwn: true, release: () => void free.push(values) };
  };

  /** A payload's vector: the payload itself where that can be, else decoded. */
  const receivedSummand = ({ transport }: Member, payload: Uint8Array<ArrayBuffer>): Summand => {
    const recycle = () => transport.recycle(payload);
    if (codec.asVector) return { values: codec.asVector(payload), isOwn: false, release: recycle };
    const summand = ownSummand();
    codec.decode(summand.values, payload);
    recycle();
    return summand;
  };

  /** Puts the average into the form in which everyone applies it. Returns whether it is still finite. */
  const encodeAverage = (): boolean => {
    if (codec.asBytes) return true;
    codec.encode(encodedAverage, average);
    codec.decode(average, encodedAverage);
    return divideVector(average, average, 1);
  };

  const combine = (left: Summand, right: Summand): Summand => {
    const sum = [left, right].find(({ isOwn }) => isOwn) ?? ownSummand();
    addVectors(sum.values, left.values, right.values);
    for (const summand of [left, right]) if (summand !== sum) summand.release();
    return sum;
  };

  /** Receives everything that one member owes; returns the root of the tree if this member's part completed it. */
  const collectFrom = async (member: Member, ledger: Ledger, reducer: Reducer<Summand>) => {
    let root: Summand | undefined;
    const arrival = { member, atMs: 0, numSamples: 0, computeMs: 0, encodeMs: 0, applyMs: 0 };
    while (!ledger.isDone(member)) {
      const result = await receiveKind(member.transport, stepTimeoutMs, 'gradient');
      arrival.atMs = performance.now();
      const summand = receivedSummand(member, result.payload);
      const node = ledger.enter(member, result);
      arrival.computeMs += result.computeMs;
      arrival.encodeMs += result.encodeMs;
      arrival.applyMs = result.applyMs;
      for (const { numSamples } of result.microbatches) arrival.numSamples += numSamples;
      root ??= reducer.add(node, summand)?.value;
    }
    return { arrival, root };
  };

  /** Takes the proofs that are owed, and compares each with the replica. */
  const takeProofs = async (): Promise<Confirmation[]> => {
    const members = [...owingProof];
    owingProof.clear();
    return Promise.all(
      members.map((member) => blame(member, replica.step, () => confirmMember(member, replica, stepTimeoutMs))),
    );
  };

  return {
    open(plan) {
      for (const member of members) {
        const assignment = assignmentOf(plan, member);
        if (assignment) blameNow(member, plan.step, () => member.transport.send({ kind: 'step', assignment }));
      }
    },

    async collect(plan) {
      const ledger = openLedger(plan);
      const reducer = createReducer<Summand>(
        plan.numMicrobatches,
        [{ first: 0, count: plan.numMicrobatches }],
        combine,
      );
      const gradients = [...plan.shares.keys()].map((member) =>
        blame(member, plan.step, () => collectFrom(member, ledger, reducer)),
      );
      const [parts] = await Promise.all([Promise.all(gradients), takeProofs()]);
      const totals = ledger.close();
      const root = parts.find((part) => part.root)!.root!;
      const isFinite =
        divideVector(average, root.values, totals.numSamples) && Number.isFinite(totals.lossSum) && encodeAverage();
      root.release();
      const arrivals = parts.map((part) => part.arrival).sort((a, b) => a.atMs - b.atMs);
      return { totals, isFinite, arrivals };
    },

    distribute({ step, rates }, next) {
      const payload = encodedAverage;
      for (const member of members) {
        const assignment = next && assignmentOf(next, member);
        const opening = assignment ? { next: assignment } : {};
        if (!assignment) owingProof.add(member);
        blameNow(member, step, () => member.transport.send({ kind: 'update', step, rates, ...opening, payload }));
      }
    },

    apply: ({ step, rates }) => replica.applyUpdate(average, rates, step),

    confirm: takeProofs,
  };
}

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
