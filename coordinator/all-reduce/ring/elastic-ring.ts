/**
 * Elastic ring: one ring after the other, of the members that there are, and the star where there can be no ring.
 *
 * A ring that breaks leaves its members where they stood before the step (see `ring.ts`). So the replica is brought there,
 * newcomers are given its state, and the step is taken again, by a ring of all of them: its microbatches are cut anew over
 * those members, and only what they send is entered. Rings are formed again in two more cases: when an epoch begins
 * and newcomers wait, for the replica has then the state that they need, or when the star has stood in.
 *
 * Between an epoch's end and a broken ring the replica does not follow. When all members are lost at once, the steps since
 * then are lost with them: the workers that join next take them again, before the step at hand.
 */
import { countOf } from '../../../protocol/counts.ts';
import { ProtocolError } from '../../../protocol/errors.ts';
import type { Replica } from '../../../protocol/state/replica.ts';
import { part } from '../../../protocol/data/sharding.ts';
import type { Fleet, FleetService } from '../../members/fleet.ts';
import type { Member } from '../../members/member.ts';
import type { OnReissue } from '../../reporting/reported-event.ts';
import { createDeadlines } from '../../step/deadlines.ts';
import type { Deadlines } from '../../step/deadlines.ts';
import type { StepPlan } from '../../step/step-plan.ts';
import type { AllReduce, OnAsk, ReducedStep } from '../all-reduce.ts';
import type { Confirmation } from '../../members/state-proof.ts';
import { createRing } from './ring.ts';
import type { Ring } from './ring.ts';
import { setUpRing } from './set-up.ts';
import { bringHome } from './recover-state.ts';
import { createConversation } from './conversation.ts';
import type { Conversation } from './conversation.ts';
import { createRetryPolicy } from './retry-policy.ts';

export interface ElasticRingOptions {
  readonly fleet: Fleet;
  /** The coordinator's. Follows at the end of an epoch and when a ring breaks; in a star with every step. */
  readonly replica: Replica;
  /** The longest wait for a member's own sum, and then for the exchange. */
  readonly stepTimeoutMs: number;
  /** Makes the star that stands in; called once, if at all. */
  readonly makeStar: (serve: Fleet['serve']) => AllReduce;
  readonly say: (line: string) => void;
  /** Told of microbatches that are asked for again: those of steps that are taken again. */
  readonly onReissue?: OnReissue | undefined;
  /** Told when members are sent work. */
  readonly onAsk?: OnAsk | undefined;
  /** Why it is a ring, told when the first one stands; nothing where it was asked for. */
  readonly why?: string | undefined;
}

export interface ElasticRing extends AllReduce {
  /** Whether members could not reach each other: the star then stands in for good. */
  readonly isGivenUp: boolean;
}

const HOLD_NEWCOMERS: FleetService = { numBuckets: 1, onMember() {}, holdsNewcomers: true };

/** Resolves when a ring stands, or the star is taken and the reason told. The fleet's members have the replica's state. */
export async function createElasticRing(options: ElasticRingOptions): Promise<ElasticRing> {
  const ring = new RingOrStar(options);
  await ring.begin();
  return ring;
}

class RingOrStar implements ElasticRing {
  /** Members' sums are added in the order of the ring. */
  readonly isExact = false;
  readonly #options: ElasticRingOptions;
  /** Why a ring is taken, until that is told. */
  #why: string | undefined;
  readonly #sumDeadlines: Deadlines;
  readonly #exchangeDeadlines: Deadlines;
  readonly #retries = createRetryPolicy();
  readonly #useStar: () => AllReduce;
  /** The ring that stands, or the star that stands in for one; both undefined between two rings. */
  #current: { readonly ring: Ring; readonly conversation: Conversation } | undefined;
  #star: AllReduce | undefined;
  /** The step at hand, with the shares that members were told of. */
  #opened: StepPlan | undefined;
  /** Whether a ring must be formed before the step at hand can be opened. */
  #isDue = false;
  /** Steps whose average the members have applied, and the replica has not. */
  #ahead: StepPlan[] = [];

