/**
 * Ring all-reduce: the workers sum and average among themselves, each connected to two others; the coordinator only says
 * when, keeps the ledger, and sees no gradient.
 *
 * Its replica follows at the end of an epoch, from a member's state that all other members prove to have too: a run that
 * fails in an epoch keeps the state of the epoch before. Every step ends when all members hold the whole average, so the
 * opening of the next tells each that nothing it sent is still on its way.
 */
import { ProtocolError } from '../../protocol/errors.ts';
import { wholeSubtrees } from '../../protocol/state/reduction.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import type { MessageOf } from '../../protocol/wire/messages.ts';
import { receiveKind } from '../../protocol/wire/transport.ts';
import { blame, blameNow } from '../blame.ts';
import { openLedger } from '../ledger.ts';
import type { Ledger } from '../ledger.ts';
import type { Member } from '../membership.ts';
import { assignmentOf } from '../step-plan.ts';
import type { StepPlan } from '../step-plan.ts';
import type { AllReduce, Arrival, PeerExchange } from './all-reduce.ts';
import { confirmMember } from './confirm.ts';

export interface RingOptions {
  /** The longest wait for a member's own sum, and then for the exchange. */
  readonly stepTimeoutMs: number;
}

/** `members` are connected to each other, see `ring-setup.ts`; `replica` is the coordinator's. */
export function createRing(members: readonly Member[], replica: Replica, { stepTimeoutMs }: RingOptions): AllReduce {
  /** Others may take as long as a step for their sums yet. */
  const exchangeTimeoutMs = Math.min(2 * stepTimeoutMs, LIMITS.longestWaitMs);
  let lastStep = replica.step;

  const openStep = (plan: StepPlan) => {
    const { step, numSteps, numSamples, rates } = plan;
    lastStep = step + numSteps - 1;
    const steps = { step, rates, ...(numSteps > 1 && { numSteps }) };
    for (const member of members) {
      const assignment = assignmentOf(plan, member);
      // Between workers vectors are cut in another way, see `worker/ring/pieces.ts`.
      const work = assignment ? { assignment: { ...assignment, numBuckets: 1 } } : {};
      blameNow(member, step, () => member.transport.send({ kind: 'ringStep', ...steps, numSamples, ...work }));
    }
  };

  const collectFrom = async (member: Member, plan: StepPlan, ledger: Ledger) => {
    const sum = await receiveKind(member.transport, stepTimeoutMs, 'ringSum');
    const atMs = performance.now();
    const numSamples = enterSum(ledger, plan, member, sum);
    const { computeMs, encodeMs, applyMs } = sum;
    const arrival: Arrival = { member, atMs, numSamples, computeMs, encodeMs, applyMs };
    const done = await receiveKind(member.transport, exchangeTimeoutMs, 'ringDone');
    checkStep(done, plan, member);
    return { arrival, done, doneMs: performance.now() };
  };

  return {
    isElastic: false,
    // Members' sums are added in the order of the ring.
    isExact: false,
    open: openStep,

    async collect(plan) {
      const ledger = openLedger(plan);
      const parts = await firstCause(
        members.map((member) => blame(member, plan.step, () => collectFrom(member, plan, ledger))),
      );
      const totals = ledger.close();
      const isFinite = parts[0]!.done.isFinite;
      const dissenter = parts.find(({ done }) => done.isFinite !== isFinite);
      if (dissenter) throw disagreement(dissenter.arrival.member, plan.step);
      const arrivals = parts
        .map(({ arrival }) => arrival)
        .filter(({ member }) => plan.shares.has(member))
        .sort((a, b) => a.atMs - b.atMs);
      return { totals, isFinite, arrivals, peerExchange: peerExchangeOf(parts) };
    },

    distribute(_plan, next) {
      if (next) openStep(next);
    },

    apply() {},

    async confirm() {
      const [first] = members;
      for (const member of members) {
        const sendState = member === first;
        blameNow(member, undefined, () => member.transport.send({ kind: 'ringProve', sendState }));
      }
      await blame(first!, undefined, () => followMember(first!, replica, lastStep, stepTimeoutMs));
      return Promise.all(
        members.map((member) => blame(member, replica.step, () => confirmMember(member, replica, stepTimeoutMs))),
      );
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

/**
 * All results, or the failure that caused the others: a worker that is lost takes its neighbours' links with it, and their
 * complaints may be here first. So after a complaint there is a while for a cause to show.
 */
async function firstCause<T>(parts: readonly Promise<T>[]): Promise<T[]> {
  let timer: NodeJS.Timeout | undefined;
  try {
    return await Promise.all(parts);
  } catch (error) {
    if (!isComplaint(error)) throw error;
    const causes = parts.map((part) =>
      part.catch((reason: unknown) => {
        if (!isComplaint(reason)) throw reason;
      }),
    );
    const whileWaiting = new Promise((resolve) => (timer = setTimeout(resolve, LIMITS.peerBlameMs)));
    await Promise.race([whileWaiting, Promise.all(causes)]);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

const isComplaint = (error: unknown): boolean => error instanceof ProtocolError && error.code === 'ERR_PEER_LOST';

/** Brings the coordinator's replica to where a member's is. */
async function followMember({ transport }: Member, replica: Replica, step: number, timeoutMs: number): Promise<void> {
  const snapshot = await receiveKind(transport, timeoutMs, 'snapshot');
  if (snapshot.step !== step) {
    const message = `a state of step ${snapshot.step}, expected the one of step ${step}`;
    throw new ProtocolError('ERR_STATE_MISMATCH', message, { step });
  }
  replica.restore(snapshot.payload, step);
  transport.recycle(snapshot.payload);
  if (replica.parametersSha256() !== snapshot.parametersSha256) {
    throw new ProtocolError('ERR_STATE_MISMATCH', `its state of step ${step} does not have its hash`, { step });
  }
}

function disagreement({ name }: Member, step: number): ProtocolError {
  const message = `worker ${name}, step ${step}: it does not see the same average as others: some found it finite`;
  return new ProtocolError('ERR_STATE_MISMATCH', message, { worker: name, step });
}
