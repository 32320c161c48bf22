import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { analyseDeath, analyseStalls, meanStepsMs, trainingSeconds } from '../../scripts/bench/faults/analysis.ts';
import { parseFaultsJob } from '../../scripts/bench/faults/job.ts';
import type { FaultsJob, RunTrace } from '../../scripts/bench/faults/job.ts';
import { formatFaults } from '../../scripts/bench/faults/report.ts';
import { findDataFolder } from '../../scripts/bench/common/samples.ts';
import { summarise } from '../../scripts/tables/statistics.ts';
import { createProcessGroup } from '../../scripts/network/processes.ts';
import { readConditions } from '../../scripts/bench/common/conditions.ts';
import { TINY_MODEL } from '../helpers/cluster.ts';
import { temporaryFolder } from '../helpers/folder.ts';

const RUN_PROGRAM = fileURLToPath(new URL('../../dist/scripts/bench/faults/run-process.js', import.meta.url));

/** Ends of steps that take these times, from `startMs` on. */
function endsOf(startMs: number, durations: readonly number[]): number[] {
  let endMs = startMs;
  return [startMs, ...durations.map((duration) => (endMs += duration))];
}
const times = (count: number, value: number): number[] => Array.from({ length: count }, () => value);

describe('of a run with a death', () => {
  // Steps of 2 ms until 100, one of 50 ms, in which the worker is found lost, then 3 ms each; replaced at 240.
  const trace: RunTrace = {
    parametersSha256: 'x',
    stepEndsMs: [endsOf(0, [...times(50, 2), 50, ...times(30, 3)]), endsOf(250, times(60, 2.5))],
    faultMs: 99,
    lostMs: 140,
    replacedMs: 240,
  };

  it('the time lost is the step in which the worker was found lost, less a step before', () => {
    expect(analyseDeath(trace)).toEqual({
      ...{ lostMs: 48, foundMs: 41, awayMs: 100 },
      ...{ beforeMs: 2, afterMs: 3, replacedMs: 2.5 },
    });
  });

  it('what is between epochs counts for nothing', () => {
    expect(trainingSeconds(trace)).toBeCloseTo((100 + 50 + 90 + 150) / 1000, 9);
    expect(meanStepsMs(trace)).toEqual([2.5]);
  });

  it('none can be told where nobody was lost', () => {
    expect(() => analyseDeath({ parametersSha256: 'x', stepEndsMs: [[0, 1]] })).toThrow('internal');
  });
});

it('what a checkpoint costs is told by the steps right after it beside those long after', () => {
  // Epochs of 24 steps, a checkpoint after each step whose number is a multiple of 10; the next step takes 4 ms longer.
  const epochFrom = (firstStep: number) =>
    endsOf(
      1000 * firstStep,
      [...times(23, 1)].map((ms, i) => ((firstStep + i) % 10 === 0 ? ms + 4 : ms)),
    );
  const trace: RunTrace = { parametersSha256: 'x', stepEndsMs: [1, 25, 49].map(epochFrom) };
  const { stallMs, share } = analyseStalls(trace, 10);
  expect(stallMs).toBeCloseTo(4, 9);
  expect(share).toBeCloseTo(0.4, 9);
});

describe('a measured run', () => {
  const run = async (changes: Partial<FaultsJob>) => {
    const group = createProcessGroup(process.env);
    onTestFinished(() => group.stop());
    const sizes = { numWorkers: 2, microbatches: 4, epochs: 3, trainSamples: 1024, testSamples: 64 };
    const dataFolder = await findDataFolder(undefined);
    const places = { dataFolder, runDir: join(temporaryFolder(), 'run') };
    const job: FaultsJob = { model: TINY_MODEL, engine: 'reference', ...sizes, ...places, ...changes };
    expect(parseFaultsJob(JSON.stringify(job))).toEqual(job);
    return (await group.start('the run', [process.execPath, RUN_PROGRAM, JSON.stringify(job)]).message) as RunTrace;
  };

  it('tells the ends of its steps, and when a worker that was killed was found lost; it ends with the same bits', async () => {
    const fault = { signal: 'SIGKILL', afterStep: 5, delayMs: 1 } as const;
    const [quiet, killed] = await Promise.all([run({ checkpointEvery: 3 }), run({ fault })]);
    expect(quiet.stepEndsMs.map((ends) => ends.length)).toEqual(times(3, 4));
    expect(quiet.lostMs).toBeUndefined();
    expect(killed.faultMs).toBeGreaterThan(killed.stepEndsMs[1]![0]!);
    expect(killed.lostMs).toBeGreaterThan(killed.faultMs!);
    expect(killed.parametersSha256).toBe(quiet.parametersSha256);
  });

  it('refuses a job that is none, by the field', () => {
    expect(() => parseFaultsJob('{"epochs":0}')).toThrow(/^not a job .*epochs/s);
  });
});

it('results are tables in Markdown', () => {
  const some = summarise([1, 2, 3]);
  const figures = { lostMs: some, foundMs: some, beforeMs: some, afterMs: some, replacedMs: some, awayMs: some };
  const text = formatFaults({
    benchmark: 'faults',
    conditions: { ...readConditions(), loadAverageAfter: 0 },
    pairs: 3,
    deaths: [{ signal: 'SIGSTOP', figures, overQuietSeconds: summarise([-0.5]), quietSeconds: some }],
    stalls: [
      {
        model: 'dense',
        every: 50,
        stepMs: some,
        withoutMs: some,
        ratio: some,
        stallMs: some,
        share: summarise([0.012]),
      },
    ],
  });
  expect(text).toMatch(/^\| stopped +\| +2\.00 \| 1\.50 to 2\.50 \|.*\| +-0\.5 \| +2\.0 \|$/m);
  expect(text).toMatch(/^\| dense \| +50 \| +2\.00 \| +2\.00 \| +2\.000 \| 1\.500 to 2\.500 \|.*\| +1\.2 % \|$/m);
  expect(text).toContain('- native, one thread a worker; medians of 3 rounds');
});
