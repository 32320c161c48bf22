/**
 * Star all-reduce: every worker sends its sums to the coordinator, which completes the fixed reduction tree, divides by
 * the samples, and sends the average back to everyone; bucket by bucket where vectors must be sent.
 *
 * A member that fails is lost, not the step: what it had not finished is given to the others, and the sum has the same
 * bits no matter which member computes it. A member that is late is set aside until it has caught up.
 *
 * A step in the star, by file: `step/ledger.ts` says where each part of its sum stands, `incoming-parts.ts` receives the
 * parts, `collect-step.ts` sees to it that all of them come, `bucket-average.ts` adds them up.
 */
import { internalError } from '../../../protocol/errors.ts';
import { createGradientExchange } from '../../../protocol/state/exchange.ts';
import type { Exchange } from '../../../protocol/state/exchange.ts';
import type { VectorLayout } from '../../../protocol/vectors/layout.ts';
import type { Replica } from '../../../protocol/state/replica.ts';
import type { Range } from '../../../protocol/data/sharding.ts';
import { plainVectorMath } from '../../../protocol/vectors/vector-math.ts';
import { bucketsOf } from '../../../protocol/vectors/buckets.ts';
import type { WireFormat } from '../../../protocol/vectors/encoding.ts';
import type { Message } from '../../../protocol/wire/messages.ts';
import { allocateOwn } from '../../../protocol/wire/shared-memory.ts';
import type { PayloadAllocator } from '../../../protocol/wire/shared-memory.ts';
import type { Fleet } from '../../members/fleet.ts';
import type { Member } from '../../members/member.ts';
import { confirmMember, hashedOnce } from '../../members/state-proof.ts';
import type { Confirmation } from '../../members/state-proof.ts';
import type { OnReissue } from '../../reporting/reported-event.ts';
import { createDeadlines, createPace } from '../../step/deadlines.ts';
import type { Deadlines, Pace } from '../../step/deadlines.ts';
import { Ledger } from '../../step/ledger.ts';
import { assignmentOfRange, planRepeat } from '../../step/step-plan.ts';
import type { StepPlan } from '../../step/step-plan.ts';
import type { AllReduce, OnAsk, ReducedStep } from '../all-reduce.ts';
import { areLocal } from '../choose.ts';
import { createAverageMemories } from './averages.ts';
import type { AverageMemories } from './averages.ts';
import { collectStep } from './collect-step.ts';
import { IncomingParts } from './incoming-parts.ts';
import { createSecondOpinions } from './non-finite.ts';
import { SupersededAnswers } from './superseded.ts';

export interface StarOptions {
  /** The longest wait for a member's answer. */
  readonly stepTimeoutMs: number;
  readonly wire: WireFormat;
  /** Where averages lie: in memory that members share, if any do. */
  readonly allocateAverage?: PayloadAllocator;
  /** How many buckets a vector is cut into. Default: as many as pay. */
  readonly numBuckets?: number;
  /** What travels. Default: gradients. */
  readonly exchange?: Exchange;
  /** Milliseconds that a step may take beyond the usual before members are late. Default: that of `createPace`. */
  readonly lateMs?: number;
  /** Told into how many buckets averages are cut, and what a new member is to be sent. Default: the fleet's own. */
  readonly serve?: Fleet['serve'] | undefined;
  /** Told what the user should know. */
  readonly say?: (line: string) => void;
  /** Told of microbatches that are asked for again. */
  readonly onReissue?: OnReissue | undefined;
  /** Told when members are sent work. */
  readonly onAsk?: OnAsk | undefined;
}

/** `replica` is the coordinator's: its parameters are what every member's must equal. */
export function createStar(
  fleet: Fleet,
  replica: Replica,
  options: StarOptions,
  vectorMath = plainVectorMath,
): AllReduce {
  const { wire, allocateAverage = allocateOwn, exchange = createGradientExchange(replica) } = options;
  const { layout } = exchange;
  const { numBuckets = bucketsFor(fleet.members, layout) } = options;
  const averages = createAverageMemories({ layout, wire, vectorMath, allocate: allocateAverage, numBuckets });
  return new Star({ fleet, replica, exchange, averages, options });
}

interface StarParts {
  readonly fleet: Fleet;
  readonly replica: Replica;
  readonly exchange: Exchange;
  readonly averages: AverageMemories;
  readonly options: StarOptions;
}

/** A step that was collected, or the numbers of the model itself that are not finite. */
type Outcome = ReducedStep | { readonly diverged: string };

