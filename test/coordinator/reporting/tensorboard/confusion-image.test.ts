/** The pixels of the confusion matrix. */
import { decode } from 'fast-png';
import { expect, test } from 'vitest';
import type { Confusion } from '../../../../coordinator/reporting/confusion.ts';
import { drawConfusionImage } from '../../../../coordinator/reporting/tensorboard/confusion-image.ts';

type Cell = readonly [label: number, predicted: number, numSamples: number];

const confusionWith = (cells: readonly Cell[]): Confusion => ({
  epoch: 1,
  split: 'test',
  numSamples: cells.reduce((sum, [, , numSamples]) => sum + numSamples, 0),
  cells: cells.map(([label, predicted, numSamples]) => ({ label, predicted, numSamples, worst: [], losses: [] })),
});

/** The colour in the middle of the square of a pair. */
function draw(numClasses: number, cells: readonly Cell[]) {
  const { png, side } = drawConfusionImage(confusionWith(cells), numClasses);
  const { width, height, channels, data } = decode(png);
  expect({ width, height, channels }).toEqual({ width: side, height: side, channels: 3 });
  const square = side / numClasses;
  const at = (label: number, predicted: number) => {
    const middle = (place: number) => Math.floor((place + 0.5) * square - 0.5);
    const start = 3 * (middle(label) * side + middle(predicted));
    return [...data.slice(start, start + 3)];
  };
  return { at, side };
}

const [EMPTY, RIGHT, WRONG] = [
  [242, 242, 242],
  [0, 114, 178],
  [213, 94, 0],
];

test('labels go down, predictions to the right, and a whole row has the full colour', () => {
  const { at, side } = draw(3, [
    [0, 0, 5],
    [1, 2, 700],
  ]);
  expect(side).toBe(72);
  expect([at(0, 0), at(0, 1), at(1, 1)]).toEqual([RIGHT, EMPTY, EMPTY]);
  expect([at(1, 2), at(2, 1), at(2, 2)]).toEqual([WRONG, EMPTY, EMPTY]);
});

test('a colour tells the part of its row, whatever other rows have, and one sample in a hundred is seen', () => {
  const rows = (scale: number): Cell[] => [
    [0, 0, 75 * scale],
    [0, 1, 25 * scale],
    [1, 0, 1],
    [1, 1, 99],
  ];
  const { at } = draw(2, rows(1));
  // Half of the way for a quarter.
  expect(at(0, 1)).toEqual([228, 168, 121]);
  expect(draw(2, rows(1000)).at(0, 1)).toEqual(at(0, 1));
  expect(at(1, 0)).toEqual([239, 227, 218]);
});

test.each([
  [2, 48],
  [10, 240],
  [100, 200],
  [256, 512],
])('of %i classes it has %i pixels a side, and every pair its own', (numClasses, expected) => {
  const last = numClasses - 1;
  const { at, side } = draw(numClasses, [
    [last, last, 1],
    [0, last, 1],
  ]);
  expect(side).toBe(expected);
  expect([at(last, last), at(0, last), at(0, last - 1), at(last - 1, last)]).toEqual([
    RIGHT,
    WRONG,
    EMPTY,
    numClasses === 2 ? WRONG : EMPTY,
  ]);
});
