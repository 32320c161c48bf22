import fc from 'fast-check';
import { expect, test } from 'vitest';
import { chunkAt, expectedPieces, PIECE_VALUES, planPieces } from '../../../worker/ring/pieces.ts';

const sizes = fc.record({ numParameters: fc.nat(400_000), numExact: fc.nat(500) });
const ringSize = fc.integer({ min: 2, max: 9 });

test('the pieces are the whole vector, each value once, none too long', () => {
  fc.assert(
    fc.property(sizes, ringSize, ({ numParameters, numExact }, size) => {
      const chunks = planPieces({ numParameters, numExact }, size);
      expect(chunks.length).toBe(size);
      let end = 0;
      for (const [index, piece] of chunks.flat().entries()) {
        expect([piece.index, piece.first, piece.isExact]).toEqual([index, end, piece.first >= numParameters]);
        expect(piece.count).toBeGreaterThan(0);
        expect(piece.count).toBeLessThanOrEqual(PIECE_VALUES);
        end += piece.count;
      }
      expect(end).toBe(numParameters + numExact);
    }),
  );
});

test('what a worker sends is what its successor expects, in that order', () => {
  fc.assert(
    fc.property(sizes, ringSize, (vector, size) => {
      const chunks = planPieces(vector, size);
      for (let rank = 0; rank < size; rank++) {
        const sent = chunkAt(chunks, rank).map(({ index }) => ['reduce', index]);
        for (const { phase, piece, isLastHop } of expectedPieces(chunks, rank)) {
          if (!isLastHop) sent.push([phase, piece.index]);
          else if (phase === 'reduce') sent.push(['gather', piece.index]);
        }
        const expected = expectedPieces(chunks, (rank + 1) % size);
        expect(sent).toEqual(expected.map(({ phase, piece }) => [phase, piece.index]));
      }
    }),
    { numRuns: 30 },
  );
});
