/**
 * Collection: waits for all members' parts of a step, so that every microbatch is entered in the ledger once, whoever
 * computed it. What a member that is lost had not finished is given to the others. What one is late with is asked of
 * others as well when they are idle, and whoever answers first is taken at his word: the answers are the same.
 */
import type { TreeNode } from '../../../protocol/vectors/reduction.ts';
import { part } from '../../../protocol/data/sharding.ts';
import type { Range } from '../../../protocol/data/sharding.ts';
import type { Fleet } from '../../members/fleet.ts';
import type { Ledger } from '../../step/ledger.ts';
import type { Member } from '../../members/member.ts';
import type { StepPlan } from '../../step/step-plan.ts';

export interface CollectionOptions {
  readonly plan: StepPlan;
  readonly fleet: Fleet;
  readonly ledger: Ledger;
  /**
   * Receives what a member is asked for, to the end; rejects with what it did wrong, or with `NotTaken` for a node that
   * somebody else is to compute.
   */
  readonly receiveFrom: (member: Member) => Promise<void>;
  /** Tells a member to compute these microbatches too; one that cannot be told is lost. */
  readonly ask: (member: Member, range: Range) => void;
  /** Whether a part of the sum over a node has come: then it is given away whole, and what comes twice is ignored. */
  readonly isBegun: (node: TreeNode) => boolean;
  /** Settles when no member owes anything else: before that it must not be asked for more. */
  readonly isFree: Promise<unknown>;
  /** Members that are not done so long after the beginning are late; nobody is when left out. */
  readonly lateAfterMs?: number | undefined;
  /** Whether a member has sent all that it can send before others' parts are here. */
  readonly isHeldBack: (member: Member) => boolean;
}

/** A node is to be computed by `taker`: what the member that owed it has to say of it does not count. */
export class NotTaken extends Error {
  readonly node: TreeNode;
  readonly taker: Member;

  constructor(node: TreeNode, taker: Member) {
    super(`microbatches from ${node.first} on are given to another`);
    this.node = node;
    this.taker = taker;
  }
}

/** Returns the members that were late. Rejects when no member is left and none joins, see `Fleet`. */
export async function collectAll(options: CollectionOptions): Promise<ReadonlySet<Member>> {
  const { plan, fleet, ledger, receiveFrom, ask, isBegun, isFree, lateAfterMs, isHeldBack } = options;
  const isMember = (member: Member): boolean => fleet.members.includes(member);
  /** What nobody is asked for. */
  const orphans: TreeNode[] = [];
  const receiving = new Map<Member, Promise<void>>();
  const late = new Set<Member>();

  const receive = (member: Member) => {
    if (receiving.has(member)) return;
    const received = receiveFrom(member)
      .catch((error: unknown) => {
        if (error instanceof NotTaken) {
          ledger.withdraw(member, error.node);
          // Another may owe it already: then that one's answer is waited for.
          if (ledger.owing(error.node).length === 0) give(error.taker, error.node);
          return;
        }
        fleet.lose(member, plan.step, error);
        orphans.push(...ledger.release(member));
      })
      .finally(() => {
        receiving.delete(member);
        // It may have been asked for more after its last answer was taken and before this.
        if (!ledger.isDone(member)) receive(member);
      });
    // Whoever waits for it finds out; when nobody does any more, nobody needs to.
    received.catch(() => {});
    receiving.set(member, received);
  };

  const receiveOrRelease = (member: Member) => {
    if (isMember(member)) receive(member);
    else orphans.push(...ledger.release(member));
  };

  const give = (member: Member, range: Range) => {
    ledger.assign(member, range);
    ask(member, range);
    receiveOrRelease(member);
  };

  /** Gives orphans to members, in equal parts. */
  const placeOrphans = () => {
    const ranges = orphans.splice(0).flatMap((node) => (isBegun(node) ? [node] : leavesOf(node)));
    const takers = [...fleet.members];
    for (const [index, member] of takers.entries()) {
      const { first, count } = part({ first: 0, count: ranges.length }, takers.length, index);
      for (const range of joinRanges(ranges.slice(first, first + count), isBegun)) {
        ledger.assign(member, range);
        ask(member, range);
      }
      receiveOrRelease(member);
    }
  };

  /** Asks those that are idle for what others are late with; not where most are late: then it is the machine's doing. */
  const overtake = () => {
    const slow = [...receiving.keys()].filter((member) => !isHeldBack(member));
    const idle = fleet.members.filter((member) => !slow.includes(member));
    if (slow.length > idle.length) return;
    for (const member of slow) late.add(member);
    const nodes = slow.flatMap((member) => ledger.owedBy(member).filter((node) => ledger.owing(node).length === 1));
    for (const [i, node] of nodes.entries()) give(idle[i % idle.length]!, node);
  };

  const alarm = lateAfterMs === undefined ? undefined : createAlarm(lateAfterMs);
  try {
    for (const member of plan.shares.keys()) receiveOrRelease(member);
    // Of a step that was planned when nobody was there.
    if (plan.shares.size === 0) orphans.push({ first: 0, count: plan.numMicrobatches });
    while (!ledger.isComplete()) {
      if (orphans.length > 0) {
        await isFree;
        // The last member may be lost while this wait ends.
        while (fleet.members.length === 0) await fleet.whenAny();
        placeOrphans();
        continue;
      }
      await Promise.race(alarm ? [alarm.rung(), ...receiving.values()] : receiving.values());
      if (!alarm?.isRinging()) continue;
      await isFree;
      if (orphans.length === 0 && !ledger.isComplete()) overtake();
      alarm.set();
    }
  } finally {
    alarm?.stop();
  }
  return late;
}

/** Rings once in `milliseconds`, until it is set again. */
function createAlarm(milliseconds: number) {
  let isRinging = false;
  let ring!: () => void;
  let rung: Promise<void>;
  let timer: NodeJS.Timeout;
  const set = () => {
    isRinging = false;
    rung = new Promise((resolve) => (ring = resolve));
    timer = setTimeout(() => {
      isRinging = true;
      ring();
    }, milliseconds);
  };
  set();
  return { set, rung: () => rung, isRinging: () => isRinging, stop: () => clearTimeout(timer) };
}

/** A node's microbatches one by one. */
const leavesOf = ({ first, count }: TreeNode): Range[] =>
  Array.from({ length: count }, (_, i) => ({ first: first + i, count: 1 }));

/** Ranges in order, each joined to the one before where they meet; those that `isWhole` names stay as they are. */
function joinRanges(ranges: readonly Range[], isWhole: (range: Range) => boolean): Range[] {
  const joined: Range[] = [];
  for (const range of [...ranges].sort((a, b) => a.first - b.first)) {
    const before = joined.at(-1);
    const meets = before && before.first + before.count === range.first && !isWhole(before) && !isWhole(range);
    if (meets) joined[joined.length - 1] = { first: before.first, count: before.count + range.count };
    else joined.push(range);
  }
  return joined;
}
