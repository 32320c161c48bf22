import { describe, expect, test } from 'vitest';
import {
  accuracyOf,
  classNameOf,
  mostConfused,
  rowsOf,
  tintOf,
} from '../../../../coordinator/dashboard/page/confusion-facts.ts';
import { configurationRows, keyFigures, partDone } from '../../../../coordinator/dashboard/page/run-facts.ts';
import { CONFIG, finishedView, fixtureConfusion, runningView } from '../../../helpers/fixture-view.ts';

const cell = (label: number, predicted: number, numSamples: number) => ({
  label,
  predicted,
  numSamples,
  worst: [],
  losses: [],
});
const small = {
  epoch: 1,
  split: 'test',
  numSamples: 10,
  cells: [cell(1, 0, 3), cell(0, 0, 6), cell(1, 1, 1)],
} as const;

describe('what a confusion matrix says', () => {
  test('its rows have all cells, the samples of the class and its recall', () => {
    expect(rowsOf(small, 3)).toEqual([
      { label: 0, numSamples: 6, recall: 1, cells: [cell(0, 0, 6), undefined, undefined] },
      { label: 1, numSamples: 4, recall: 0.25, cells: [cell(1, 0, 3), cell(1, 1, 1), undefined] },
      { label: 2, numSamples: 0, recall: null, cells: [undefined, undefined, undefined] },
    ]);
    expect(accuracyOf(small)).toBe(0.7);
  });

  test('the most confused pairs come with the largest first, without the diagonal', () => {
    expect(mostConfused(small, 5)).toEqual([cell(1, 0, 3)]);
    const counts = mostConfused(fixtureConfusion(3), 4).map(({ numSamples }) => numSamples);
    expect(counts).toEqual(counts.toSorted((a, b) => b - a));
  });

  test('errors are tinted by a scale of their own', () => {
    expect(tintOf(0.04, true, 0.16)).toBe(0.5);
    expect(tintOf(0.9, false, 0.16)).toBe(0.9);
    expect(tintOf(0, true, 0)).toBe(0);
  });

  test('a class without a name is called by its label', () => {
    expect(classNameOf(['a'], 0)).toBe('a');
    expect(classNameOf(['a'], 7)).toBe('class 7');
  });
});

describe('what the page says of a run', () => {
  const figure = (label: string, view = runningView()) => keyFigures(view).find((one) => one.label === label);

  test('a running run is told by the epoch at hand, a finished one by its last', () => {
    expect(figure('Training loss')!.note).toBe('epoch 7 so far');
    expect(figure('Training loss', finishedView())!.note).toBe('epoch 12');
    expect(figure('To workers')!.value).toBe('547.8 MB');
  });

  test('a run that evaluates nothing has no figure of it after its first epoch', () => {
    const view = runningView();
    const epochs = view.epochs.map((epoch) => ({ ...epoch, evaluationAccuracy: null }));
    expect(figure('Test accuracy')!.note).toMatch(/^best \d\d\.\d\d %, epoch \d+$/);
    expect(figure('Test accuracy', { ...view, epochs })).toBeUndefined();
    expect(figure('Test accuracy', { ...view, epochs: [] })!.value).toBe('–');
  });

  test('the part that is done counts epochs and steps', () => {
    expect(partDone(runningView())).toBeCloseTo(6.4 / 12, 3);
    expect(partDone(finishedView())).toBe(1);
  });

  test('the configuration has what is used, in words, and not what does nothing', () => {
    const rows = new Map(configurationRows(CONFIG));
    expect(rows.get('Optimizer')).toBe('sgd, momentum 0.9, nesterov, weight decay 0.0005');
    expect(rows.get('Schedule')).toBe('cosine, learning rate 0.1, warmup steps 100');
    expect(rows.get('Dataset')).toBe('fashion-mnist: 1×28×28, 10 classes');
    expect([...rows.keys()]).not.toContain('Local steps');
    expect(new Map(configurationRows({ ...CONFIG, maxSteps: 0 })).get('Stops at step')).toBe('0');
  });
});