  constructor(options: ElasticRingOptions) {
    this.#options = options;
    this.#why = options.why;
    this.#sumDeadlines = createDeadlines(options.stepTimeoutMs);
    this.#exchangeDeadlines = createDeadlines(options.stepTimeoutMs);
    this.#useStar = keepStar(options);
  }

  async begin(): Promise<void> {
    const objection = await this.#formRing();
    if (objection !== undefined) await this.#takeStar(objection);
  }

  get isGivenUp(): boolean {
    return this.#retries.areOver;
  }

  open(plan: StepPlan): void {
    const { fleet } = this.#options;
    this.#retries.epochBegins();
    if (this.#star && this.#retries.objection(fleet.members.length) === undefined) this.#star = undefined;
    this.#opened = plan;
    if (this.#star) {
      this.#star.open(plan);
      return;
    }
    this.#isDue = !this.#current || fleet.canAdmit || !isSameSet(this.#current.ring.members, fleet.members);
    if (!this.#isDue) this.#current!.ring.open(plan);
  }

  async collect(plan: StepPlan): Promise<ReducedStep> {
    const { say } = this.#options;
    let rotation = 0;
    for (;;) {
      if (this.#isDue) await this.#renew(plan);
      if (this.#star) return this.#star.collect(this.#opened!);
      const { ring, conversation } = this.#current!;
      const reduced = await ring.collect(this.#opened!);
      if (!reduced) {
        this.#retries.failed(conversation);
        if (!conversation.hasLost)
          say(`all-reduce: the ring is broken in step ${plan.step}: ${conversation.end!.reason}`);
        this.#options.onReissue?.('ring_broken', plan.numMicrobatches);
        this.#isDue = true;
        continue;
      }
      this.#retries.succeeded();
      if (reduced.isFinite || rotation > 0) return reduced;
      // A worker that computes nonsense now and then, unlike a loss that diverges, does so elsewhere or not again.
      rotation = 1;
      this.#options.onReissue?.('not_finite', plan.numMicrobatches);
      say(`step ${plan.step}: the average is not finite: taking the step again, each microbatch on another worker`);
      this.#openShared(plan, rotation);
    }
  }

  distribute(plan: StepPlan, next?: StepPlan): void {
    this.#opened = next;
    if (this.#star) {
      this.#star.distribute(plan, next);
      return;
    }
    this.#ahead.push(plan);
    if (next) this.#current!.ring.open(next);
  }

  apply(plan: StepPlan): void {
    this.#star?.apply(plan);
  }

  async confirm(): Promise<Confirmation[]> {
    if (this.#star) return this.#star.confirm();
    const { step, numSteps } = this.#ahead.at(-1)!;
    const lastStep = step + numSteps - 1;
    const proofs = await this.#follow(lastStep);
    if (proofs.length > 0) return proofs;
    return (await this.#takeStar(this.#whyAgain(lastStep))).confirm();
  }

  /** Forms a ring of all members; returns why not, if there can be none. */
  async #formRing(): Promise<string | undefined> {
    const { fleet, replica, stepTimeoutMs, say, onAsk } = this.#options;
    const [sumDeadlines, exchangeDeadlines] = [this.#sumDeadlines, this.#exchangeDeadlines];
    fleet.serve(HOLD_NEWCOMERS);
    for (;;) {
      const objection = this.#retries.objection(fleet.members.length);
      if (objection !== undefined) return objection;
      const members = [...fleet.members];
      const conversation = createConversation(members, {
        lose: (member, step, error) => fleet.lose(member, step, error),
        isMember: this.#isMember,
        leaveMs: (member) => sumDeadlines.of(member),
      });
      conversation.stand(replica.step);
      const inOrder = await setUpRing(members, { conversation, stepTimeoutMs, apart: this.#retries.apart });
      if (inOrder) {
        const ring = createRing(inOrder, { conversation, sumDeadlines, exchangeDeadlines, onAsk });
        this.#current = { conversation, ring };
        const because = this.#why === undefined ? '' : `, because ${this.#why}`;
        say(`all-reduce: ring of ${countOf(inOrder.length, 'worker')}${because}`);
        this.#why = undefined;
        return undefined;
      }
      this.#retries.failed(conversation);
    }
  }

  /** Brings the replica to where the ring's members stand; returns their proofs: none when nobody is left to give them. */
  async #follow(step: number): Promise<Confirmation[]> {
    const { fleet, replica, stepTimeoutMs } = this.#options;
    const members = this.#current!.ring.members.filter(this.#isMember);
    const proofs = await bringHome(members, { fleet, replica, step, timeoutMs: stepTimeoutMs });
    if (proofs.length > 0) this.#ahead = [];
    return proofs;
  }

  /** Takes the star instead of a ring, and opens `next` in it; before it, whatever was lost with all members is done again. */
  async #takeStar(reason: string, next?: StepPlan): Promise<AllReduce> {
    this.#options.say(`all-reduce: star, because ${reason}`);
    this.#current = undefined;
    const star = this.#useStar();
    this.#star = star;
    const plans = this.#ahead;
    this.#ahead = [];
    await this.#shareAmongMembers(plans[0] ?? next, (first) => first && star.open(first));
    for (const [i, plan] of plans.entries()) {
      this.#options.onReissue?.('lost', plan.numMicrobatches);
      const { isFinite } = await star.collect(this.#opened!);
      if (!isFinite) throw lostForGood(plan);
      await this.#shareAmongMembers(plans[i + 1] ?? next, (following) => star.distribute(plan, following));
      star.apply(plan);
    }
    return star;
  }

  /** Opens a plan as soon as there are members to share it; without a plan, at once. */
  async #shareAmongMembers(plan: StepPlan | undefined, open: (shared?: StepPlan) => void): Promise<void> {
    const { fleet } = this.#options;
    while (plan && fleet.members.length === 0) await fleet.whenAny();
    this.#opened = plan && shareOut(plan, fleet.members);
    open(this.#opened);
  }

  /** Ends the ring that there was, takes in newcomers, and opens the step in a new ring or in the star. */
  async #renew(plan: StepPlan): Promise<void> {
    this.#isDue = false;
    if (this.#current) {
      await this.#current.ring.close('another ring is formed', plan.step - 1);
      if (this.#ahead.length > 0) await this.#follow(plan.step - 1);
      this.#current = undefined;
    }
    if (this.#ahead.length > 0) {
      await this.#takeStar(this.#whyAgain(plan.step - 1), plan);
      return;
    }
    await this.#options.fleet.admit();
    const objection = await this.#formRing();
    if (objection !== undefined) await this.#takeStar(objection, plan);
    else this.#openShared(plan, 0);
  }

  #openShared(plan: StepPlan, rotation: number): void {
    this.#opened = shareOut(plan, this.#options.fleet.members, rotation);
    this.#current!.ring.open(this.#opened);
  }

  #whyAgain(lastStep: number): string {
    return `the workers that had step ${lastStep} are lost: going on from step ${this.#options.replica.step}`;
  }

  readonly #isMember = (member: Member): boolean => this.#options.fleet.members.includes(member);
}

/** The star, made when it is first taken; the fleet serves it whenever it is. */
function keepStar({ fleet, makeStar }: ElasticRingOptions): () => AllReduce {
  let service: FleetService | undefined;
  let star: AllReduce | undefined;
  return () => {
    star ??= makeStar((given) => void (service = given));
    fleet.serve(service!);
    return star;
  };
}

/** The plan with its microbatches in equal runs over the members, each `rotation` members further on. */
function shareOut(plan: StepPlan, members: readonly Member[], rotation = 0): StepPlan {
  const all = { first: 0, count: plan.numMicrobatches };
  const shares = members
    .map((member, index) => [member, part(all, members.length, (index + rotation) % members.length)] as const)
    .filter(([, share]) => share.count > 0);
  return { ...plan, shares: new Map(shares) };
}

const isSameSet = (some: readonly Member[], others: readonly Member[]): boolean =>
  some.length === others.length && some.every((member) => others.includes(member));

function lostForGood({ step }: StepPlan): ProtocolError {
  const message = `step ${step}, which is taken again for the workers that had it are lost, is not finite`;
  return new ProtocolError('ERR_NOT_FINITE', message, { step });
}
