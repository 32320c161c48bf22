/**
 * Ledger: which microbatch of the open step is whose, and which are done. Every sample of a step counts exactly once.
 *
 * It is told of assignments and of results, and refuses a result that nobody was asked for, that came before, or that
 * belongs to another step. It moves no data.
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

export interface Ledger {
  /**
   * Enters a member's result; whoever else was asked for it is asked no more. Throws `ProtocolError`: ERR_STALE_RESULT for
   * another step or a node that is done, ERR_UNEXPECTED_MESSAGE for a node that is not this member's, ERR_SHAPE_MISMATCH
   * for wrong numbers of samples.
   */
  enter(
    member: Member,
    result: Pick<MessageOf<'gradient'>, 'step' | 'firstMicrobatch' | 'microbatches'> & NodeSize,
  ): Entry;
  /** The node of a result, or of a part of one that is to come. Throws as `enter` does, and enters nothing. */
  expect(
    member: Member,
    part: Pick<MessageOf<'gradientBucket'>, 'step' | 'firstMicrobatch' | 'numMicrobatches'> & {
      readonly microbatches?: readonly Sums[];
    },
  ): TreeNode;
  /** Whether everything that the member was asked for has been entered. */
  isDone(member: Member): boolean;
  /** What the member was asked for and has not finished. */
  owedBy(member: Member): readonly TreeNode[];
  /** Who owes a node. */
  owing(node: TreeNode): readonly Member[];
  /** Takes a node from a member that owes it. */
  withdraw(member: Member, node: TreeNode): void;
  /** Takes all that it owes from the member; returns what nobody else is asked for. */
  release(member: Member): TreeNode[];
  /** Asks a member for more: a range of microbatches that nobody is asked for, or a node that another owes too. */
  assign(member: Member, range: Range): void;
  /** Whether every microbatch has been entered. */
  isComplete(): boolean;
  /** Totals over the step, added in the order of the microbatches. Only when every one has been entered. */
  close(): Sums;
}

interface NodeSize {
  readonly numMicrobatches: number;
}

export interface Entry {
  readonly node: TreeNode;
  /** Members that owed it too: what they send of it comes late. */
  readonly overtaken: readonly Member[];
}

/** Opens the ledger of one step. */
export function openLedger(plan: StepPlan): Ledger {
  const outstanding = new Map<Member, TreeNode[]>();
  for (const [member, share] of plan.shares) outstanding.set(member, wholeSubtrees(share, plan.numMicrobatches));
  const entered: (Sums | undefined)[] = Array.from({ length: plan.numMicrobatches }, () => undefined);

  /** The member's outstanding node of a result; where it stands among them. */
  const find = (member: Member, result: Parameters<Ledger['expect']>[1]) => {
    const context = { worker: member.id, step: plan.step };
    const { firstMicrobatch: first, numMicrobatches: count } = result;
    if (result.step !== plan.step) {
      throw new ProtocolError('ERR_STALE_RESULT', `a result of step ${result.step} in step ${plan.step}`, context);
    }
    const range = `microbatches ${first} to ${first + count - 1}`;
    const nodes = outstanding.get(member) ?? [];
    const at = nodes.findIndex((node) => node.first === first && node.count === count);
    if (at === -1) {
      const isRepeated = entered[first] !== undefined;
      throw new ProtocolError(
        isRepeated ? 'ERR_STALE_RESULT' : 'ERR_UNEXPECTED_MESSAGE',
        `${range} ${isRepeated ? 'came before' : 'were not asked for'}`,
        context,
      );
    }
    return { context, range, nodes, at };
  };

  const checkCounts = (
    first: number,
    microbatches: readonly Sums[],
    numMicrobatches: number,
    { context, range }: Found,
  ) => {
    const samples = Array.from({ length: numMicrobatches }, (_, i) => samplesOf(plan, first + i));
    const counts = microbatches.map((sums) => sums.numSamples);
    if (counts.length === samples.length && counts.every((count, i) => count === samples[i])) return;
    throw new ProtocolError(
      'ERR_SHAPE_MISMATCH',
      `${range}: samples [${counts.join(', ')}], expected [${samples.join(', ')}]`,
      context,
    );
  };
  type Found = ReturnType<typeof find>;

  const owing = (node: TreeNode): Member[] =>
    [...outstanding].filter(([, nodes]) => nodes.some((owed) => isSame(owed, node))).map(([member]) => member);
  const withdraw = (member: Member, node: TreeNode) => {
    const nodes = outstanding.get(member) ?? [];
    const at = nodes.findIndex((owed) => isSame(owed, node));
    if (at !== -1) nodes.splice(at, 1);
  };

  return {
    expect(member, part) {
      const found = find(member, part);
      if (part.microbatches) checkCounts(part.firstMicrobatch, part.microbatches, part.numMicrobatches, found);
      return found.nodes[found.at]!;
    },
    enter(member, result) {
      const { firstMicrobatch, microbatches, numMicrobatches } = result;
      const found = find(member, result);
      checkCounts(firstMicrobatch, microbatches, numMicrobatches, found);
      const node = found.nodes[found.at]!;
      const overtaken = owing(node).filter((other) => other !== member);
      for (const debtor of [member, ...overtaken]) withdraw(debtor, node);
      for (const [i, sums] of microbatches.entries()) entered[firstMicrobatch + i] = sums;
      return { node, overtaken };
    },
    owedBy: (member) => outstanding.get(member) ?? [],
    owing,
    withdraw,
    release(member) {
      const nodes = outstanding.get(member) ?? [];
      outstanding.delete(member);
      return nodes.filter((node) => owing(node).length === 0);
    },
    assign(member, range) {
      const nodes = outstanding.get(member) ?? [];
      outstanding.set(member, [...nodes, ...wholeSubtrees(range, plan.numMicrobatches)]);
    },
    isComplete: () => entered.every((sums) => sums !== undefined),
    isDone: (member) => (outstanding.get(member) ?? []).length === 0,
    close() {
      const totals = { lossSum: 0, numCorrect: 0, numSamples: 0 };
      for (const [index, sums] of entered.entries()) {
        if (!sums) throw internalError(`step ${plan.step} closed without microbatch ${index}`);
        totals.lossSum += sums.lossSum;
        totals.numCorrect += sums.numCorrect;
        totals.numSamples += sums.numSamples;
      }
      if (totals.numSamples !== plan.numSamples) {
        throw internalError(`step ${plan.step} counted ${totals.numSamples} of ${countOf(plan.numSamples, 'sample')}`);
      }
      return totals;
    },
  };
}

const isSame = (a: TreeNode, b: TreeNode): boolean => a.first === b.first && a.count === b.count;
