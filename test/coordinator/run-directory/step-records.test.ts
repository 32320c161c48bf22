/** `steps.jsonl`: which steps it has, when they are on the disk, and what a resumed run makes of it. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { StepRecord } from '../../../coordinator/reporting/step-record.ts';
import { checkpointName } from '../../../coordinator/run-directory/checkpoint-writer.ts';
import { cutSteps } from '../../../coordinator/run-directory/cut-records.ts';
import { createStepRecords } from '../../../coordinator/run-directory/step-records.ts';
import { createReferenceEngine } from '../../../worker/engines/reference/reference-engine.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { beginOrResume, epochRecordsOf, stepRecordsOf } from '../../helpers/small-run.ts';

const newRunDir = () => join(temporaryFolder(), 'run');
const numbersOf = (runDir: string) => stepRecordsOf(runDir).map(({ step }) => step);
/** A record as far as it matters here: of a step, or of a round that ends with it. */
const record = (step: number, steps = 1) => ({ step, steps }) as StepRecord;

const upTo = (most: number) => Array.from({ length: most }, (_, i) => i + 1);

/** An engine that calls back before each gradient, two to a step: with the step's number, from 1. */
function engineThat(beforeStep: (step: number) => Promise<void> | void): typeof createReferenceEngine {
  return async (options) => {
    const engine = await createReferenceEngine(options);
    let numGradients = 0;
    return {
      ...engine,
      async computeGradient(batch, into) {
        if (numGradients++ % 2 === 0) await beforeStep((numGradients + 1) / 2);
        return engine.computeGradient(batch, into);
      },
    };
  };
}

describe('a run', () => {
  test('records no step unless it is asked to', async () => {
    for (const recordSteps of [undefined, 0]) {
      const runDir = newRunDir();
      await beginOrResume(runDir, { recordSteps });
      expect(existsSync(join(runDir, 'epochs.jsonl'))).toBe(true);
      expect(existsSync(join(runDir, 'steps.jsonl'))).toBe(false);
    }
  });

  test('records each step, or each K-th of the run, through all epochs', async () => {
    const [each, third] = [newRunDir(), newRunDir()];
    await beginOrResume(each, { recordSteps: 1, stepsPerEpoch: 5 });
    expect(stepRecordsOf(each).map(({ epoch, step, stepInEpoch }) => [epoch, step, stepInEpoch])).toEqual(
      Array.from({ length: 10 }, (_, i) => [Math.floor(i / 5) + 1, i + 1, (i % 5) + 1]),
    );
    await beginOrResume(third, { recordSteps: 3, stepsPerEpoch: 5 });
    expect(numbersOf(third)).toEqual([3, 6, 9]);
    const byNumber = new Map(stepRecordsOf(each).map(({ step, loss, samples }) => [step, [loss, samples]]));
    for (const { step, loss, samples } of stepRecordsOf(third)) expect([loss, samples]).toEqual(byNumber.get(step));
  });

  test('that is interrupted and resumed has each step once, and the sums of its epochs', async () => {
    const runDir = newRunDir();
    const options = { recordSteps: 1, stepsPerEpoch: 5, checkpointSettings: { keep: 1 } };
    const controller = new AbortController();
    const createEngine = engineThat((step) => {
      if (step === 7) controller.abort();
    });
    const first = await beginOrResume(runDir, { ...options, createEngine, signal: controller.signal });
    expect(first).toMatchObject({ status: 'interrupted', steps: 7 });
    expect(numbersOf(runDir)).toEqual(upTo(7));
    expect(await beginOrResume(runDir, options)).toMatchObject({ status: 'completed', steps: 10 });
    expect(numbersOf(runDir)).toEqual(upTo(10));
    const steps = stepRecordsOf(runDir);
    expect(steps.map(({ stepInEpoch }) => stepInEpoch)).toEqual([1, 2, 3, 4, 5, 1, 2, 3, 4, 5]);
    for (const { epoch, samples, loss } of epochRecordsOf(runDir)) {
      const ofEpoch = steps.filter((step) => step.epoch === epoch);
      expect(ofEpoch.reduce((sum, step) => sum + step.samples, 0)).toBe(samples);
      expect(ofEpoch.reduce((sum, step) => sum + step.loss * step.samples, 0) / samples).toBeCloseTo(loss, 9);
    }
  });

  test('that fails has the steps that it took', async () => {
    const runDir = newRunDir();
    let numGradients = 0;
    const createEngine: typeof createReferenceEngine = async (engineOptions) => {
      const engine = await createReferenceEngine(engineOptions);
      return {
        ...engine,
        async computeGradient(batch, into) {
          const result = await engine.computeGradient(batch, into);
          if (++numGradients > 4) into.gradient[0] = NaN;
          return result;
        },
      };
    };
    const options = { recordSteps: 1, stepsPerEpoch: 5, checkpointSettings: { keep: 1 } };
    const failed = await beginOrResume(runDir, { ...options, createEngine });
    expect(failed).toMatchObject({ status: 'failed', steps: 2, error: { code: 'ERR_NOT_FINITE' } });
    expect(numbersOf(runDir)).toEqual([1, 2]);
    // It ended before its first checkpoint: these steps are taken again.
    expect(await beginOrResume(runDir, options)).toMatchObject({ status: 'completed' });
    expect(numbersOf(runDir)).toEqual(upTo(10));
  });

  test('has the records of all steps of a checkpoint on the disk before it', async () => {
    const runDir = newRunDir();
    let atCheckpoint: number[] = [];
    const createEngine = engineThat(async (step) => {
      if (step !== 4) return;
      // The third step's checkpoint is written while the fourth one is computed.
      while (!existsSync(join(runDir, 'checkpoints', checkpointName(3)))) await nextTurn();
      atCheckpoint = numbersOf(runDir);
    });
    const options = { recordSteps: 1, stepsPerEpoch: 5, checkpointSettings: { every: 3, keep: 1 } };
    await beginOrResume(runDir, { ...options, createEngine });
    expect(atCheckpoint).toEqual(upTo(3));
  });
});

