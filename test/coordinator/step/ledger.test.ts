import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Ledger } from '../../../coordinator/step/ledger.ts';
import type { Member } from '../../../coordinator/members/member.ts';
import { planStep } from '../../../coordinator/step/step-plan.ts';
import { wholeSubtrees } from '../../../protocol/vectors/reduction.ts';
import type { TreeNode } from '../../../protocol/vectors/reduction.ts';
import { part } from '../../../protocol/data/sharding.ts';
import { memoryTransportPair } from '../../../protocol/wire/transport.ts';

const makeMembers = (count: number): Member[] =>
  Array.from({ length: count }, (_, i) => {
    const [transport] = memoryTransportPair();
    return { id: `w${i + 1}`, name: `worker-${i}`, engine: 'onnx', device: 'cpu', threads: 1, transport };
  });

const ratesAt = () => ({ learningRate: 0.1, stepSize: 0.1, secondMomentScale: 1 });
const sizes = { globalBatch: 32, microbatches: 4, numTrainSamples: 100, ratesAt };

/** The results that a member of this plan owes, sound. */
function resultsOf(plan: ReturnType<typeof planStep>, member: Member) {
  const share = plan.shares.get(member);
  if (!share) return [];
  return wholeSubtrees(share, plan.numMicrobatches).map(({ first, count }) => ({
    step: plan.step,
    firstMicrobatch: first,
    numMicrobatches: count,
    microbatches: Array.from({ length: count }, (_, i) => {
      const samples = part({ first: 0, count: plan.numSamples }, plan.numMicrobatches, first + i);
      return { lossSum: first + i, numCorrect: 1, numSamples: samples.count };
    }),
  }));
}

type Result = ReturnType<typeof resultsOf>[number];
const nodeOf = ({ firstMicrobatch, numMicrobatches }: Result): TreeNode => ({
  first: firstMicrobatch,
  count: numMicrobatches,
});

