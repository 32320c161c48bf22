import { describe, expect, test } from 'vitest';
import { lastOf, overlay, rangeOf, tableOf } from '../../../../coordinator/dashboard/page/chart-spec.ts';
import { learningCharts, speedCharts } from '../../../../coordinator/dashboard/page/run-charts.ts';
import { runningView, viewAt } from '../../../helpers/fixture-view.ts';

const look = { colour: 'blue', style: 'line' } as const;
const view = runningView();
const [loss, accuracy] = learningCharts(view);
const [parts] = speedCharts(view);

describe('charts of a run', () => {
  test('curves with places of their own share one axis; those without points are omitted', () => {
    const points = [
      {
        label: 'a',
        ...look,
        points: [
          [0.5, 1],
          [1, 2],
        ] as const,
      },
      {
        label: 'b',
        ...look,
        points: [
          [1, 3],
          [2, NaN],
        ] as const,
      },
      { label: 'c', ...look, points: [] },
    ];
    expect(overlay(points)).toEqual({
      x: [0.5, 1, 2],
      series: [
        { label: 'a', ...look, values: [1, 2, null] },
        { label: 'b', ...look, values: [null, 3, null] },
      ],
    });
  });

  test('learning has steps, epochs, what is evaluated, and the reference', () => {
    expect(loss!.series.map(({ label, style }) => `${label}: ${style}`)).toEqual([
      'training, steps: fine',
      'training: points',
      'test: points',
      'training, reference: dashed',
    ]);
    expect(accuracy!.series.map(({ label }) => label)).toContain('test, reference');
    expect(loss!.series[2]!.values.filter((value) => value !== null)).toHaveLength(6);
  });

  test('a run without test samples has no such curve', () => {
    const epochs = view.epochs.map((epoch) => ({ ...epoch, evaluationLoss: null, evaluationAccuracy: null }));
    const labels = learningCharts({ ...view, epochs }).flatMap(({ series }) => series.map(({ label }) => label));
    expect(labels).not.toContain('test');
  });

  test('the reference ends where the run will end', () => {
    const short = learningCharts({ ...view, head: { ...view.head, config: { ...view.head.config!, epochs: 8 } } });
    expect(short[0]!.x.at(-1)).toBe(8);
  });

  test('the seven parts of a step are stacked and add up to it', () => {
    expect(parts!.isStacked).toBe(true);
    for (const [i, { stepMs }] of view.series.entries()) {
      const sum = parts!.series.reduce((total, { values }) => total + values[i]!, 0);
      expect(sum).toBeCloseTo(stepMs, 9);
    }
    expect(rangeOf(parts!)[1]).toBeGreaterThan(Math.max(...view.series.map(({ stepMs }) => stepMs)));
  });

  test('the first steps decide the axis until there are epochs to look at', () => {
    const first = viewAt(0.2, 12, 'running', 5);
    expect(rangeOf(learningCharts(first)[0]!)[1]).toBeGreaterThan(first.series[0]!.loss);
    expect(rangeOf(loss!)[1]).toBeLessThan(view.series[0]!.loss);
  });

  test('an axis has room where all values are the same, and where there are none', () => {
    const flat = { ...loss!, series: [{ label: 'a', ...look, values: [2, 2] }] };
    expect(rangeOf(flat)).toEqual([1.84, 2.16]);
    expect(rangeOf({ ...loss!, series: [] })).toEqual([0, 1]);
  });

  test('the reference is read where the run is, not where the reference ends', () => {
    const reference = loss!.series.at(-1)!;
    expect(lastOf(reference, loss!)).toBe(view.head.reference!.loss[5]);
  });

  test('the table of a chart has at most 30 rows, those of whole epochs first of all', () => {
    expect(tableOf(loss!).rows.map(([epoch]) => epoch)).toEqual(['1', '2', '3', '4', '5', '6']);
    const long = tableOf(speedCharts(viewAt(100, 100, 'completed', 600))[0]!);
    expect(long.head).toEqual(['Epoch', 'compute', 'encode', 'wire', 'wait', 'reduce', 'apply', 'other']);
    expect(long.rows).toHaveLength(30);
  });
});
