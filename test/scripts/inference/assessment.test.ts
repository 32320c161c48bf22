/** What `evaluate` says of few classes and of many. */
import { expect, test } from 'vitest';
import { figuresOf } from '../../../scripts/inference/assessment.ts';
import type { Assessment } from '../../../scripts/inference/assessment.ts';
import { confusionSvg } from '../../../scripts/inference/confusion-picture.ts';
import { describeAssessment } from '../../../scripts/inference/describe-assessment.ts';

type Triple = readonly [label: number, predicted: number, samples: number];

function assessmentOf(numClasses: number, triples: readonly Triple[], nameOf = (label: number) => `name-${label}`) {
  const classes = Array.from({ length: numClasses }, (_, label) => nameOf(label));
  const cells = new Map(triples.map(([label, predicted, samples]) => [label * numClasses + predicted, samples]));
  const assessment: Assessment = {
    samples: triples.reduce((sum, [, , samples]) => sum + samples, 0),
    loss: 0.5,
    accuracy: 0.75,
    ...figuresOf(classes, cells),
    worst: [],
  };
  return assessment;
}

const right = (numClasses: number, samples: number): Triple[] =>
  Array.from({ length: numClasses }, (_, label) => [label, label, samples]);

test('a few classes have a matrix', () => {
  const assessment = assessmentOf(3, [...right(3, 8).slice(0, 2), [0, 1, 2], [1, 2, 1]]);
  expect(assessment.classes).toEqual([
    { name: 'name-0', samples: 10, correct: 8, precision: 1, recall: 0.8 },
    { name: 'name-1', samples: 9, correct: 8, precision: 0.8, recall: 8 / 9 },
    { name: 'name-2', samples: 0, correct: 0, precision: 0, recall: null },
  ]);
  expect(assessment.confusion).toEqual([
    [8, 2, 0],
    [0, 8, 1],
    [0, 0, 0],
  ]);
  expect(describeAssessment(assessment)).toEqual([
    '19 samples: loss 0.5000, accuracy 0.7500',
    '',
    'label  class   samples  precision  recall',
    '    0  name-0       10     1.0000  0.8000',
    '    1  name-1        9     0.8000  0.8889',
    '    2  name-2        0     0.0000       -',
    '',
    'confusion: a row for each label, a column for each prediction',
    '          0    1    2',
    '    0     8    2    .',
    '    1     .    8    1',
    '    2     .    .    .',
  ]);
});

test('of 300 classes those with the lowest recall are listed, and the pairs with the most samples', () => {
  const confused = Array.from({ length: 30 }, (_, n): Triple => [7 * n, 7 * n + 1, n + 1]);
  const assessment = assessmentOf(300, [...right(300, 10), ...confused]);
  expect(assessment.confusion).toBeUndefined();
  expect(assessment.confused).toHaveLength(30);
  const lines = describeAssessment(assessment);
  expect(lines.slice(2, 5)).toEqual([
    'the 20 classes with the lowest recall, of 300 (--json prints all)',
    'label  class     samples  precision  recall',
    '  203  name-203       40     1.0000  0.2500',
  ]);
  expect(lines[24]).toBe('');
  expect(lines.slice(25, 28)).toEqual([
    'confusion: the 20 largest pairs of 30 (--json prints all)',
    'samples  share of label  label         prediction',
    '     30          0.7500  203 name-203  204 name-204',
  ]);
  expect(lines).toHaveLength(47);
});

test('pairs are all listed where they are few, and none where none was confused', () => {
  const one = describeAssessment(assessmentOf(40, [...right(40, 1), [0, 39, 1]], String));
  expect(one.slice(-3)).toEqual([
    'confusion: all pairs that are confused',
    'samples  share of label  label  prediction',
    '      1          0.5000  0      39',
  ]);
  expect(describeAssessment(assessmentOf(40, right(40, 1))).at(-1)).toBe('confusion: none');
});

test('long names are cut: a line has at most 80 characters', () => {
  const long = (label: number) => `${'long '.repeat(20)}${label}`;
  const lines = describeAssessment(assessmentOf(20_000, [...right(20_000, 1), [19_998, 19_999, 1000]], long));
  expect(lines.filter((line) => line.length > 80)).toEqual([]);
});

test('the picture of thousands of classes has the size of one of sixty, and as many squares as there are pairs', () => {
  const pictureOf = (numClasses: number) => {
    const svg = confusionSvg(assessmentOf(numClasses, [...right(numClasses, 1), [0, 1, 1]]));
    const numSquares = svg.split('fill-opacity').length - 1;
    return { width: Number(/ width="([\d.]+)"/.exec(svg)![1]), numSquares, numTexts: svg.split('<text').length - 1 };
  };
  const [sixty, thousands] = [pictureOf(60), pictureOf(5000)];
  expect([sixty.numSquares, thousands.numSquares]).toEqual([61, 5001]);
  expect(thousands.width).toBeLessThan(sixty.width);
  // A name for each row and column, a number in each square, a title; or the number of every hundredth class.
  expect([sixty.numTexts, thousands.numTexts]).toEqual([2 * 60 + 61 + 1, 2 * 50 + 1]);
});