describe('the ledger', () => {
  test('counts every sample of an epoch once when rounds have several steps, the ragged end included', () => {
    const sizesOf = fc.record({
      numTrainSamples: fc.integer({ min: 1, max: 120 }),
      globalBatch: fc.integer({ min: 1, max: 40 }),
      microbatches: fc.integer({ min: 1, max: 9 }),
      localSteps: fc.integer({ min: 2, max: 6 }),
    });
    fc.assert(
      fc.property(sizesOf, fc.integer({ min: 1, max: 5 }), (some, numMembers) => {
        const members = makeMembers(numMembers);
        const perEpoch = Math.ceil(some.numTrainSamples / some.globalBatch);
        let counted = 0;
        let step = 1;
        while (step <= perEpoch) {
          const plan = planStep(step, members, { ...some, ratesAt });
          const ledger = new Ledger(plan);
          for (const [member, share] of plan.shares) {
            for (const { first, count } of wholeSubtrees(share, plan.numMicrobatches)) {
              const microbatches = Array.from({ length: count }, (_, i) => {
                // Written out: the samples of microbatch first + i in each batch that has it.
                let numSamples = 0;
                for (const batch of plan.batches) {
                  const numParts = Math.min(some.microbatches, batch.count);
                  const cut = (at: number) => Math.floor((at * batch.count) / numParts);
                  if (first + i < numParts) numSamples += cut(first + i + 1) - cut(first + i);
                }
                return { lossSum: 1, numCorrect: 0, numSamples };
              });
              ledger.enter(member, { step, firstMicrobatch: first, numMicrobatches: count, microbatches });
            }
          }
          counted += ledger.close().numSamples;
          step += plan.numSteps;
        }
        expect(counted).toBe(some.numTrainSamples);
        expect(step).toBe(perEpoch + 1);
      }),
    );
  });

  test('counts every sample once, whoever computes what and in whatever order it comes', () => {
    const counts = fc.integer({ min: 1, max: 12 });
    fc.assert(
      fc.property(
        counts,
        counts,
        fc.integer({ min: 1, max: 60 }),
        fc.nat(),
        (numMembers, microbatches, globalBatch, seed) => {
          const members = makeMembers(numMembers);
          const plan = planStep(1 + (seed % 5), members, { ...sizes, globalBatch, microbatches, numTrainSamples: 70 });
          const ledger = new Ledger(plan);
          const owed = members.flatMap((member) => resultsOf(plan, member).map((result) => ({ member, result })));
          owed.sort(
            (a, b) => ((a.result.firstMicrobatch * 7919 + seed) % 13) - ((b.result.firstMicrobatch * 7919 + seed) % 13),
          );
          for (const { member, result } of owed) ledger.enter(member, result);
          expect(members.every((member) => ledger.isDone(member))).toBe(true);
          expect(ledger.close().numSamples).toBe(plan.numSamples);
        },
      ),
    );
  });

  test('adds losses in the order of microbatches', () => {
    const [a, b] = makeMembers(2) as [Member, Member];
    const plan = planStep(1, [a, b], sizes);
    const ledger = new Ledger(plan);
    for (const member of [b, a]) for (const result of resultsOf(plan, member)) ledger.enter(member, result);
    expect(ledger.close()).toEqual({ lossSum: 0 + 1 + 2 + 3, numCorrect: 4, numSamples: 32 });
  });

  const refusal = (change: (result: ReturnType<typeof resultsOf>[number]) => object, times = 1) => {
    const [a, b] = makeMembers(2) as [Member, Member];
    const plan = planStep(2, [a, b], sizes);
    const ledger = new Ledger(plan);
    const [result] = resultsOf(plan, a);
    return () => {
      for (let i = 0; i < times; i++) ledger.enter(a, { ...result!, ...change(result!) });
    };
  };

  test.each<[string, () => void, string]>([
    ['a result twice', refusal(() => ({}), 2), 'ERR_STALE_RESULT'],
    ['a result of the step before', refusal(() => ({ step: 1 })), 'ERR_STALE_RESULT'],
    ["another worker's microbatches", refusal(() => ({ firstMicrobatch: 2 })), 'ERR_UNEXPECTED_MESSAGE'],
    ['a node of another size', refusal(() => ({ numMicrobatches: 1 })), 'ERR_UNEXPECTED_MESSAGE'],
    ['microbatches beyond the step', refusal(() => ({ firstMicrobatch: 99 })), 'ERR_UNEXPECTED_MESSAGE'],
    ['too few counts', refusal((r) => ({ microbatches: r.microbatches.slice(1) })), 'ERR_SHAPE_MISMATCH'],
    [
      'counts of other samples',
      refusal((r) => ({ microbatches: r.microbatches.map((s) => ({ ...s, numSamples: 9 })) })),
      'ERR_SHAPE_MISMATCH',
    ],
  ])('refuses %s', (_what, enter, code) => {
    expect(enter).toThrow(expect.objectContaining({ code, worker: 'w1' }));
  });

  describe('says of each part where it stands', () => {
    const [a, b] = makeMembers(2) as [Member, Member];
    const plan = planStep(1, [a, b], sizes);
    const [ofA, ofB] = [a, b].map((member) => resultsOf(plan, member)[0]!) as [Result, Result];
    const [nodeA, nodeB] = [ofA, ofB].map(nodeOf) as [TreeNode, TreeNode];

    test('asked of a member, arriving, and here', () => {
      const ledger = new Ledger(plan);
      expect([ledger.stateOf(nodeA), ledger.askedFor(nodeA), ledger.owedBy(a)]).toEqual(['asked', [a], [nodeA]]);
      ledger.begin(ledger.expect(a, ofA));
      expect(ledger.stateOf(nodeA)).toBe('arriving');
      expect(ledger.enter(a, ofA)).toEqual({ node: nodeA, overtaken: [] });
      expect([ledger.stateOf(nodeA), ledger.askedFor(nodeA), ledger.isDone(a)]).toEqual(['here', [], true]);
    });

    test('asked of two: the first answer counts, and the other member is asked no more', () => {
      const ledger = new Ledger(plan);
      ledger.ask(b, nodeA);
      expect(ledger.enter(b, ofA)).toEqual({ node: nodeA, overtaken: [a] });
      expect([ledger.isDone(a), ledger.owedBy(b)]).toEqual([true, [nodeB]]);
      expect(() => ledger.enter(a, ofA)).toThrow(expect.objectContaining({ code: 'ERR_STALE_RESULT' }));
    });

    test('unassigned when the last member that was asked is lost: taken out to be asked for anew', () => {
      const ledger = new Ledger(plan);
      ledger.ask(b, nodeA);
      ledger.release(a);
      expect([ledger.stateOf(nodeA), ledger.hasUnassigned()]).toEqual(['asked', false]);
      ledger.withdraw(b, nodeA);
      expect([ledger.stateOf(nodeA), ledger.hasUnassigned()]).toEqual(['unassigned', true]);
      expect(ledger.takeUnassigned()).toEqual([{ node: nodeA, hasBegun: false }]);
      expect(ledger.hasUnassigned()).toBe(false);
      ledger.ask(b, { first: nodeA.first, count: 1 });
      expect(ledger.stateOf({ first: nodeA.first, count: 1 })).toBe('asked');
    });

    test('begun even when it is unassigned and asked for again: it must come whole', () => {
      const ledger = new Ledger(plan);
      ledger.begin(nodeA);
      ledger.release(a);
      expect(ledger.takeUnassigned()).toEqual([{ node: nodeA, hasBegun: true }]);
      ledger.ask(b, nodeA);
      expect(ledger.stateOf(nodeA)).toBe('arriving');
    });

    test('unassigned, all of it, in a step that was planned when nobody was there', () => {
      const ledger = new Ledger(planStep(1, [], sizes));
      expect(ledger.takeUnassigned()).toEqual([{ node: { first: 0, count: 4 }, hasBegun: false }]);
    });
  });

  test('does not close while a microbatch is missing', () => {
    const members = makeMembers(2);
    const plan = planStep(1, members, sizes);
    const ledger = new Ledger(plan);
    for (const result of resultsOf(plan, members[0]!)) ledger.enter(members[0]!, result);
    expect(ledger.isDone(members[1]!)).toBe(false);
    expect(() => ledger.close()).toThrow('internal: step 1 closed without microbatch 2');
  });
});
