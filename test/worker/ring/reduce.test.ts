import { describe, expect, test } from 'vitest';
import { uniformFloats } from '../../../protocol/data/random.ts';
import { plainVectorMath } from '../../../protocol/vectors/vector-math.ts';
import type { WireFormat } from '../../../protocol/vectors/encoding.ts';
import { memoryTransportPair } from '../../../protocol/wire/transport.ts';
import { createLinks } from '../../../worker/ring/links.ts';
import { createRingReduce } from '../../../worker/ring/reduce.ts';

const SIZE = 3;
const sizes = { numParameters: 1000, numExact: 5 };

/** A ring in this process: `average` has everyone's vectors averaged, and `commit` applies what came of it. */
function createRing(wire: WireFormat) {
  const pairs = Array.from({ length: SIZE }, (_, rank) => memoryTransportPair([`after ${rank}`, `before ${rank}`]));
  const members = pairs.map(([ahead], rank) => {
    const behind = pairs[(rank + SIZE - 1) % SIZE]![1];
    const links = createLinks(
      { rank, size: SIZE },
      { role: 'successor', name: 'successor', transport: ahead },
      { role: 'predecessor', name: 'predecessor', transport: behind },
    );
    return createRingReduce({ ...sizes, links, wire, vectorMath: plainVectorMath, timeoutMs: 10_000 });
  });
  return {
    async average(vectors: Float32Array<ArrayBuffer>[]) {
      const results = vectors.map((vector) => vector.slice());
      const exchanged = await Promise.all(members.map((member, rank) => member.average(results[rank]!, 1, SIZE)));
      for (const result of results) expect(result).toEqual(results[0]);
      return { average: results[0]!, isFinite: exchanged.map(({ isFinite }) => isFinite) };
    },
    commit() {
      for (const member of members) member.commit();
    },
  };
}

/** One for each worker. */
function vectorsOf(seed: number): Float32Array<ArrayBuffer>[] {
  const random = uniformFloats(seed);
  const length = sizes.numParameters + sizes.numExact;
  return Array.from({ length: SIZE }, () => Float32Array.from({ length }, () => random() - 0.5));
}

const error = (sums: Float64Array, vectors: readonly Float32Array[], times: number): number =>
  sums.reduce((most, sum, i) => {
    const mean = vectors.reduce((total, vector) => total + vector[i]! / SIZE, 0);
    return Math.max(most, Math.abs(sum - times * mean));
  }, 0);

describe('with int8,', () => {
  test('what rounding takes away from a step that is applied goes with the next', async () => {
    const numSteps = 50;
    const totals = { carried: new Float64Array(1005), dropped: new Float64Array(1005) };
    for (const how of ['carried', 'dropped'] as const) {
      const ring = createRing('int8');
      for (let step = 0; step < numSteps; step++) {
        const { average } = await ring.average(vectorsOf(1));
        for (const [i, value] of average.entries()) totals[how][i]! += value;
        if (how === 'carried') ring.commit();
      }
    }
    expect(error(totals.carried, vectorsOf(1), numSteps)).toBeLessThan(0.05);
    expect(error(totals.dropped, vectorsOf(1), numSteps)).toBeGreaterThan(0.1);
  });

  test.each(['finite', 'not finite'])('a step that is taken again, its average %s, leaves no trace', async (what) => {
    const [quiet, disturbed] = [createRing('int8'), createRing('int8')];
    for (const ring of [quiet, disturbed]) {
      await ring.average(vectorsOf(1));
      ring.commit();
    }
    const dropped = vectorsOf(2);
    if (what === 'not finite') dropped[1]![7] = NaN;
    const { isFinite } = await disturbed.average(dropped);
    expect(isFinite).toEqual(Array<boolean>(SIZE).fill(what === 'finite'));
    for (const seed of [3, 4]) {
      const [expected, got] = [await quiet.average(vectorsOf(seed)), await disturbed.average(vectorsOf(seed))];
      expect(got).toEqual(expected);
      expect(got.isFinite).toEqual(Array<boolean>(SIZE).fill(true));
      quiet.commit();
      disturbed.commit();
    }
  });
});
