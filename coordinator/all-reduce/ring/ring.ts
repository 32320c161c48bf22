/**
 * Ring all-reduce: the workers sum and average among themselves, each connected to two others; the coordinator only says
 * when, keeps the ledger, and sees no gradient. This is one ring, from the moment it stands; `elastic-ring.ts` makes one
 * after the other into an `AllReduce`.
 *
 * Every step has two phases. When all members hold the whole average, the opening of the next step tells each so: that it
 * may apply it, and that nothing it sent is still on its way. A ring that breaks before that has changed nobody's replica.
 */
import { ProtocolError } from '../../../protocol/errors.ts';
import { wholeSubtrees } from '../../../protocol/vectors/reduction.ts';
import type { MessageOf } from '../../../protocol/wire/messages.ts';
import { Ledger } from '../../step/ledger.ts';
import type { Member } from '../../members/member.ts';
import type { Deadlines } from '../../step/deadlines.ts';
import { assignmentOf } from '../../step/step-plan.ts';
import type { StepPlan } from '../../step/step-plan.ts';
import type { Arrival, OnAsk, PeerExchange, ReducedStep, TimedMessage } from '../all-reduce.ts';
import type { RingEnd, Conversation, Wait } from './conversation.ts';

export interface RingOptions {
  readonly conversation: Conversation;
  /** For a member's own sum, and for the exchange after the last sum. */
  readonly sumDeadlines: Deadlines;
  readonly exchangeDeadlines: Deadlines;
  /** Told when members are sent work. */
  readonly onAsk?: OnAsk | undefined;
}

export interface Ring {
  /** In their order around the ring. */
  readonly members: readonly Member[];
  /** Opens a step: all members apply the average of the step before, if there was one, and learn their part of this one. */
  open(plan: StepPlan): void;
  /**
   * The step, as soon as all members hold its average. Undefined when the ring has broken instead: then all members that
   * are left have let go of it, and stand where they stood before the step.
   */
  collect(plan: StepPlan): Promise<ReducedStep | undefined>;
  /** Ends a ring in which no step is open; resolves when all members have let go of it. `step`: where they stand. */
  close(reason: string, step: number): Promise<void>;
}

/** `members` are connected to each other, see `set-up.ts`. */
export function createRing(members: readonly Member[], options: RingOptions): Ring {
  const { conversation, sumDeadlines, exchangeDeadlines, onAsk } = options;

  /** What one member tells of a step; undefined when the ring has ended before it was through. */
  const follow = async (member: Member, plan: StepPlan, ledger: Ledger, longestSumMs: number) => {
    const { step } = plan;
    const sinceMs = performance.now();
    const sum = await hear(member, { step, timeoutMs: sumDeadlines.of(member) }, 'ringSum');
    if (!sum) return undefined;
    const atMs = performance.now();
    sumDeadlines.observe(member, atMs - sinceMs);
    const numSamples = enterSum(ledger, plan, member, sum);
    const { computeMs, encodeMs, applyMs } = sum;
    const arrival: Arrival = { member, atMs, numSamples, computeMs, encodeMs, applyMs };
    // It waits for the slowest sum, and for every neighbour: one that is late here need not be at fault.
    const timeoutMs = longestSumMs + exchangeDeadlines.of(member);
    const ifLate = { reason: `${member.name} did not get the average of step ${step} in time` };
    const done = await hear(member, { step, timeoutMs, ifLate }, 'ringDone');
    if (!done) {
      // An exchange that was slow once may be so again.
      const waitedMs = performance.now() - atMs;
      if (waitedMs >= timeoutMs) exchangeDeadlines.observe(member, waitedMs);
      return undefined;
    }
    checkStep(done, plan, member);
    const doneMs = performance.now();
    return { arrival: { ...arrival, ...timedOf(sum, done, { ...arrival, doneMs }) }, done, doneMs };
  };

  /** The next message of a kind; a complaint about a neighbour ends the ring. */
  const hear = async <K extends 'ringSum' | 'ringDone'>(
    member: Member,
    wait: Wait,
    kind: K,
  ): Promise<MessageOf<K> | undefined> => {
    const message = await conversation.hear<K | 'ringBroken'>(member, wait, kind, 'ringBroken');
    if (message?.kind !== 'ringBroken') return message as MessageOf<K> | undefined;
    conversation.endFor(endOf(member, message as MessageOf<'ringBroken'>));
    await conversation.hear(member, wait);
    return undefined;
  };

  const endOf = (member: Member, { neighbour, reason }: MessageOf<'ringBroken'>): RingEnd => {
    const at = members.indexOf(member) + (neighbour === 'successor' ? 1 : -1);
    const other = members[(at + members.length) % members.length]!;
    return { reason: `${member.name}: ${reason}`, between: [member, other] };
  };

  return {
    members,

    open(plan) {
      const { step, numSteps, numSamples, rates } = plan;
      conversation.stand(step - 1);
      const steps = { step, rates, ...(numSteps > 1 && { numSteps }) };
      conversation.tell(members, step, (member) => {
        const assignment = assignmentOf(plan, member);
        if (assignment) onAsk?.(member, step);
        // Between workers vectors are cut in another way, see `worker/ring/pieces.ts`.
        const work = assignment ? { assignment: { ...assignment, numBuckets: 1 } } : {};
        return { kind: 'ringStep', ...steps, numSamples, ...work };
      });
    },

    async collect(plan) {
      const ledger = new Ledger(plan);
      const longestSumMs = Math.max(...members.map((member) => sumDeadlines.of(member)));
      const followed = await Promise.all(
        members.map((member) =>
          follow(member, plan, ledger, longestSumMs).catch((error: unknown) =>
            conversation.lose(member, plan.step, error),
          ),
        ),
      );
      const parts = followed.filter((part) => part !== undefined);
      const isFinite = parts[0]?.done.isFinite ?? false;
      const dissenter = parts.find(({ done }) => done.isFinite !== isFinite);
      if (dissenter)
        conversation.endFor({ reason: `${dissenter.arrival.member.name} sees another average than others do` });
      if (conversation.end) {
        await conversation.allGone();
        return undefined;
      }
      const totals = ledger.close();
      const lastSumMs = Math.max(...parts.map(({ arrival }) => arrival.atMs));
      for (const { arrival, doneMs } of parts) exchangeDeadlines.observe(arrival.member, doneMs - lastSumMs);
      const arrivals = parts
        .map(({ arrival }) => arrival)
        .filter(({ member }) => plan.shares.has(member))
        .sort((a, b) => a.atMs - b.atMs);
      return { totals, isFinite, arrivals, peerExchange: peerExchangeOf(parts) };
    },

    async close(reason, step) {
      conversation.stand(step);
      conversation.endFor({ reason });
      await conversation.allGone();
    },
  };
}

