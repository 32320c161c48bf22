/**
 * Collection: waits for all members' parts of a step. What a member that is lost had not finished is given to the others,
 * so that every microbatch is entered in the ledger once, whoever computed it.
 */
import type { TreeNode } from '../../protocol/state/reduction.ts';
import { part } from '../../protocol/state/sharding.ts';
import type { Range } from '../../protocol/state/sharding.ts';
import type { Fleet } from '../fleet.ts';
import type { Ledger } from '../ledger.ts';
import type { Member } from '../membership.ts';
import type { StepPlan } from '../step-plan.ts';

export interface CollectionOptions {
  readonly plan: StepPlan;
  readonly fleet: Fleet;
  readonly ledger: Ledger;
  /** Receives what a member is asked for, to the end; rejects with what it did wrong. */
  readonly receiveFrom: (member: Member) => Promise<void>;
  /** Tells a member to compute these microbatches too; one that cannot be told is lost. */
  readonly ask: (member: Member, range: Range) => void;
  /** Whether a part of the sum over a node has come: then it is given away whole, and what comes twice is ignored. */
  readonly isBegun: (node: TreeNode) => boolean;
  /** Settles when no member owes anything else: before that it must not be asked for more. */
  readonly isFree: Promise<void>;
}

/** Rejects when no member is left and none joins, see `Fleet`. */
export async function collectAll(options: CollectionOptions): Promise<void> {
  const { plan, fleet, ledger, receiveFrom, ask, isBegun, isFree } = options;
  const isMember = (member: Member): boolean => fleet.members.includes(member);
  /** What nobody is asked for. */
  const orphans: TreeNode[] = [];
  const receiving = new Map<Member, Promise<void>>();

  const receive = (member: Member) => {
    if (receiving.has(member)) return;
    const received = receiveFrom(member)
      .catch((error: unknown) => {
        fleet.lose(member, plan.step, error);
        orphans.push(...ledger.release(member));
      })
      .finally(() => {
        receiving.delete(member);
        // It may have been asked for more after its last answer was taken and before this.
        if (!ledger.isDone(member)) receive(member);
      });
    receiving.set(member, received);
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

  const receiveOrRelease = (member: Member) => {
    if (isMember(member)) receive(member);
    else orphans.push(...ledger.release(member));
  };

  for (const member of plan.shares.keys()) receiveOrRelease(member);
  while (!ledger.isComplete()) {
    if (orphans.length > 0) {
      await isFree;
      // The last member may be lost while this wait ends.
      while (fleet.members.length === 0) await fleet.whenAny();
      placeOrphans();
    } else {
      await Promise.race(receiving.values());
    }
  }
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
