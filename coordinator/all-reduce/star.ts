/**
 * Star all-reduce: every worker sends its sums to the coordinator, which completes the fixed reduction tree, divides by
 * the samples, and sends the average back to everyone; bucket by bucket where vectors must be sent.
 *
 * Each update is answered: by gradients of the next step, or by proof of the state it led to. So no vector that is
 * still being sent is ever written to.
 */
import { ProtocolError } from '../../protocol/errors.ts';
import { createGradientExchange } from '../../protocol/state/exchange.ts';
import type { Exchange, VectorLayout } from '../../protocol/state/exchange.ts';
import type { TreeNode } from '../../protocol/state/reduction.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import { plainVectorMath } from '../../protocol/state/vector-math.ts';
import { bucketsOf, cutIntoBuckets } from '../../protocol/wire/buckets.ts';
import type { WireFormat } from '../../protocol/wire/encoding.ts';
import type { MessageOf } from '../../protocol/wire/messages.ts';
import { allocateOwn } from '../../protocol/wire/shared-memory.ts';
import type { PayloadAllocator } from '../../protocol/wire/shared-memory.ts';
import { receiveKind } from '../../protocol/wire/transport.ts';
import { blame, blameNow } from '../blame.ts';
import { openLedger } from '../ledger.ts';
import type { Ledger } from '../ledger.ts';
import type { Member } from '../membership.ts';
import { assignmentOf } from '../step-plan.ts';
import type { StepPlan } from '../step-plan.ts';
import type { AllReduce, Confirmation } from './all-reduce.ts';
import { createBucketAverage } from './bucket-average.ts';
import { areLocal } from './choose.ts';
import { confirmMember } from './confirm.ts';

export interface StarOptions {
  /** The longest wait for a member's answer. */
  readonly stepTimeoutMs: number;
  readonly wire: WireFormat;
  /** Where averages lie: in memory that members share, if any do. */
  readonly allocateAverage?: PayloadAllocator;
  /** How many buckets a vector is cut into; as many as pay when left out. */
  readonly numBuckets?: number;
  /** What travels; gradients when left out. */
  readonly exchange?: Exchange;
}

