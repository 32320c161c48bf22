/**
 * The fixed reduction tree: in which order the gradients of a step's microbatches are added.
 *
 * Floating-point addition is not associative, so the order is part of the result. It is a binary tree over microbatch
 * indices that depends on their number alone. A worker that holds all leaves below a node can add them and pass on the
 * node. The root has the same bits no matter who added what, and when.
 *
 *     5 microbatches:        root
 *                           /    \
 *                      [0..3]     [4]
 *                      /    \
 *                 [0,1]      [2,3]
 *
 * Pairwise summation also keeps the rounding error small: Higham, Accuracy and Stability of Numerical Algorithms, 4.2.
 */
import { countOf } from '../counts.ts';
import { internalError } from '../errors.ts';
import type { Range } from '../data/sharding.ts';

/** A node of the tree: the microbatches below it. */
export type TreeNode = Range;

/** The two children of a node with more than one leaf: the left one is the largest power of two that leaves a rest. */
function children(node: TreeNode): [TreeNode, TreeNode] {
  const left = 2 ** Math.ceil(Math.log2(node.count) - 1);
  return [
    { first: node.first, count: left },
    { first: node.first + left, count: node.count - left },
  ];
}

/** The largest nodes whose leaves all lie in `range`, left to right: what a worker holding that range sends. */
export function wholeSubtrees(range: Range, numMicrobatches: number): TreeNode[] {
  const visit = (node: TreeNode): TreeNode[] => {
    const end = range.first + range.count;
    if (node.first >= end || node.first + node.count <= range.first) return [];
    if (node.first >= range.first && node.first + node.count <= end) return [node];
    return children(node).flatMap(visit);
  };
  return range.count === 0 ? [] : visit({ first: 0, count: numMicrobatches });
}

/** Parent and sibling of a node; undefined for the root. `side` is the node's own place under its parent. */
function relatives(node: TreeNode, numMicrobatches: number) {
  let parent: TreeNode = { first: 0, count: numMicrobatches };
  while (parent.count > node.count) {
    const [left, right] = children(parent);
    if (same(left, node)) return { parent, sibling: right, side: 'left' } as const;
    if (same(right, node)) return { parent, sibling: left, side: 'right' } as const;
    parent = node.first < right.first ? left : right;
  }
  if (same(parent, node)) return undefined;
  throw internalError(
    `[${node.first}, +${node.count}) is no node of a tree over ${countOf(numMicrobatches, 'microbatch', 'microbatches')}`,
  );
}

const same = (a: TreeNode, b: TreeNode): boolean => a.first === b.first && a.count === b.count;

export interface Reducer<T> {
  /** Puts a node's value in; returns the target that this completed, if it did. */
  add(node: TreeNode, value: T): { node: TreeNode; value: T } | undefined;
}

/**
 * Adds up the tree over `numMicrobatches` leaves as values arrive, in any order, until each of `targets` is complete.
 * `combine(left, right)` returns the sum of two siblings; neither is used again.
 */
export function createReducer<T>(
  numMicrobatches: number,
  targets: readonly TreeNode[],
  combine: (left: T, right: T) => T,
): Reducer<T> {
  const waiting = new Map<number, { node: TreeNode; value: T }>();
  return {
    add(node, value) {
      for (;;) {
        if (targets.some((target) => same(target, node))) return { node, value };
        const family = relatives(node, numMicrobatches);
        if (!family) throw internalError('the root was reached, but is no target');
        const sibling = waiting.get(family.sibling.first);
        if (sibling === undefined || !same(sibling.node, family.sibling)) {
          waiting.set(node.first, { node, value });
          return undefined;
        }
        waiting.delete(family.sibling.first);
        value = family.side === 'left' ? combine(value, sibling.value) : combine(sibling.value, value);
        node = family.parent;
      }
    },
  };
}

/** What is done after a leaf of a {@link ReductionPlan}: the values with these numbers are added, left and right. */
type Addition = readonly [left: number, right: number];

/**
 * The additions of a tree whose parts come as `nodes`, in order. Values are numbered: the parts from 0, then each sum. What
 * holds for vectors in blocks, whose tree is the same for each block.
 *
 * - `additions[i]`: those that part i makes possible; the sums have the next numbers
 * - `root`: the number of the whole tree's sum
 */
export interface ReductionPlan {
  readonly additions: readonly (readonly Addition[])[];
  readonly root: number;
}

/** `nodes` cover the tree over `numMicrobatches` leaves. */
export function planReduction(numMicrobatches: number, nodes: readonly TreeNode[]): ReductionPlan {
  let numValues = nodes.length;
  let current: Addition[] = [];
  const reducer = createReducer<number>(numMicrobatches, [{ first: 0, count: numMicrobatches }], (left, right) => {
    current.push([left, right]);
    return numValues++;
  });
  let root: number | undefined;
  const additions = nodes.map((node, part) => {
    current = [];
    root = reducer.add(node, part)?.value ?? root;
    return current;
  });
  if (root === undefined) throw internalError(`a tree of ${countOf(nodes.length, 'part')} is not whole`);
  return { additions, root };
}

/** sum[i] <- left[i] + right[i], rounded to float32. Lengths are equal; `sum` may be `left` or `right`. */
export function addVectors(sum: Float32Array, left: Float32Array, right: Float32Array): void {
  if (left.length !== sum.length || right.length !== sum.length) {
    throw internalError(
      `cannot add vectors of ${left.length} and ${countOf(right.length, 'value')} into ${sum.length}`,
    );
  }
  for (let i = 0; i < sum.length; i++) sum[i] = left[i]! + right[i]!;
}

/** difference[i] <- left[i] - right[i], as {@link addVectors} adds. */
export function subtractVectors(difference: Float32Array, left: Float32Array, right: Float32Array): void {
  if (left.length !== difference.length || right.length !== difference.length) {
    throw internalError(`cannot subtract vectors of ${left.length} and ${right.length} into ${difference.length}`);
  }
  for (let i = 0; i < difference.length; i++) difference[i] = left[i]! - right[i]!;
}

/**
 * mean[i] <- sum[i] / numSamples, rounded to float32. Returns whether every value is finite. `mean` may be `sum`.
 */
export function divideVector(mean: Float32Array, sum: Float32Array, numSamples: number): boolean {
  // x - x is 0 for a finite x and NaN for any other: one addition a value finds the first that is not.
  let poison = 0;
  for (let i = 0; i < mean.length; i++) {
    const value = Math.fround(sum[i]! / numSamples);
    mean[i] = value;
    poison += value - value;
  }
  return poison === 0;
}