/** Enters the subtrees of a member's share, as the star does one by one; returns the samples that they hold. */
function enterSum(ledger: Ledger, plan: StepPlan, member: Member, sum: MessageOf<'ringSum'>): number {
  checkStep(sum, plan, member);
  const { step, firstMicrobatch, microbatches } = sum;
  const range = { first: firstMicrobatch, count: microbatches.length };
  for (const { first, count } of wholeSubtrees(range, plan.numMicrobatches)) {
    const start = first - firstMicrobatch;
    const part = microbatches.slice(start, start + count);
    ledger.enter(member, { step, firstMicrobatch: first, numMicrobatches: count, microbatches: part });
  }
  if (!ledger.isDone(member)) {
    const message = `microbatches of step ${step} are missing from its sum: it has ${microbatches.length}`;
    throw new ProtocolError('ERR_SHAPE_MISMATCH', message, { worker: member.id, step });
  }
  return microbatches.reduce((total, { numSamples }) => total + numSamples, 0);
}

/** What a member tells of its moments: of its sum, and of the exchange. */
function timedOf(
  { moments, microbatches }: MessageOf<'ringSum'>,
  { moments: afterwards }: MessageOf<'ringDone'>,
  { atMs, doneMs, numSamples }: { readonly atMs: number; readonly doneMs: number; readonly numSamples: number },
): { readonly timed?: readonly TimedMessage[] } {
  if (!moments || !afterwards) return {};
  // Its sum goes to a neighbour.
  const sum = { atMs, moments, numMicrobatches: microbatches.length, numSamples, numBytes: 0 };
  return { timed: [sum, { atMs: doneMs, moments: afterwards, numMicrobatches: 0, numSamples: 0, numBytes: 0 }] };
}

function checkStep({ kind, step }: MessageOf<'ringSum' | 'ringDone'>, plan: StepPlan, { id }: Member): void {
  if (step === plan.step) return;
  const message = `a ${kind} of step ${step} in step ${plan.step}`;
  throw new ProtocolError('ERR_STALE_RESULT', message, { worker: id, step: plan.step });
}

interface Part {
  readonly done: MessageOf<'ringDone'>;
  readonly doneMs: number;
}

function peerExchangeOf(parts: readonly Part[]): PeerExchange {
  const { encodeMs, reduceMs } = parts.reduce((last, part) => (part.doneMs > last.doneMs ? part : last)).done;
  const total = (count: (done: Part['done']) => number) => parts.reduce((sum, { done }) => sum + count(done), 0);
  const bytesSent = total((done) => done.bytesSent);
  return { encodeMs, reduceMs, bytesSent, bytesReceived: total((done) => done.bytesReceived) };
}
