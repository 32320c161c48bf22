/** Whole runs with a run directory that a person pauses and stops: their results, and what is told. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createRunControl } from '../../coordinator/run-control.ts';
import type { ReportedEvent } from '../../coordinator/reporting/reported-event.ts';
import type { Progress, RunResult } from '../../coordinator/reporting/reporter.ts';
import { temporaryFolder } from '../helpers/folder.ts';
import { beginOrResume, epochRecordsOf } from '../helpers/small-run.ts';

afterEach(() => {
  vi.useRealTimers();
});

/** A run of two epochs of three steps, whose control is asked for something after each step. */
async function controlledRun(
  runDir: string,
  onStep: (step: number, control: ReturnType<typeof createRunControl>) => void,
) {
  const control = createRunControl();
  const states: string[] = [];
  const subscriber = {
    onEvent(event: ReportedEvent) {
      if (event.kind === 'control') states.push(event.state);
    },
    onProgress: ({ epoch, stepInEpoch }: Progress) => onStep(3 * (epoch - 1) + stepInEpoch, control),
  };
  const result = await beginOrResume(runDir, { stepsPerEpoch: 3, control, subscribers: [subscriber] });
  return { result, states, control };
}

const resultIn = (runDir: string) => JSON.parse(readFileSync(join(runDir, 'result.json'), 'utf8')) as RunResult;

describe('a run that is controlled', () => {
  test('is interrupted by a stop after its epoch, and resumed ends with the bits of one that was not', async () => {
    const whole = await controlledRun(join(temporaryFolder(), 'run'), () => {});
    const runDir = join(temporaryFolder(), 'run');
    const { result, states, control } = await controlledRun(runDir, (step, ofRun) => {
      if (step === 2) ofRun.stopAfterEpoch();
    });
    expect(result).toMatchObject({ status: 'interrupted', steps: 3, epochs: 1 });
    expect(result.testAccuracy).not.toBeNull();
    expect(resultIn(runDir)).toEqual(result);
    expect(states).toEqual(['stopping']);
    expect([control.resume(), control.state()]).toEqual([false, 'stopping']);

    const resumed = await controlledRun(runDir, () => {});
    expect(resumed.result).toMatchObject({ status: 'completed', steps: 6, epochs: 2 });
    expect(resumed.result.parametersSha256).toBe(whole.result.parametersSha256);
    expect(epochRecordsOf(runDir).map(({ epoch, samples }) => [epoch, samples])).toEqual([
      [1, 24],
      [2, 24],
    ]);
  });

  test('counts a pause as waiting, in the run and in one that is resumed', async () => {
    const runDir = join(temporaryFolder(), 'run');
    vi.useFakeTimers({ toFake: ['performance'] });
    const stopped = await controlledRun(runDir, (step, control) => {
      if (step !== 1) return;
      control.pause();
      const forget = control.onChange(() => {
        forget();
        vi.advanceTimersByTime(3_600_000);
        queueMicrotask(() => void control.stopAfterEpoch());
      });
    });
    expect(stopped.states).toEqual(['pausing', 'paused', 'stopping']);
    for (const { result } of [stopped, await controlledRun(runDir, () => {})]) {
      const { seconds, trainingSeconds, waitingSeconds } = result;
      expect([seconds, trainingSeconds, waitingSeconds]).toEqual([3600, 0, 3600]);
    }
    expect(epochRecordsOf(runDir).map(({ seconds }) => seconds)).toEqual([0, 0]);
  });

  test('ends at once where it is stopped before it has workers', async () => {
    const control = createRunControl();
    control.stopAfterEpoch();
    const states: string[] = [];
    const subscriber = {
      onEvent(event: ReportedEvent) {
        if (event.kind === 'control') states.push(event.state);
      },
    };
    const result = await beginOrResume(join(temporaryFolder(), 'run'), {
      control,
      subscribers: [subscriber],
      summonWorkers: () => Promise.resolve({ stop: () => Promise.resolve() }),
    });
    expect(result).toMatchObject({ status: 'interrupted', steps: 0 });
    expect(states).toEqual(['stopping']);
  });

  test('fails where a reporter does that is told of a button', async () => {
    const control = createRunControl();
    const subscriber = {
      onEvent(event: ReportedEvent) {
        if (event.kind === 'control') throw new Error('the record is full');
      },
      onProgress() {
        control.pause();
      },
    };
    const run = beginOrResume(join(temporaryFolder(), 'run'), { control, subscribers: [subscriber] });
    await expect(run).rejects.toThrow('the record is full');
  });
});