class Star implements AllReduce {
  readonly isExact: boolean;
  readonly #fleet: Fleet;
  readonly #replica: Replica;
  readonly #exchange: Exchange;
  readonly #averages: AverageMemories;
  readonly #deadlines: Deadlines;
  readonly #pace: Pace;
  readonly #say: (line: string) => void;
  readonly #onReissue: OnReissue | undefined;
  readonly #onAsk: OnAsk | undefined;
  readonly #superseded = new SupersededAnswers();
  /** Members whose last update opened no step for them: they owe a proof instead of gradients. */
  readonly #owingProof = new Set<Member>();
  /** Averages of the open step that have been sent. */
  #sent: Extract<Message, { kind: 'averageBucket' }>[] = [];

  constructor({ fleet, replica, exchange, averages, options }: StarParts) {
    const { stepTimeoutMs, wire, lateMs, say = () => {} } = options;
    const serve: Fleet['serve'] = options.serve ?? ((service) => fleet.serve(service));
    // A shorter format rounds every sum that a member sends.
    this.isExact = wire === 'f32';
    this.#fleet = fleet;
    this.#replica = replica;
    this.#exchange = exchange;
    this.#averages = averages;
    this.#deadlines = createDeadlines(stepTimeoutMs);
    this.#pace = createPace(lateMs);
    this.#say = say;
    this.#onReissue = options.onReissue;
    this.#onAsk = options.onAsk;
    serve({
      numBuckets: averages.numBuckets,
      onMember: (member) => {
        for (const message of this.#sent) this.#sendTo(member, message.step, message);
      },
    });
  }

  open(plan: StepPlan): void {
    for (const [member, share] of plan.shares) this.#ask(member, plan, share);
  }

  async collect(plan: StepPlan): Promise<ReducedStep> {
    this.#averages.turn();
    const reduced = await this.#attempt(plan);
    if ('diverged' in reduced) throw internalError(`step ${plan.step} diverged before it was computed once more`);
    if (reduced.isFinite) return reduced;
    this.#say(`step ${plan.step}: the average is not finite; it is not applied, and computed once more`);
    try {
      return await this.#computeOnceMore(plan, reduced);
    } finally {
      this.#fleet.dismissSpare();
    }
  }

  distribute(plan: StepPlan, next?: StepPlan): void {
    const { step, numSteps, rates } = plan;
    const steps = { step, rates, ...(numSteps > 1 && { numSteps }) };
    const { payload } = this.#averages.current.buckets.at(-1)!;
    const update = { kind: 'update', ...steps, payload } as const;
    for (const member of [...this.#fleet.members]) {
      const share = next?.shares.get(member);
      if (!share) this.#owingProof.add(member);
      else this.#onAsk?.(member, next!.step);
      this.#sendTo(member, step, { ...update, ...(share && { next: this.#openingOf(next!, share) }) });
    }
    const sent = this.#sent;
    this.#fleet.follow(step + numSteps - 1, () => [...sent, update]);
    this.#sent = [];
  }

  apply(plan: StepPlan): void {
    this.#exchange.apply(this.#averages.current.vector, plan);
  }

  /** Takes the proofs that are owed, and compares each with the replica. */
  async confirm(): Promise<Confirmation[]> {
    const members = [...this.#owingProof].filter((member) => this.#fleet.members.includes(member));
    this.#owingProof.clear();
    const expected = hashedOnce(this.#replica);
    const confirmations = await Promise.all(
      members.map((member) =>
        confirmMember(member, expected, this.#deadlines.of(member), (part) =>
          this.#superseded.includes(member, part),
        ).catch((error: unknown) => {
          this.#fleet.lose(member, this.#replica.step, error);
        }),
      ),
    );
    return confirmations.filter((confirmation) => confirmation !== undefined);
  }

  /** Computes a step again whose average was not finite, until it is, or until it is clear that it cannot be. */
  async #computeOnceMore(plan: StepPlan, reduced: ReducedStep): Promise<ReducedStep> {
    this.#sent = [];
    await this.#seekSecondMember();
    for (;;) {
      const wasAlone = this.#isAlone();
      const again = planRepeat(plan, this.#fleet.members);
      this.#onReissue?.('not_finite', again.numMicrobatches);
      this.open(again);
      const outcome = await this.#attempt(again);
      if (!('diverged' in outcome)) return outcome;
      this.#sent = [];
      // Another may have come while the only one computed.
      if (wasAlone) await this.#seekSecondMember();
      if (!wasAlone || this.#isAlone()) return { ...reduced, notFinite: outcome.diverged };
    }
  }

  /** Collects and averages a step that has been opened. */
  async #attempt(plan: StepPlan): Promise<Outcome> {
    const startMs = performance.now();
    const fleet = this.#fleet;
    const ledger = new Ledger(plan);
    const opinions = createSecondOpinions();
    const { buckets } = this.#averages.current;
    for (const bucket of buckets) bucket.open(plan.numMicrobatches);
    const areFinite: boolean[] = [];
    const incoming = new IncomingParts({
      ...{ plan, ledger, numBuckets: buckets.length },
      ...{ deadlines: this.#deadlines, superseded: this.#superseded },
      take: ({ transport }, nth, node, payload) => {
        const bucket = buckets[nth]!;
        // Another has sent it before: a member that is lost by now, or one that was faster.
        if (bucket.has(node)) transport.recycle(payload);
        else if (bucket.add(node, payload, transport)) finish(nth);
      },
      onHere: (by, node) => {
        for (const [member, error] of opinions.refuted(node, by)) fleet.lose(member, plan.step, error);
      },
    });
    const finish = (nth: number) => {
      areFinite.push(buckets[nth]!.finish(this.#exchange.divisorOf(plan.numSamples)));
      if (nth === buckets.length - 1) return;
      // An average that is not finite is sent, too: members wait for it before they send more, and never apply it.
      incoming.averageSent();
      this.#sendAverage(nth, plan.step);
    };
    const proofs = this.confirm();
    const { late, diverged } = await collectStep({
      ...{ plan, fleet, ledger, incoming, isFree: proofs },
      ask: (member, range) => {
        incoming.asked(member);
        this.#ask(member, plan, range);
      },
      judge: (found) => opinions.judge(found, fleet.members),
      onReissue: this.#onReissue,
      lateAfterMs: fleet.members.length > 1 ? this.#pace.lateAfterMs() : undefined,
    });
    if (diverged !== undefined) return { diverged };
    await proofs;
    this.#pace.observe(performance.now() - startMs);
    this.#setAside(
      [...late].filter((member) => incoming.isOvertaken(member)),
      plan.step,
    );
    const totals = ledger.close();
    // Else the average of the step before would be applied again.
    if (areFinite.length < buckets.length) {
      throw internalError(`step ${plan.step}: ${areFinite.length} of ${buckets.length} averages are complete`);
    }
    const isFinite = areFinite.every(Boolean) && Number.isFinite(totals.lossSum);
    return { totals, isFinite, arrivals: incoming.arrivals() };
  }

  /** Members that were late have others' answers in place of theirs: they are sent the state anew. */
  #setAside(members: readonly Member[], step: number): void {
    for (const member of members) {
      this.#superseded.forget(member);
      this.#fleet.setAside(member, step);
    }
  }

  /** Waits for a member if there is none. Where there is one alone, a second one is taken in if there is a worker for it. */
  async #seekSecondMember(): Promise<void> {
    const fleet = this.#fleet;
    while (fleet.members.length === 0) await fleet.whenAny();
    if (this.#isAlone()) await fleet.takeInSpare();
    while (fleet.members.length === 0) await fleet.whenAny();
  }

  #isAlone(): boolean {
    return this.#fleet.members.length === 1;
  }

  /** Tells a member to compute these microbatches. */
  #ask(member: Member, plan: StepPlan, range: Range): void {
    this.#onAsk?.(member, plan.step);
    this.#sendTo(member, plan.step, { kind: 'step', assignment: this.#openingOf(plan, range) });
  }

  #openingOf(plan: StepPlan, range: Range) {
    return { ...assignmentOfRange(plan, range), numBuckets: this.#averages.numBuckets };
  }

  /** Sends the finished average of a bucket to everyone; the last one goes with the update. */
  #sendAverage(bucket: number, step: number): void {
    const { payload } = this.#averages.current.buckets[bucket]!;
    const message = { kind: 'averageBucket', step, bucket, payload } as const;
    this.#sent.push(message);
    for (const member of [...this.#fleet.members]) this.#sendTo(member, step, message);
  }

  /** Sends; a member that cannot be sent to is lost. */
  #sendTo(member: Member, step: number, message: Message): void {
    try {
      member.transport.send(message);
    } catch (error) {
      this.#fleet.lose(member, step, error);
    }
  }
}

/** One within a machine: what buckets gain is a link that carries both ways at once, and there is none. */
const bucketsFor = (members: readonly Member[], layout: VectorLayout): number =>
  areLocal(members) ? 1 : bucketsOf(layout);
