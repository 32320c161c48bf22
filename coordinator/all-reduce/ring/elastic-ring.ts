/**
 * Elastic ring: one ring after the other, of the members that there are, and the star where there can be no ring.
 *
 * A ring that breaks leaves its members where they stood before the step (see `ring.ts`). So the replica is brought there,
 * newcomers are given its state, and the step is taken again, by a ring of all of them: its microbatches are cut anew over
 * those members, and only what they send is entered. Rings are formed again in two more cases: when an epoch begins
 * and newcomers wait, for the replica has then the state that they need, or when the star has stood in.
 *
 * Between an epoch's end and a broken ring the replica does not follow. When all members are lost at once, the steps since
 * then are lost with them: they are taken again by whoever comes, before the step at hand.
 */
import { countOf } from '../../../protocol/counts.ts';
import { ProtocolError } from '../../../protocol/errors.ts';
import type { Replica } from '../../../protocol/state/replica.ts';
import { part } from '../../../protocol/data/sharding.ts';
import type { Fleet, FleetService } from '../../members/fleet.ts';
import type { Member } from '../../members/member.ts';
import { createDeadlines } from '../../step/deadlines.ts';
import type { StepPlan } from '../../step/step-plan.ts';
import type { AllReduce } from '../all-reduce.ts';
import type { Confirmation } from '../../members/state-proof.ts';
import { createRing } from './ring.ts';
import type { Ring } from './ring.ts';
import { setUpRing } from './set-up.ts';
import { bringHome } from './recover-state.ts';
import { createRingTalk } from './conversation.ts';
import type { RingTalk } from './conversation.ts';
import { createRingTrials } from './retry-policy.ts';

export interface ElasticRingOptions {
  readonly fleet: Fleet;
  /** The coordinator's. Follows at the end of an epoch and when a ring breaks; in a star with every step. */
  readonly replica: Replica;
  /** The longest wait for a member's own sum, and then for the exchange. */
  readonly stepTimeoutMs: number;
  /** Makes the star that stands in; called once, if at all. */
  readonly makeStar: (serve: Fleet['serve']) => AllReduce;
  readonly say: (line: string) => void;
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
  const { fleet, replica, stepTimeoutMs, say } = options;
  let { why } = options;
  const sumDeadlines = createDeadlines(stepTimeoutMs);
  const exchangeDeadlines = createDeadlines(stepTimeoutMs);
  const trials = createRingTrials();
  const useStar = keepStar(options);
  let current: { ring: Ring; talk: RingTalk } | undefined;
  let star: AllReduce | undefined;
  /** The step at hand, with the shares that members were told of. */
  let opened: StepPlan | undefined;
  /** Whether a ring must be formed before the step at hand can be opened. */
  let isDue = false;
  /** Steps whose average the members have applied, and the replica has not. */
  let ahead: StepPlan[] = [];

  const isMember = (member: Member): boolean => fleet.members.includes(member);

  /** Forms a ring of all members; returns why not, if there can be none. */
  const formRing = async (): Promise<string | undefined> => {
    fleet.serve(HOLD_NEWCOMERS);
    for (;;) {
      const objection = trials.objection(fleet.members.length);
      if (objection !== undefined) return objection;
      const members = [...fleet.members];
      const lose = fleet.lose.bind(fleet);
      const talk = createRingTalk(members, { lose, isMember, leaveMs: (member) => sumDeadlines.of(member) });
      talk.stand(replica.step);
      const inOrder = await setUpRing(members, { talk, stepTimeoutMs, apart: trials.apart });
      if (inOrder) {
        current = { talk, ring: createRing(inOrder, { talk, sumDeadlines, exchangeDeadlines }) };
        say(`all-reduce: ring of ${countOf(inOrder.length, 'worker')}${why === undefined ? '' : `, because ${why}`}`);
        why = undefined;
        return undefined;
      }
      trials.failed(talk);
    }
  };

