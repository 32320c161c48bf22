/** The confusion matrix of an epoch, against a plain count. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { confusionOf, MOST_LOSS } from '../../../coordinator/reporting/confusion.ts';
import type { Confusion } from '../../../coordinator/reporting/confusion.ts';

interface Sample {
  readonly label: number;
  readonly predicted: number;
  readonly loss: number;
}

const confusionOfSamples = (samples: readonly Sample[], numClasses: number): Confusion =>
  confusionOf({
    epoch: 3,
    split: 'test',
    labels: Uint8Array.from(samples, ({ label }) => label),
    predicted: Uint8Array.from(samples, ({ predicted }) => predicted),
    losses: Float32Array.from(samples, ({ loss }) => loss),
    numClasses,
  });

const numListed = ({ cells }: Confusion) => cells.reduce((sum, { worst }) => sum + worst.length, 0);

test('has every cell with samples, and the samples with the largest losses in each', () => {
  const label = fc.nat({ max: 3 });
  // Few different ones: ties are frequent.
  const sample = fc.record({ label, predicted: label, loss: fc.nat({ max: 30 }).map((n) => n / 4) });
  fc.assert(
    fc.property(fc.array(sample, { maxLength: 400 }), (samples) => {
      const expected = [];
      for (let of = 0; of < 4; of++) {
        for (let as = 0; as < 4; as++) {
          const inCell = samples
            .map((one, index) => ({ ...one, index }))
            .filter((one) => one.label === of && one.predicted === as)
            .sort((a, b) => b.loss - a.loss || a.index - b.index);
          if (inCell.length === 0) continue;
          const worst = inCell.slice(0, 20);
          expected.push({
            label: of,
            predicted: as,
            numSamples: inCell.length,
            worst: worst.map(({ index }) => index),
            losses: worst.map(({ loss }) => loss),
          });
        }
      }
      const confusion = confusionOfSamples(samples, 4);
      expect(confusion).toEqual({ epoch: 3, split: 'test', numSamples: samples.length, cells: expected });
    }),
    { numRuns: 100 },
  );
});

test('losses are rounded, and what JSON has no number for is the largest', () => {
  const losses = [1.23456789, -1e-9, Infinity, NaN, 3e9, -Infinity];
  const { cells } = confusionOfSamples(
    losses.map((loss) => ({ label: 1, predicted: 0, loss })),
    2,
  );
  expect(cells[0]!.worst).toEqual([2, 3, 4, 0, 1, 5]);
  expect(cells[0]!.losses).toEqual([MOST_LOSS, MOST_LOSS, MOST_LOSS, 1.2346, 0, -MOST_LOSS]);
  expect(JSON.parse(JSON.stringify(cells))).toEqual(cells);
});

describe('where cells are many', () => {
  /** `perCell` samples in each of so many cells; the later ones have the larger losses. */
  const spread = (numCells: number, perCell: number, numClasses: number): Sample[] =>
    Array.from({ length: numCells * perCell }, (_, i) => {
      const cell = i % numCells;
      return { label: Math.floor(cell / numClasses), predicted: cell % numClasses, loss: i };
    });

  test('each lists fewer samples, as many as fit', () => {
    const confusion = confusionOfSamples(spread(900, 10, 30), 30);
    expect(new Set(confusion.cells.map(({ worst }) => worst.length))).toEqual(new Set([4]));
    expect(confusion.cells.map(({ worst: [index] }) => index)).toEqual(Array.from({ length: 900 }, (_, i) => 8100 + i));
    // A few large cells leave room where most have one sample.
    const uneven = [
      ...spread(2000, 1, 50),
      ...Array.from({ length: 500 }, () => ({ label: 0, predicted: 0, loss: 1 })),
    ];
    expect(confusionOfSamples(uneven, 50).cells[0]!.worst).toHaveLength(20);
  });

  test('and one of each is too many, the worst cells list theirs, and all are counted', () => {
    const confusion = confusionOfSamples(spread(5000, 2, 100), 100);
    expect(confusion.cells).toHaveLength(5000);
    expect(confusion.cells.every(({ numSamples }) => numSamples === 2)).toBe(true);
    expect(numListed(confusion)).toBe(4000);
    expect(confusion.cells.slice(0, 1000).every(({ worst, losses }) => worst.length + losses.length === 0)).toBe(true);
  });
});
