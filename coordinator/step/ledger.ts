/**
 * Ledger: where each part of the open step stands. A part is the sum over a node of the reduction tree, and every sample
 * of the step is in one part.
 *
 *     unassigned --ask--> asked --begin--> arriving --enter--> here
 *
 * Several members may be asked for one part: the first answer counts. When the last member that was asked is lost, or its
 * answer does not count, the part is unassigned again. A part that has begun to arrive must then be computed whole:
 * a bucket that arrives a second time is ignored. Any other part may be cut into its microbatches.
 *
 * The ledger is told of questions and of answers, and refuses an answer that nobody was asked for, that came before, or
 * that belongs to another step. It moves no data.
 */
import { countOf } from '../../protocol/counts.ts';
import { internalError, ProtocolError } from '../../protocol/errors.ts';
import { wholeSubtrees } from '../../protocol/vectors/reduction.ts';
import type { TreeNode } from '../../protocol/vectors/reduction.ts';
import type { Range } from '../../protocol/data/sharding.ts';
import type { MessageOf, Sums } from '../../protocol/wire/messages.ts';
import type { Member } from '../members/member.ts';
import { samplesOf } from './step-plan.ts';
import type { StepPlan } from './step-plan.ts';

export type PartState = 'unassigned' | 'asked' | 'arriving' | 'here';

/** What of a message names its part, with the samples of the part's microbatches where the message has them. */
export type PartOf = Pick<MessageOf<'gradientBucket'>, 'step' | 'firstMicrobatch' | 'numMicrobatches'> & {
  readonly microbatches?: readonly Sums[];
};

export interface Entered {
  readonly node: TreeNode;
  /** Other members that were asked for the part: their answers come too late. */
  readonly overtaken: readonly Member[];
}

export interface UnassignedPart {
  readonly node: TreeNode;
  /** Whether a bucket of the part is here: then the whole part is asked for. */
  readonly hasBegun: boolean;
}

const keyOf = ({ first, count }: TreeNode): string => `${first}+${count}`;

interface MissingPart {
  readonly node: TreeNode;
  readonly asked: Set<Member>;
}

/** The ledger of one step. */
export class Ledger {
  readonly #plan: StepPlan;
  /** Parts that are not here, and who is asked for them. */
  readonly #missing = new Map<string, MissingPart>();
  /** The same by member: parts that it is asked for. Looked up after each part, of which there may be hundreds. */
  readonly #owed = new Map<Member, Set<MissingPart>>();
  /** Of the parts that are not here: how many nobody is asked for. */
  #numUnassigned = 0;
  readonly #begun = new Set<string>();
  /** By microbatch. */
  readonly #entered: (Sums | undefined)[];
  #numEntered = 0;

  /** Every member is asked for its share. Of a plan without members, every part is unassigned. */
  constructor(plan: StepPlan) {
    this.#plan = plan;
    this.#entered = Array.from({ length: plan.numMicrobatches }, () => undefined);
    for (const [member, share] of plan.shares) this.ask(member, share);
    if (plan.shares.size > 0) return;
    for (const node of wholeSubtrees({ first: 0, count: plan.numMicrobatches }, plan.numMicrobatches)) {
      this.#add(node);
    }
  }

