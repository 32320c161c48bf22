/**
 * Star all-reduce: every worker sends its sums to the coordinator, which completes the fixed reduction tree, divides by
 * the samples, and sends the average back to everyone; bucket by bucket where vectors must be sent.
 *
 * Members read an average where it lies, or are sent it from there, so it must not be overwritten while a member may still
 * read it. There are two memories, which the steps use in turn: an average is overwritten two steps later. By then each
 * member has answered the update that came with it, by gradients of the next step or by proof of the state that it led to.
 * A member that has not answered because others did its part is set aside, and is sent the whole state.
 *
 * A member that fails is lost, not the step: what it had not finished is given to the others, and the sum is the same
 * bits whoever computes it. One that is late is set aside until it has caught up.
 */
import { createGradientExchange } from '../../../protocol/state/exchange.ts';
import type { Exchange } from '../../../protocol/state/exchange.ts';
import type { VectorLayout } from '../../../protocol/vectors/layout.ts';
import type { Replica } from '../../../protocol/state/replica.ts';
import type { Range } from '../../../protocol/data/sharding.ts';
import { plainVectorMath } from '../../../protocol/vectors/vector-math.ts';
import { bucketsOf, cutIntoBuckets } from '../../../protocol/vectors/buckets.ts';
import type { WireFormat } from '../../../protocol/vectors/encoding.ts';
import type { Message } from '../../../protocol/wire/messages.ts';
import { allocateOwn } from '../../../protocol/wire/shared-memory.ts';
import type { PayloadAllocator } from '../../../protocol/wire/shared-memory.ts';
import type { Fleet } from '../../members/fleet.ts';
import { openLedger } from '../../step/ledger.ts';
import type { Member } from '../../members/member.ts';
import { createPace, createPatience } from '../../step/deadlines.ts';
import { assignmentOfRange, planRepeat } from '../../step/step-plan.ts';
import type { StepPlan } from '../../step/step-plan.ts';
import type { AllReduce, ReducedStep } from '../all-reduce.ts';
import type { Confirmation } from '../../members/state-proof.ts';
import { createAnswers } from './incoming-parts.ts';
import { createBucketAverage } from './bucket-average.ts';
import { areLocal } from '../choose.ts';
import { collectAll } from './collect-step.ts';
import { confirmMember } from '../../members/state-proof.ts';
import { createSecondOpinions, Diverged } from './non-finite.ts';

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
  /** Milliseconds that a step may take beyond the usual before members are late; as `createPace` has it when left out. */
  readonly lateMs?: number;
  /** Told into how many buckets averages are cut, and what a new member is to be sent. Default: the fleet's own. */
  readonly serve?: Fleet['serve'] | undefined;
  /** Told what the user should know. */
  readonly say?: (line: string) => void;
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
  const { numBuckets = bucketsFor(fleet.members, layout), say = () => {} } = options;
  const vectorBytes = (layout.numParameters + layout.numBuffers) * Float32Array.BYTES_PER_ELEMENT;
  const parts = cutIntoBuckets(layout, numBuckets);
  const last = parts.length - 1;
  const createAverage = () => {
    // What travels lies where members may read it: the average itself, or its encoded form.
    const allocate = wire === 'f32' ? allocateAverage : allocateOwn;
    const { buffer, byteOffset, byteLength } = allocate(vectorBytes);
    const vector = new Float32Array(buffer, byteOffset, byteLength / Float32Array.BYTES_PER_ELEMENT);
    const buckets = parts.map((bucket) => createBucketAverage(bucket, vector, wire, vectorMath, allocateAverage));
    return { vector, buckets };
  };
  /** This step's average, and the one that members may still be reading. */
  let average = createAverage();
  let averageBefore = createAverage();
  const patience = createPatience(stepTimeoutMs);
  const pace = createPace(options.lateMs);
  /** Members whose last update opened no step for them: they owe a proof instead of gradients. */
  const owingProof = new Set<Member>();
  /** Averages of the open step that have been sent. */
  const sent: Extract<Message, { kind: 'averageBucket' }>[] = [];
  const answers = createAnswers({ patience, numBuckets: parts.length, numAverages: () => sent.length });

  const isMember = (member: Member): boolean => fleet.members.includes(member);
  const isAlone = (): boolean => fleet.members.length === 1;

  /** Sends; a member that cannot be sent to is lost. */
  const sendTo = (member: Member, step: number, message: Message) => {
    try {
      member.transport.send(message);
    } catch (error) {
      fleet.lose(member, step, error);
    }
  };

  /** Tells a member to compute these microbatches. */
  const ask = (member: Member, plan: StepPlan, range: Range) => {
    answers.asked(member);
    sendTo(member, plan.step, { kind: 'step', assignment: openingOf(plan, range) });
  };
  const openingOf = (plan: StepPlan, range: Range) => {
    return { ...assignmentOfRange(plan, range), numBuckets: parts.length };
  };

  /** Sends the finished average of a bucket to everyone; the last one goes with the update. */
  const sendAverage = (bucket: number, step: number) => {
    const { payload } = average.buckets[bucket]!;
    const message = { kind: 'averageBucket', step, bucket, payload } as const;
    sent.push(message);
    answers.averageSent();
    for (const member of [...fleet.members]) sendTo(member, step, message);
  };

  /** Takes the proofs that are owed, and compares each with the replica. */
  const takeProofs = async (): Promise<Confirmation[]> => {
    const members = [...owingProof].filter(isMember);
    owingProof.clear();
    const confirmations = await Promise.all(
      members.map((member) =>
        confirmMember(member, replica, patience.of(member), (part) => answers.isSuperseded(member, part)).catch(
          (error: unknown) => {
            fleet.lose(member, replica.step, error);
          },
        ),
      ),
    );
    return confirmations.filter((confirmation) => confirmation !== undefined);
  };

  const serve = options.serve ?? ((service) => fleet.serve(service));
  serve({
    numBuckets: parts.length,
    onMember(member) {
      for (const message of sent) sendTo(member, message.step, message);
    },
  });

  /** Waits for a member if there is none. Where there is one alone, a second one is taken in if there is a worker for it. */
  const seekSecondMember = async () => {
    while (fleet.members.length === 0) await fleet.whenAny();
    if (isAlone()) await fleet.takeInSpare();
    while (fleet.members.length === 0) await fleet.whenAny();
  };

  /** Collects and averages a step that has been opened. */
  const attempt = async (plan: StepPlan): Promise<ReducedStep> => {
    const startMs = performance.now();
    const ledger = openLedger(plan);
    const opinions = createSecondOpinions();
    const { buckets } = average;
    for (const bucket of buckets) bucket.open(plan.numMicrobatches);
    const verdicts: boolean[] = [];
    const finish = (bucket: number) => {
      verdicts.push(buckets[bucket]!.finish(exchange.divisorOf(plan.numSamples)));
      // Also one that is not finite: members wait for it before they send what follows, and apply none of it.
      if (bucket !== last) sendAverage(bucket, plan.step);
    };
    const proofs = takeProofs();
    answers.open({
      ledger,
      add({ transport }, bucket, node, payload) {
        // Another has sent it before: a member that is lost by now, or one that was faster.
        if (buckets[bucket]!.has(node)) transport.recycle(payload);
        else if (buckets[bucket]!.add(node, payload, transport)) finish(bucket);
      },
      entered(by, node) {
        for (const [member, error] of opinions.refuted(node, by)) fleet.lose(member, plan.step, error);
      },
      notFinite: (member, node, what) => opinions.found({ member, what }, node, fleet.members),
    });
    const late = await collectAll({
      plan,
      fleet,
      ledger,
      receiveFrom: (member) => answers.collectFrom(member),
      ask: (member, range) => ask(member, plan, range),
      isBegun: (node) => buckets[0]!.has(node),
      isFree: proofs,
      lateAfterMs: fleet.members.length > 1 ? pace.lateAfterMs() : undefined,
      isHeldBack: (member) => answers.isHeldBack(member),
    });
    await proofs;
    pace.observe(performance.now() - startMs);
    for (const member of late) {
      if (!answers.isOvertaken(member)) continue;
      answers.forget(member);
      fleet.setAside(member, plan.step);
    }
    const totals = ledger.close();
    const isFinite = verdicts.every(Boolean) && Number.isFinite(totals.lossSum);
    return { totals, isFinite, arrivals: answers.arrivals().filter(({ numSamples }) => numSamples > 0) };
  };

  return {
    // A shorter format rounds every sum that a member sends.
    isExact: wire === 'f32',

    open(plan) {
      for (const [member, share] of plan.shares) ask(member, plan, share);
    },

    async collect(plan) {
      [average, averageBefore] = [averageBefore, average];
      const reduced = await attempt(plan);
      if (reduced.isFinite) return reduced;
      say(`step ${plan.step}: the average is not finite; it is not applied, and computed once more`);
      sent.length = 0;
      await seekSecondMember();
      try {
        for (;;) {
          const wasAlone = isAlone();
          const again = planRepeat(plan, fleet.members);
          for (const [member, share] of again.shares) ask(member, again, share);
          try {
            return await attempt(again);
          } catch (error) {
            if (!(error instanceof Diverged)) throw error;
            sent.length = 0;
            // Another may have come while the only one computed.
            if (wasAlone) await seekSecondMember();
            if (!wasAlone || isAlone()) return { ...reduced, notFinite: error.what };
          }
        }
      } finally {
        fleet.dismissSpare();
      }
    },

    distribute(plan, next) {
      const { step, numSteps, rates } = plan;
      const steps = { step, rates, ...(numSteps > 1 && { numSteps }) };
      const { payload } = average.buckets[last]!;
      const update = { kind: 'update', ...steps, payload } as const;
      for (const member of [...fleet.members]) {
        const share = next?.shares.get(member);
        if (!share) owingProof.add(member);
        sendTo(member, step, { ...update, ...(share && { next: openingOf(next!, share) }) });
      }
      fleet.follow(step + numSteps - 1, () => [...sent, update]);
      sent.length = 0;
    },

    apply: (plan) => exchange.apply(average.vector, plan),

    confirm: takeProofs,
  };
}

/** One within a machine: what buckets gain is a link that carries both ways at once, and there is none. */
const bucketsFor = (members: readonly Member[], layout: VectorLayout): number =>
  areLocal(members) ? 1 : bucketsOf(layout);