  /** Brings the replica to where the ring's members stand; returns their proofs: none when nobody is left to give them. */
  const follow = async (step: number): Promise<Confirmation[]> => {
    const members = current!.ring.members.filter(isMember);
    const proofs = await bringHome(members, { fleet, replica, step, timeoutMs: stepTimeoutMs });
    if (proofs.length > 0) ahead = [];
    return proofs;
  };

  /** Takes the star instead of a ring, and opens `next` in it; before it, whatever was lost with all members is done again. */
  const takeStar = async (reason: string, next?: StepPlan): Promise<AllReduce> => {
    say(`all-reduce: star, because ${reason}`);
    current = undefined;
    star = useStar();
    const plans = ahead;
    ahead = [];
    const openNext = async (plan: StepPlan | undefined, open: (shared: StepPlan | undefined) => void) => {
      while (plan && fleet.members.length === 0) await fleet.whenAny();
      opened = plan && shareOut(plan, fleet.members);
      open(opened);
    };
    await openNext(plans[0] ?? next, (first) => first && star!.open(first));
    for (const [i, plan] of plans.entries()) {
      const { isFinite } = await star.collect(opened!);
      if (!isFinite) throw lostForGood(plan);
      await openNext(plans[i + 1] ?? next, (following) => star!.distribute(plan, following));
      star.apply(plan);
    }
    return star;
  };

  /** Ends the ring that there was, takes in newcomers, and opens the step in a new ring or in the star. */
  const renew = async (plan: StepPlan): Promise<void> => {
    isDue = false;
    if (current) {
      await current.ring.close('another ring is formed', plan.step - 1);
      if (ahead.length > 0) await follow(plan.step - 1);
      current = undefined;
    }
    if (ahead.length > 0) {
      await takeStar(`the workers that had step ${plan.step - 1} are lost: going on from step ${replica.step}`, plan);
      return;
    }
    await fleet.admit();
    const objection = await formRing();
    if (objection !== undefined) await takeStar(objection, plan);
    else openShared(plan, 0);
  };

  const openShared = (plan: StepPlan, rotation: number) => {
    opened = shareOut(plan, fleet.members, rotation);
    current!.ring.open(opened);
  };

  const objection = await formRing();
  if (objection !== undefined) await takeStar(objection);

  return {
    // Members' sums are added in the order of the ring.
    isExact: false,

    get isGivenUp() {
      return trials.areOver;
    },

    open(plan) {
      trials.epochBegins();
      if (star && trials.objection(fleet.members.length) === undefined) star = undefined;
      opened = plan;
      if (star) {
        star.open(plan);
        return;
      }
      isDue = !current || fleet.canAdmit || !isSameSet(current.ring.members, fleet.members);
      if (!isDue) current!.ring.open(plan);
    },

    async collect(plan) {
      let rotation = 0;
      for (;;) {
        if (isDue) await renew(plan);
        if (star) return star.collect(opened!);
        const { ring, talk } = current!;
        const reduced = await ring.collect(opened!);
        if (!reduced) {
          trials.failed(talk);
          if (!talk.hasLost) say(`all-reduce: the ring is broken in step ${plan.step}: ${talk.end!.reason}`);
          isDue = true;
          continue;
        }
        trials.succeeded();
        if (reduced.isFinite || rotation > 0) return reduced;
        // A worker that computes nonsense now and then, unlike a loss that diverges, does so elsewhere or not again.
        rotation = 1;
        say(`step ${plan.step}: the average is not finite: taking the step again, each microbatch on another worker`);
        openShared(plan, rotation);
      }
    },

    distribute(plan, next) {
      opened = next;
      if (star) {
        star.distribute(plan, next);
        return;
      }
      ahead.push(plan);
      if (next) current!.ring.open(next);
    },

    apply: (plan) => star?.apply(plan),

    async confirm() {
      if (star) return star.confirm();
      const { step, numSteps } = ahead.at(-1)!;
      const proofs = await follow(step + numSteps - 1);
      if (proofs.length > 0) return proofs;
      const reason = `the workers that had step ${step + numSteps - 1} are lost: going on from step ${replica.step}`;
      return (await takeStar(reason)).confirm();
    },
  };
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