/** `replica` is the coordinator's: its parameters are what every member's must equal. */
export function createStar(
  members: readonly Member[],
  replica: Replica,
  options: StarOptions,
  vectorMath = plainVectorMath,
): AllReduce {
  const { stepTimeoutMs, wire, allocateAverage = allocateOwn, exchange = createGradientExchange(replica) } = options;
  const { layout } = exchange;
  const { numBuckets = bucketsFor(members, layout) } = options;
  const length = layout.numParameters + layout.numBuffers;
  // What travels lies where members may read it: the average itself, or its encoded form.
  const allocate = wire === 'f32' ? allocateAverage : allocateOwn;
  const averageBytes = allocate(length * Float32Array.BYTES_PER_ELEMENT);
  const average = new Float32Array(averageBytes.buffer, averageBytes.byteOffset, length);
  const buckets = cutIntoBuckets(layout, numBuckets).map((bucket) =>
    createBucketAverage(bucket, average, wire, vectorMath, allocateAverage),
  );
  const last = buckets.length - 1;
  /** Members whose last update opened no step for them: they owe a proof instead of gradients. */
  const owingProof = new Set<Member>();

  const openingOf = (plan: StepPlan, member: Member) => {
    const assignment = assignmentOf(plan, member);
    return assignment && { ...assignment, numBuckets: buckets.length };
  };

  /** Sends the finished average of a bucket to everyone; the last one goes with the update. */
  const sendAverage = (bucket: number, step: number) => {
    const { payload } = buckets[bucket]!;
    for (const member of members) {
      blameNow(member, step, () => member.transport.send({ kind: 'averageBucket', step, bucket, payload }));
    }
  };

  /** Receives everything that one member owes; `add` is called with every part of a vector. */
  const collectFrom = async (
    member: Member,
    ledger: Ledger,
    add: (bucket: number, node: TreeNode, payload: Uint8Array<ArrayBuffer>) => void,
  ) => {
    const arrival = { member, atMs: 0, numSamples: 0, computeMs: 0, encodeMs: 0, applyMs: 0 };
    let next = { bucket: 0, firstMicrobatch: -1 };
    while (!ledger.isDone(member)) {
      const result = await receiveKind(member.transport, stepTimeoutMs, 'gradientBucket', 'gradient');
      const bucket = result.kind === 'gradient' ? last : result.bucket;
      if (bucket !== next.bucket || (bucket > 0 && result.firstMicrobatch !== next.firstMicrobatch)) {
        const message = `bucket ${bucket} of microbatch ${result.firstMicrobatch}, expected bucket ${next.bucket}`;
        throw new ProtocolError('ERR_UNEXPECTED_MESSAGE', message);
      }
      next = { bucket: bucket === last ? 0 : bucket + 1, firstMicrobatch: result.firstMicrobatch };
      if (result.kind === 'gradientBucket') {
        add(bucket, ledger.expect(member, result), result.payload);
        continue;
      }
      arrival.atMs = performance.now();
      add(bucket, ledger.enter(member, result), result.payload);
      addTimes(arrival, result);
    }
    return arrival;
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
        const assignment = openingOf(plan, member);
        if (assignment) blameNow(member, plan.step, () => member.transport.send({ kind: 'step', assignment }));
      }
    },

    async collect(plan) {
      const ledger = openLedger(plan);
      for (const bucket of buckets) bucket.open(plan.numMicrobatches);
      // Whoever owes a proof may still be reading the average before.
      let mayBeRead = owingProof.size > 0;
      const complete: number[] = [];
      const verdicts: boolean[] = [];
      const finish = (bucket: number) => {
        verdicts.push(buckets[bucket]!.finish(exchange.divisorOf(plan.numSamples)));
        // Also one that is not finite: members wait for it before they send what follows, and apply none of it.
        if (bucket !== last) sendAverage(bucket, plan.step);
      };
      const proofs = takeProofs().then(() => {
        mayBeRead = false;
        for (const bucket of complete.splice(0)) finish(bucket);
      });
      const gradients = [...plan.shares.keys()].map((member) =>
        blame(member, plan.step, () =>
          collectFrom(member, ledger, (bucket, node, payload) => {
            if (!buckets[bucket]!.add(node, payload, member.transport)) return;
            if (mayBeRead) complete.push(bucket);
            else finish(bucket);
          }),
        ),
      );
      const [arrivals] = await Promise.all([Promise.all(gradients), proofs]);
      const totals = ledger.close();
      const isFinite = verdicts.every(Boolean) && Number.isFinite(totals.lossSum);
      return { totals, isFinite, arrivals: arrivals.sort((a, b) => a.atMs - b.atMs) };
    },

    distribute({ step, numSteps, rates }, next) {
      const steps = { step, rates, ...(numSteps > 1 && { numSteps }) };
      const { payload } = buckets[last]!;
      for (const member of members) {
        const assignment = next && openingOf(next, member);
        const opening = assignment ? { next: assignment } : {};
        if (!assignment) owingProof.add(member);
        blameNow(member, step, () => member.transport.send({ kind: 'update', ...steps, ...opening, payload }));
      }
    },

    apply: (plan) => exchange.apply(average, plan),

    confirm: takeProofs,
  };
}

/** One within a machine: what buckets gain is a link that carries both ways at once, and there is none. */
const bucketsFor = (members: readonly Member[], layout: VectorLayout): number =>
  areLocal(members) ? 1 : bucketsOf(layout);

function addTimes(
  arrival: { numSamples: number; computeMs: number; encodeMs: number; applyMs: number },
  result: MessageOf<'gradient'>,
): void {
  arrival.computeMs += result.computeMs;
  arrival.encodeMs += result.encodeMs;
  arrival.applyMs = result.applyMs;
  for (const { numSamples } of result.microbatches) arrival.numSamples += numSamples;
}
