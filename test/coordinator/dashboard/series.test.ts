/** A bounded number of points stands for any number of steps. */
import { expect, test } from 'vitest';
import { createSeries } from '../../../coordinator/dashboard/series.ts';
import { stepRecord } from '../../helpers/records.ts';

const MOST = 8;

test('each point is the mean of its steps, and no step is lost or counted twice', () => {
  for (const numSteps of [1, 7, 8, 9, 16, 17, 100, 1000]) {
    const series = createSeries(MOST);
    const records = Array.from({ length: numSteps }, (_, i) => stepRecord(i + 1, { stepsPerEpoch: 50 }));
    for (const record of records) series.add(record);
    const points = series.points(50);
    expect(points.length).toBeLessThanOrEqual(MOST);
    expect(points.length).toBeGreaterThan(numSteps < MOST ? numSteps - 1 : MOST / 2 - 1);
    let first = 0;
    for (const point of points) {
      const group = records.slice(first, first + point.numSteps);
      first += point.numSteps;
      const mean = (of: (record: (typeof group)[number]) => number) =>
        group.reduce((sum, record) => sum + of(record), 0) / group.length;
      expect(point.step).toBe(group.at(-1)!.step);
      expect(point.epochs).toBeCloseTo(point.step / 50, 9);
      expect(point.loss).toBeCloseTo(
        mean((r) => r.loss),
        9,
      );
      expect(point.stepMs).toBeCloseTo(
        mean((r) => r.stepMs),
        9,
      );
      expect(point.wirePartMs).toBeCloseTo(
        mean((r) => r.wirePartMs),
        9,
      );
      expect(point.bytesSent).toBeCloseTo(
        mean((r) => r.bytesSent),
        6,
      );
      expect(point.samplesPerSecond).toBeCloseTo((1000 * mean((r) => r.samples)) / mean((r) => r.stepMs), 6);
    }
    expect(first).toBe(numSteps);
  }
});

test('points of whole groups stay the same objects, so that a page is sent the last one alone', () => {
  const series = createSeries(MOST);
  for (let step = 1; step <= 17; step++) series.add(stepRecord(step));
  const before = series.points(50);
  series.add(stepRecord(18));
  const after = series.points(50);
  expect(after.slice(0, -1)).toEqual(before.slice(0, -1));
  expect(after.slice(0, -1).every((point, i) => point === before[i])).toBe(true);
  expect(after.at(-1)).not.toBe(before.at(-1));
});

test('a round of local steps counts with all its steps', () => {
  const series = createSeries(MOST);
  series.add({ ...stepRecord(4), steps: 4, stepMs: 40, loss: 2 });
  series.add({ ...stepRecord(5), steps: 1, stepMs: 10, loss: 1 });
  const [first, second] = series.points(50);
  expect(first).toMatchObject({ step: 4, numSteps: 4, stepMs: 10, loss: 2 });
  expect(second).toMatchObject({ step: 5, numSteps: 1, stepMs: 10, loss: 1 });
});