  /** Where the sum over a node stands that is or was a part of the step. */
  stateOf(node: TreeNode): PartState {
    if (this.#entered[node.first] !== undefined) return 'here';
    if (this.askedFor(node).length === 0) return 'unassigned';
    return this.#begun.has(keyOf(node)) ? 'arriving' : 'asked';
  }

  /** Asks a member for more: unassigned microbatches, or a part that another member is asked for too. */
  ask(member: Member, range: Range): void {
    for (const node of wholeSubtrees(range, this.#plan.numMicrobatches)) {
      const part = this.#missing.get(keyOf(node)) ?? this.#add(node);
      if (part.asked.size === 0) this.#numUnassigned--;
      part.asked.add(member);
      const owed = this.#owed.get(member) ?? new Set();
      this.#owed.set(member, owed.add(part));
    }
  }

  /** A bucket of a part has come. */
  begin(node: TreeNode): void {
    this.#begun.add(keyOf(node));
  }

  /**
   * All of a part has come; nobody is asked for it any more. Throws `ProtocolError`: ERR_STALE_RESULT for another step or
   * a part that is here, ERR_UNEXPECTED_MESSAGE for one that the member was not asked for, ERR_SHAPE_MISMATCH for wrong
   * numbers of samples.
   */
  enter(member: Member, result: PartOf & { readonly microbatches: readonly Sums[] }): Entered {
    const node = this.expect(member, result);
    const overtaken = this.askedFor(node).filter((other) => other !== member);
    const part = this.#missing.get(keyOf(node))!;
    for (const asked of part.asked) this.#owed.get(asked)!.delete(part);
    this.#missing.delete(keyOf(node));
    for (const [i, sums] of result.microbatches.entries()) this.#entered[node.first + i] = sums;
    this.#numEntered += node.count;
    return { node, overtaken };
  }

  /** The node of an answer, or of a bucket of one. Throws as `enter` does, and enters nothing. */
  expect(member: Member, part: PartOf): TreeNode {
    const { firstMicrobatch: first, numMicrobatches: count, microbatches } = part;
    const context = { worker: member.id, step: this.#plan.step };
    if (part.step !== this.#plan.step) {
      const message = `a result of step ${part.step} in step ${this.#plan.step}`;
      throw new ProtocolError('ERR_STALE_RESULT', message, context);
    }
    const range = `microbatches ${first} to ${first + count - 1}`;
    const missing = this.#missing.get(keyOf({ first, count }));
    if (!missing?.asked.has(member)) {
      const isHere = this.#entered[first] !== undefined;
      throw new ProtocolError(
        isHere ? 'ERR_STALE_RESULT' : 'ERR_UNEXPECTED_MESSAGE',
        `${range} ${isHere ? 'came before' : 'were not asked for'}`,
        context,
      );
    }
    const samples = Array.from({ length: count }, (_, i) => samplesOf(this.#plan, first + i));
    const counts = microbatches?.map((sums) => sums.numSamples) ?? samples;
    if (counts.length !== samples.length || counts.some((number, i) => number !== samples[i])) {
      const message = `${range}: samples [${counts.join(', ')}], expected [${samples.join(', ')}]`;
      throw new ProtocolError('ERR_SHAPE_MISMATCH', message, context);
    }
    return missing.node;
  }

  /** Parts that a member is asked for and has not finished. */
  owedBy(member: Member): readonly TreeNode[] {
    return [...(this.#owed.get(member) ?? [])].map(({ node }) => node);
  }

  /** Whether all that the member was asked for is here. */
  isDone(member: Member): boolean {
    return (this.#owed.get(member)?.size ?? 0) === 0;
  }

  /** Members that are asked for a part. */
  askedFor(node: TreeNode): readonly Member[] {
    return [...(this.#missing.get(keyOf(node))?.asked ?? [])];
  }

  /** A member is asked for a part no more. */
  withdraw(member: Member, node: TreeNode): void {
    const part = this.#missing.get(keyOf(node));
    if (part) this.#withdraw(member, part);
  }

  /** A member is asked for nothing more. */
  release(member: Member): void {
    for (const part of this.#owed.get(member) ?? []) this.#withdraw(member, part);
  }

  /** Whether there are parts that nobody is asked for. */
  hasUnassigned(): boolean {
    return this.#numUnassigned > 0;
  }

  /** Takes out the parts that nobody is asked for, to be asked for anew, whole or in other parts. */
  takeUnassigned(): readonly UnassignedPart[] {
    const parts = [...this.#missing.values()].filter(({ asked }) => asked.size === 0);
    for (const { node } of parts) this.#missing.delete(keyOf(node));
    this.#numUnassigned = 0;
    return parts.map(({ node }) => ({ node, hasBegun: this.#begun.has(keyOf(node)) }));
  }

  /** Whether every part is here. */
  isComplete(): boolean {
    return this.#numEntered === this.#entered.length;
  }

  /** Totals over the step, added in the order of the microbatches. Only when every part is here. */
  close(): Sums {
    const { step, numSamples } = this.#plan;
    const totals = { lossSum: 0, numCorrect: 0, numSamples: 0 };
    for (const [index, sums] of this.#entered.entries()) {
      if (!sums) throw internalError(`step ${step} closed without microbatch ${index}`);
      totals.lossSum += sums.lossSum;
      totals.numCorrect += sums.numCorrect;
      totals.numSamples += sums.numSamples;
    }
    if (totals.numSamples !== numSamples) {
      throw internalError(`step ${step} counted ${totals.numSamples} of ${countOf(numSamples, 'sample')}`);
    }
    return totals;
  }

  /** A part that nobody is asked for. */
  #add(node: TreeNode): MissingPart {
    const part = { node, asked: new Set<Member>() };
    this.#missing.set(keyOf(node), part);
    this.#numUnassigned++;
    return part;
  }

  #withdraw(member: Member, part: MissingPart): void {
    this.#owed.get(member)?.delete(part);
    if (part.asked.delete(member) && part.asked.size === 0) this.#numUnassigned++;
  }
}
