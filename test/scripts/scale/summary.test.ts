import { describe, expect, test } from 'vitest';
import { predictStep } from '../../../scripts/network/cost-model.ts';
import { parseLink } from '../../../scripts/network/link.ts';
import { summarise } from '../../../scripts/scale/summary.ts';
import { MEGABYTE, recordOf, runOf } from './measurement.ts';

describe('the summary of a measurement', () => {
  const summary = summarise(recordOf())!;
  const [strong, weak] = summary.scalings as [(typeof summary.scalings)[0], (typeof summary.scalings)[0]];

  test('has samples a second of measured epochs alone, and what they are of those of one worker', () => {
    expect(strong.points.map(({ samplesPerSecond }) => Math.round(samplesPerSecond))).toEqual([12_800, 17_067, 12_800]);
    expect(strong.points.map(({ speedUp }) => speedUp.toFixed(2))).toEqual(['1.00', '1.33', '1.00']);
    expect(strong.points.map(({ efficiency }) => efficiency.toFixed(2))).toEqual(['1.00', '0.67', '0.25']);
    expect(weak.points.map(({ efficiency }) => efficiency.toFixed(2))).toEqual(['1.00', '0.80', '0.40']);
  });

  test('counts for workers that take turns the cores that they have', () => {
    expect(strong.points.map(({ coreEfficiency }) => coreEfficiency!.toFixed(2))).toEqual(['1.00', '0.67', '0.50']);
  });

  test('has bytes and communication of a step', () => {
    expect(strong.points.map(({ bytesSent }) => bytesSent / MEGABYTE)).toEqual([2, 4, 8]);
    expect(strong.points[0]!.communicationShare).toBeCloseTo(0.25);
  });

  test('takes medians over repetitions', () => {
    const one = (stepMs: number) => runOf({ numWorkers: 1, globalBatch: 256, stepMs });
    const { scalings } = summarise(recordOf({ runs: [one(20), one(1000), one(10)] }))!;
    expect(scalings[0]!.points[0]!.stepMs).toBeCloseTo(20);
    expect(scalings[0]!.points[0]!.numRuns).toBe(3);
  });

  test('has the points that were measured before an interruption, and is not there without one', () => {
    const { scalings } = summarise(recordOf({ runs: recordOf().runs.slice(0, 2) }))!;
    expect(scalings.map(({ points }) => points.map(({ numWorkers }) => numWorkers))).toEqual([[1, 2], [1]]);
    expect(summarise(recordOf({ runs: [] }))).toBeUndefined();
  });

  test('names the sums of parameters of strong scaling', () => {
    expect(summary.parametersSha256).toEqual(['ab'.repeat(32)]);
    const other = runOf({ numWorkers: 4, globalBatch: 256, stepMs: 20, sum: 'cd'.repeat(32) });
    expect(summarise(recordOf({ runs: [...recordOf().runs, other] }))!.parametersSha256).toHaveLength(2);
  });
});

describe('the line of the cost model', () => {
  const place = { description: 'hosts', sharedCores: null, link: parseLink('1gbit/2ms'), delaysPeers: true };
  const handling = { fixedMs: 0, msPerByte: 3 / MEGABYTE };
  /** What the model itself says of a star with 3 ms of handling, and 21 ms of computing alone. */
  const stepMsOf = (numWorkers: number) =>
    predictStep({
      ...{
        algorithm: 'star',
        numWorkers,
        payloadBytes: MEGABYTE,
        link: place.link,
        cores: 'own',
        handling,
        buckets: 1,
      },
      ...{ stepsPerEpoch: 4, doesOneTravel: true, computeMs: 20 / numWorkers + 1 },
    }).stepMs;
  const runs = [1, 2, 4].map((numWorkers) => {
    const run = runOf({ numWorkers, globalBatch: 256, stepMs: stepMsOf(numWorkers) });
    return { ...run, epochs: run.epochs.map((epoch) => ({ ...epoch, computeMs: 20 / numWorkers, applyMs: 1 })) };
  });
  const record = recordOf({ runs, place, plan: { ...recordOf().plan, scalings: ['strong'] } });
  const { model, scalings } = summarise(record)!;

  test('finds the handling that the steps were made with, and goes through all of them', () => {
    expect(model.handlingMs).toBeCloseTo(3, 3);
    expect(model.largestError).toBeLessThan(1e-6);
  });

  test('goes on to twice as many workers', () => {
    expect(scalings[0]!.outlook.numWorkers).toBe(8);
    expect(scalings[0]!.outlook.stepMs).toBeCloseTo(stepMsOf(8), 3);
    expect(scalings[0]!.predicted.map(({ numWorkers }) => numWorkers)).toEqual([1, 2, 4, 8]);
  });
});
