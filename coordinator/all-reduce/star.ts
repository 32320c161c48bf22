/**
 * Star all-reduce: every worker sends its sums to the coordinator, which completes the fixed reduction tree, divides by
 * the samples, and sends the average back to everyone; bucket by bucket where vectors must be sent.
 *
 * Each update is answered: by gradients of the next step, or by proof of the state it led to. So no vector that is
 * still being sent is ever written to.
 *
 * A member that fails is lost, not the step: what it had not finished is given to the others, and the sum is the same
 * bits whoever computes it.
 */
import { ProtocolError } from '../../protocol/errors.ts';
import { createGradientExchange } from '../../protocol/state/exchange.ts';
import type { Exchange, VectorLayout } from '../../protocol/state/exchange.ts';
import type { TreeNode } from '../../protocol/state/reduction.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import type { Range } from '../../protocol/state/sharding.ts';
import { plainVectorMath } from '../../protocol/state/vector-math.ts';
import { BUCKETS_AHEAD, bucketsOf, cutIntoBuckets } from '../../protocol/wire/buckets.ts';
import type { WireFormat } from '../../protocol/wire/encoding.ts';
import type { Message, MessageOf } from '../../protocol/wire/messages.ts';
import { allocateOwn } from '../../protocol/wire/shared-memory.ts';
import type { PayloadAllocator } from '../../protocol/wire/shared-memory.ts';
import { receiveKind } from '../../protocol/wire/transport.ts';
import type { Fleet } from '../fleet.ts';
import { openLedger } from '../ledger.ts';
import type { Ledger } from '../ledger.ts';
import type { Member } from '../membership.ts';
import { createPatience } from '../patience.ts';
import { assignmentOfRange } from '../step-plan.ts';
import type { StepPlan } from '../step-plan.ts';
import type { AllReduce, Arrival, Confirmation } from './all-reduce.ts';
import { createBucketAverage } from './bucket-average.ts';
import { areLocal } from './choose.ts';
import { collectAll } from './collection.ts';
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
  fleet: Fleet,
  replica: Replica,
  options: StarOptions,
  vectorMath = plainVectorMath,
): AllReduce {
  const { stepTimeoutMs, wire, allocateAverage = allocateOwn, exchange = createGradientExchange(replica) } = options;
  const { layout } = exchange;
  const { numBuckets = bucketsFor(fleet.members, layout) } = options;
  const length = layout.numParameters + layout.numBuffers;
  // What travels lies where members may read it: the average itself, or its encoded form.
  const allocate = wire === 'f32' ? allocateAverage : allocateOwn;
  const averageBytes = allocate(length * Float32Array.BYTES_PER_ELEMENT);
  const average = new Float32Array(averageBytes.buffer, averageBytes.byteOffset, length);
  const buckets = cutIntoBuckets(layout, numBuckets).map((bucket) =>
    createBucketAverage(bucket, average, wire, vectorMath, allocateAverage),
  );
  const last = buckets.length - 1;
  const patience = createPatience(stepTimeoutMs);
  /** Members whose last update opened no step for them: they owe a proof instead of gradients. */
  const owingProof = new Set<Member>();
  /** Averages of the open step that have been sent. */
  const sent: Extract<Message, { kind: 'averageBucket' }>[] = [];

  const isMember = (member: Member): boolean => fleet.members.includes(member);

  /** Sends; a member that cannot be sent to is lost. */
  const sendTo = (member: Member, step: number, message: Message) => {
    try {
      member.transport.send(message);
    } catch (error) {
      fleet.lose(member, step, error);
    }
  };

  const openingOf = (plan: StepPlan, range: Range) => {
    return { ...assignmentOfRange(plan, range), numBuckets: buckets.length };
  };

  /** Sends the finished average of a bucket to everyone; the last one goes with the update. */
  const sendAverage = (bucket: number, step: number) => {
    const { payload } = buckets[bucket]!;
    const message = { kind: 'averageBucket', step, bucket, payload } as const;
    sent.push(message);
    for (const member of [...fleet.members]) sendTo(member, step, message);
  };

  /** The next part of a member's answer, within its deadline. */
  const receivePart = async (member: Member, bucketAwaited: number) => {
    const { transport } = member;
    const sinceMs = performance.now();
    for (;;) {
      try {
        const result = await receiveKind(transport, patience.of(member), 'gradientBucket', 'gradient');
        patience.observe(member, performance.now() - sinceMs);
        return result;
      } catch (error) {
        // One that waits for averages, as all must for the slowest, is not late.
        const isHeldBack = bucketAwaited >= sent.length + BUCKETS_AHEAD;
        if (!(error instanceof ProtocolError) || error.code !== 'ERR_TIMEOUT' || !isHeldBack) throw error;
      }
    }
  };

  /** Receives everything that one member owes; `add` is called with every part of a vector. */
  const collectFrom = async (
    arrival: OpenArrival,
    ledger: Ledger,
    add: (bucket: number, node: TreeNode, payload: Uint8Array<ArrayBuffer>) => void,
  ) => {
    const { member } = arrival;
    let next = { bucket: 0, firstMicrobatch: -1 };
    while (!ledger.isDone(member)) {
      const result = await receivePart(member, next.bucket);
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
      // What is wrong with a payload must be found before its microbatches count as done.
      add(bucket, ledger.expect(member, result), result.payload);
      ledger.enter(member, result);
      arrival.atMs = performance.now();
      addTimes(arrival, result);
    }
  };

  /** Takes the proofs that are owed, and compares each with the replica. */
  const takeProofs = async (): Promise<Confirmation[]> => {
    const members = [...owingProof].filter(isMember);
    owingProof.clear();
    const confirmations = await Promise.all(
      members.map((member) =>
        confirmMember(member, replica, stepTimeoutMs).catch((error: unknown) => {
          fleet.lose(member, replica.step, error);
        }),
      ),
    );
    return confirmations.filter((confirmation) => confirmation !== undefined);
  };

  fleet.serve({
    numBuckets: buckets.length,
    onMember(member) {
      for (const message of sent) sendTo(member, message.step, message);
    },
  });

  return {
    isElastic: true,

    open(plan) {
      for (const [member, share] of plan.shares) {
        sendTo(member, plan.step, { kind: 'step', assignment: openingOf(plan, share) });
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

      const arrivals = new Map<Member, OpenArrival>();
      const arrivalOf = (member: Member): OpenArrival => {
        const arrival = arrivals.get(member) ?? openArrival(member);
        arrivals.set(member, arrival);
        return arrival;
      };
      const add =
        ({ transport }: Member) =>
        (bucket: number, node: TreeNode, payload: Uint8Array<ArrayBuffer>) => {
          // A part that came from a member before it was lost.
          if (buckets[bucket]!.has(node)) transport.recycle(payload);
          else if (buckets[bucket]!.add(node, payload, transport)) {
            if (mayBeRead) complete.push(bucket);
            else finish(bucket);
          }
        };
      await collectAll({
        plan,
        fleet,
        ledger,
        receiveFrom: (member) => collectFrom(arrivalOf(member), ledger, add(member)),
        ask: (member, range) => sendTo(member, plan.step, { kind: 'step', assignment: openingOf(plan, range) }),
        isBegun: (node) => buckets[0]!.has(node),
        isFree: proofs,
      });
      await proofs;
      const totals = ledger.close();
      const isFinite = verdicts.every(Boolean) && Number.isFinite(totals.lossSum);
      const contributions = [...arrivals.values()].filter(({ numSamples }) => numSamples > 0);
      return { totals, isFinite, arrivals: contributions.sort((a, b) => a.atMs - b.atMs) };
    },

    distribute(plan, next) {
      const { step, numSteps, rates } = plan;
      const steps = { step, rates, ...(numSteps > 1 && { numSteps }) };
      const { payload } = buckets[last]!;
      const update = { kind: 'update', ...steps, payload } as const;
      for (const member of [...fleet.members]) {
        const share = next?.shares.get(member);
        if (!share) owingProof.add(member);
        sendTo(member, step, { ...update, ...(share && { next: openingOf(next!, share) }) });
      }
      fleet.follow(step + numSteps - 1, () => [...sent, update]);
      sent.length = 0;
    },

    apply: (plan) => exchange.apply(average, plan),

    confirm: takeProofs,
  };
}

/** One within a machine: what buckets gain is a link that carries both ways at once, and there is none. */
const bucketsFor = (members: readonly Member[], layout: VectorLayout): number =>
  areLocal(members) ? 1 : bucketsOf(layout);

/** An arrival whose answers are still coming. */
type OpenArrival = { -readonly [K in keyof Arrival]: Arrival[K] };

const openArrival = (member: Member): OpenArrival => {
  return { member, atMs: 0, numSamples: 0, computeMs: 0, encodeMs: 0, applyMs: 0 };
};

function addTimes(arrival: OpenArrival, result: MessageOf<'gradient'>): void {
  arrival.computeMs += result.computeMs;
  arrival.encodeMs += result.encodeMs;
  arrival.applyMs = result.applyMs;
  for (const { numSamples } of result.microbatches) arrival.numSamples += numSamples;
}