describe('records of steps', () => {
  /** What was written: the numbers of each write's steps. */
  function setUp(every: number, failAt = Infinity) {
    const writes: number[][] = [];
    const records = createStepRecords({
      every,
      directory: {
        async appendSteps(lines) {
          await nextTurn();
          if (writes.length === failAt) throw new Error('no room');
          writes.push(lines.map((line) => (JSON.parse(line) as StepRecord).step));
        },
      },
    });
    return { records, writes };
  }

  test('of rounds are of those that have a K-th step', async () => {
    const { records, writes } = setUp(4);
    for (const [step, steps] of [
      [3, 3],
      [6, 3],
      [7, 1],
      [10, 3],
      [13, 3],
    ] as const)
      records.add(record(step, steps));
    await records.flush();
    expect(writes).toEqual([[6, 10, 13]]);
  });

  test('are written in their order: in the background where they become many, the others as they are waited for', async () => {
    const { records, writes } = setUp(1);
    for (const step of upTo(999)) records.add(record(step));
    await nextTurn();
    expect(writes).toEqual([]);
    records.add(record(1000));
    while (writes.length === 0) await nextTurn();
    records.add(record(1001));
    await records.flush();
    await records.flush();
    expect(writes).toEqual([upTo(1000), [1001]]);
  });

  test('are not written after a write that failed, of which all that wait are told', async () => {
    const { records, writes } = setUp(1, 1);
    records.add(record(1));
    await records.flush();
    records.add(record(2));
    await expect(records.flush()).rejects.toThrow('no room');
    records.add(record(3));
    await expect(records.flush()).rejects.toThrow('no room');
    expect(writes).toEqual([[1]]);
  });
});

describe('cutting off records of steps', () => {
  const lines = (...steps: number[]) => steps.map((step) => `${JSON.stringify({ step })}\n`).join('');

  test.each([
    ['what is newer than the checkpoint', lines(2, 4, 6, 8), 5, lines(2, 4)],
    ['nothing where all are older', lines(2, 4), 9, lines(2, 4)],
    ['all where the run begins again', lines(2, 4), 0, ''],
    ['a torn line', `${lines(2)}{"step":4,"lo`, 9, lines(2)],
    ['a line without its end', lines(2, 4).trimEnd(), 9, lines(2)],
    ['what is there again', lines(2, 4, 2, 4), 9, lines(2, 4)],
    ['what is no record', `${lines(2)}null\n[]\n`, 9, lines(2)],
    ['nothing of a file larger than what is read at once', lines(...upTo(20_000)), 30_000, lines(...upTo(20_000))],
  ])('%s', async (_, text, lastStep, kept) => {
    const path = join(temporaryFolder(), 'steps.jsonl');
    writeFileSync(path, text);
    await cutSteps(path, lastStep);
    expect(readFileSync(path, 'utf8')).toBe(kept);
  });

  test('needs no file', async () => {
    const path = join(temporaryFolder(), 'steps.jsonl');
    await cutSteps(path, 3);
    expect(existsSync(path)).toBe(false);
  });
});
