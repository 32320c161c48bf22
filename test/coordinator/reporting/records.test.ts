/** Records of steps and epochs: they agree with each other, and each name stands for one thing. */
import { describe, expect, test } from 'vitest';
import type { EpochSoFar } from '../../../coordinator/reporting/reporter.ts';
import type { StepRecord } from '../../../coordinator/reporting/step-record.ts';
import type { RunConfig } from '../../../coordinator/run-config.ts';
import { runCluster, runConfig } from '../../helpers/cluster.ts';
import { partsOf, sumOfParts } from '../../helpers/parts.ts';

async function recordsOf(changes: Partial<RunConfig>) {
  const steps: StepRecord[] = [];
  const config = runConfig(changes);
  const { epochs } = await runCluster({ config, onStepRecord: (record) => steps.push(record) });
  return { steps, epochs };
}

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

test('what a running epoch has had so far adds up, and grows into its record', async () => {
  const seen: EpochSoFar[] = [];
  const config = runConfig({ workers: 2, epochs: 1 });
  const { epochs } = await runCluster({ config, onProgress: ({ soFar }) => seen.push(soFar!()) });
  const [record] = epochs;
  expect(seen.map(({ steps }) => steps)).toEqual([1, 2, 3, 4, 5]);
  for (const soFar of seen) {
    expect(sum(partsOf(soFar))).toBeCloseTo(soFar.seconds, 9);
    expect(soFar.workers.map(({ workerSteps }) => workerSteps)).toEqual([soFar.steps, soFar.steps]);
  }
  const last = seen.at(-1)!;
  expect(last.seconds).toBeLessThanOrEqual(record!.seconds);
  expect(sum(last.workers.map(({ workerSamples }) => workerSamples))).toBe(record!.samples);
  expect(last.workers.map(({ id }) => id)).toEqual(record!.workers.map(({ id }) => id));
});

describe('the records of steps', () => {
  test.each<[string, Partial<RunConfig>, number[]]>([
    ['one worker', { workers: 1 }, [1, 2, 3, 4, 5]],
    ['a star of three', { workers: 3 }, [1, 2, 3, 4, 5]],
    ['a ring of two', { workers: 2, allReduce: 'ring' }, [1, 2, 3, 4, 5]],
    ['rounds of local steps', { workers: 2, localSteps: 2 }, [2, 4, 5]],
  ])('of %s add up to those of their epochs', async (_, changes, numbers) => {
    const { steps, epochs } = await recordsOf(changes);
    expect(steps.map(({ step }) => step)).toEqual([...numbers, ...numbers.map((step) => step + 5)]);
    for (const epoch of epochs) {
      const ofEpoch = steps.filter((step) => step.epoch === epoch.epoch);
      const total = (value: (step: StepRecord) => number) => sum(ofEpoch.map(value));
      expect(ofEpoch.map(({ stepInEpoch }) => stepInEpoch)).toEqual(numbers);
      expect([total(({ steps }) => steps), total(({ samples }) => samples)]).toEqual([epoch.steps, epoch.samples]);
      expect(total(({ loss, samples }) => loss * samples) / epoch.samples).toBeCloseTo(epoch.loss, 9);
      expect(total((step) => step.trainAccuracy * step.samples)).toBeCloseTo(epoch.trainAccuracy * epoch.samples, 9);
      expect(ofEpoch.at(-1)!.learningRate).toBe(epoch.learningRate);
      expect(ofEpoch.every(({ numWorkers }) => numWorkers <= epoch.numWorkers)).toBe(true);
      // Milliseconds and seconds of the same clock, and its parts each.
      expect(total(({ stepMs }) => stepMs)).toBeCloseTo(1000 * epoch.seconds, 6);
      for (const [nth, seconds] of partsOf(epoch).entries()) {
        expect(total((step) => partsOf(step)[nth]!)).toBeCloseTo(1000 * seconds, 6);
      }
      for (const step of ofEpoch) {
        expect(partsOf(step)).toHaveLength(7);
        expect(partsOf(step).every((ms) => ms >= 0)).toBe(true);
        expect(sumOfParts(step)).toBeCloseTo(step.stepMs, 6);
      }
      // The evaluation sends a little, which is no step's.
      for (const name of ['bytesSent', 'bytesReceived'] as const) {
        expect(total((step) => step[name])).toBeLessThanOrEqual(epoch[name]);
      }
    }
  });

  test('are flat: numbers and texts alone', async () => {
    const { steps } = await recordsOf({ workers: 2 });
    for (const record of steps) {
      for (const value of Object.values<unknown>({ ...record })) expect(['number', 'string']).toContain(typeof value);
      expect(new Date(record.endedAt).toISOString()).toBe(record.endedAt);
    }
    expect(steps.every(({ numWorkers }) => numWorkers === 2)).toBe(true);
  });
});

/** Names that version 0.1.0 wrote and the next one will not. */
const DEPRECATED = ['breakdown', 'bytesPerStep'];
const DEPRECATED_OF_WORKER = ['samples', 'computeSeconds', 'communicationSeconds', 'waitSeconds'];

type Fields = Readonly<Record<string, unknown>>;

describe('the records of epochs', () => {
  test('have under their old names what they have under the new ones', async () => {
    const { epochs } = await recordsOf({ workers: 2 });
    for (const record of epochs as unknown as Fields[]) {
      const parts = ['compute', 'encode', 'wire', 'wait', 'reduce', 'apply', 'other'];
      expect(record['breakdown']).toEqual(
        Object.fromEntries(parts.map((part) => [`${part}Seconds`, record[`${part}PartSeconds`]])),
      );
      expect(record['bytesPerStep']).toEqual({
        sent: record['bytesSentPerStep'],
        received: record['bytesReceivedPerStep'],
      });
      for (const worker of record['workers'] as Fields[]) {
        expect(DEPRECATED_OF_WORKER.map((name) => worker[name])).toEqual([
          worker['workerSamples'],
          worker['workerComputeSeconds'],
          worker['workerCommunicationSeconds'],
          worker['workerWaitSeconds'],
        ]);
      }
    }
  });

  test('are flat but for their workers, and without the old names have each name once', async () => {
    const { epochs } = await recordsOf({ workers: 2 });
    const { workers, ...record } = epochs[0]!;
    const flat = Object.entries(record).filter(([name]) => !DEPRECATED.includes(name));
    for (const [name, value] of flat) expect([name, typeof value]).toEqual([name, expect.not.stringMatching('object')]);
    const ofWorker = Object.keys(workers[0]!).filter((name) => !DEPRECATED_OF_WORKER.includes(name));
    const names = [...flat.map(([name]) => name), ...ofWorker];
    expect(new Set(names).size).toBe(names.length);
    expect(epochs[0]!.numWorkers).toBe(2);
  });
});
