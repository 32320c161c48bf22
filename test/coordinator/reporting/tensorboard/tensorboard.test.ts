/** Event files of whole runs: what is in them, how they go on after a resume, and what happens when none can be written. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { EpochRecord, Reporter } from '../../../../coordinator/reporting/reporter.ts';
import { drawConfusionImage } from '../../../../coordinator/reporting/tensorboard/confusion-image.ts';
import { createTensorboard } from '../../../../coordinator/reporting/tensorboard/tensorboard.ts';
import { readConfusion } from '../../../../coordinator/run-directory/confusion-files.ts';
import { createReferenceEngine } from '../../../../worker/engines/reference/reference-engine.ts';
import { curvesOf, imagesOf, readEventFiles } from '../../../helpers/event-files.ts';
import type { Curves } from '../../../helpers/event-files.ts';
import { temporaryFolder } from '../../../helpers/folder.ts';
import { findPython } from '../../../helpers/python.ts';
import { beginOrResume, epochRecordsOf, stepRecordsOf } from '../../../helpers/small-run.ts';
import type { SmallRunOptions } from '../../../helpers/small-run.ts';

const newRunDir = () => join(temporaryFolder(), 'run');
const splitsOf = (runDir: string) => readdirSync(join(runDir, 'tensorboard')).sort();
const folderOf = (runDir: string, split: string) => join(runDir, 'tensorboard', split);
const STEPS_PER_EPOCH = 5;

/** A run with event files; returns its warnings. */
async function runWithEvents(runDir: string, options: SmallRunOptions = {}, more: readonly Reporter[] = []) {
  const warnings: string[] = [];
  const { recordSteps } = options;
  const subscribers = [createTensorboard({ recordSteps, warn: (line) => warnings.push(line) }), ...more];
  const settings = { stepsPerEpoch: STEPS_PER_EPOCH, checkpointSettings: { keep: 1 }, ...options };
  const result = await beginOrResume(runDir, { ...settings, subscribers });
  return { result, warnings };
}

/** An engine that spoils each gradient after `numSteps` steps, of two gradients each: the run fails. */
const failingAfter =
  (numSteps: number): typeof createReferenceEngine =>
  async (options) => {
    const engine = await createReferenceEngine(options);
    let numGradients = 0;
    return {
      ...engine,
      async computeGradient(batch, into) {
        const result = await engine.computeGradient(batch, into);
        if (++numGradients > 2 * numSteps) into.gradient[0] = NaN;
        return result;
      },
    };
  };

/** A run that fails in its second epoch, and is resumed from the end of the first: it takes step 6 twice. */
async function resumedRun() {
  const runDir = newRunDir();
  const { result } = await runWithEvents(runDir, { recordSteps: 1, createEngine: failingAfter(6) });
  expect(result).toMatchObject({ status: 'failed', steps: 6 });
  expect(readEventFiles(folderOf(runDir, 'train')).flatMap(pointsOf('step/loss'))).toEqual([1, 2, 3, 4, 5, 6]);
  expect((await runWithEvents(runDir, { recordSteps: 1 })).result.status).toBe('completed');
  return runDir;
}

/** The steps of a file that have a point of the curve. */
const pointsOf = (tag: string) => (events: ReturnType<typeof readEventFiles>[number]) =>
  events.flatMap(({ step, scalars }) => (scalars.some(([name]) => name === tag) ? [step] : []));

/** A curve as the records have it: by step, in float32. */
const curve = <R>(records: readonly R[], stepOf: (record: R) => number, valueOf: (record: R) => number) =>
  Object.fromEntries(records.map((record) => [stepOf(record), Math.fround(valueOf(record))]));
const endOf = ({ epoch }: EpochRecord) => epoch * STEPS_PER_EPOCH;

/** What `epochs.jsonl` and `steps.jsonl` have, under the names that TensorBoard shows. */
function expectedTrain(runDir: string): Curves {
  const epochs = epochRecordsOf(runDir);
  const ofEpochs: Readonly<Record<string, (record: EpochRecord) => number>> = {
    loss: ({ loss }) => loss,
    accuracy: ({ trainAccuracy }) => trainAccuracy,
    learning_rate: ({ learningRate }) => learningRate!,
    samples_per_second: ({ samplesPerSecond }) => samplesPerSecond,
    'time/compute_seconds': ({ computePartSeconds }) => computePartSeconds,
    'time/encode_seconds': ({ encodePartSeconds }) => encodePartSeconds,
    'time/wire_seconds': ({ wirePartSeconds }) => wirePartSeconds,
    'time/wait_seconds': ({ waitPartSeconds }) => waitPartSeconds,
    'time/reduce_seconds': ({ reducePartSeconds }) => reducePartSeconds,
    'time/apply_seconds': ({ applyPartSeconds }) => applyPartSeconds,
    'time/other_seconds': ({ otherPartSeconds }) => otherPartSeconds,
    'time/evaluation_seconds': ({ evaluationSeconds }) => evaluationSeconds,
    'traffic/bytes_sent': ({ bytesSent }) => bytesSent,
    'traffic/bytes_received': ({ bytesReceived }) => bytesReceived,
  };
  const curves = Object.entries(ofEpochs).map(([tag, valueOf]) => [tag, curve(epochs, endOf, valueOf)] as const);
  if (!existsSync(join(runDir, 'steps.jsonl'))) return Object.fromEntries(curves);
  const steps = stepRecordsOf(runDir);
  return {
    ...Object.fromEntries(curves),
    'step/loss': curve(steps, ({ step }) => step, ({ loss }) => loss), // prettier-ignore
    'step/accuracy': curve(steps, ({ step }) => step, ({ trainAccuracy }) => trainAccuracy), // prettier-ignore
    'step/learning_rate': curve(steps, ({ step }) => step, ({ learningRate }) => learningRate), // prettier-ignore
  };
}

/** The confusion matrices of the run's files, drawn, by the steps at which its epochs end. */
function expectedImages(runDir: string) {
  return new Map(
    epochRecordsOf(runDir).map((record) => {
      const { png, side } = drawConfusionImage(readConfusion(runDir, record.epoch)!, 10);
      const image = { tag: 'confusion_matrix', height: side, width: side, colourSpace: 3, png };
      return [endOf(record), { ...image, png: Buffer.from(png) }];
    }),
  );
}

describe('a run', () => {
  test('has the figures of its epochs, each split in a folder of its own, under the same names', async () => {
    const runDir = newRunDir();
    await runWithEvents(runDir);
    expect(splitsOf(runDir)).toEqual(['test', 'train']);
    expect(curvesOf(folderOf(runDir, 'train'))).toEqual(expectedTrain(runDir));
    const epochs = epochRecordsOf(runDir);
    expect(curvesOf(folderOf(runDir, 'test'))).toEqual({
      loss: curve(epochs, endOf, ({ testLoss }) => testLoss!),
      accuracy: curve(epochs, endOf, ({ testAccuracy }) => testAccuracy!),
    });
    expect(imagesOf(folderOf(runDir, 'test'), 'confusion_matrix')).toEqual(expectedImages(runDir));
    const [events] = readEventFiles(folderOf(runDir, 'train'));
    expect(events![0]).toMatchObject({ step: 0, fileVersion: 'brain.Event:2' });
    expect(events!.slice(1).map(({ seconds }) => seconds)).toEqual(
      epochs.map(({ endedAt }) => Date.parse(endedAt!) / 1000),
    );
    expect(events!.some(({ sessionStatus }) => sessionStatus !== undefined)).toBe(false);
  });

  test('with validation has validation in place of test', async () => {
    const runDir = newRunDir();
    await runWithEvents(runDir, { stepsPerEpoch: STEPS_PER_EPOCH + 1, changes: { validationSamples: 8 } });
    expect(splitsOf(runDir)).toEqual(['train', 'validation']);
    const epochs = epochRecordsOf(runDir);
    expect(curvesOf(folderOf(runDir, 'validation'))).toEqual({
      loss: curve(epochs, endOf, ({ validationLoss }) => validationLoss!),
      accuracy: curve(epochs, endOf, ({ validationAccuracy }) => validationAccuracy!),
    });
    expect(imagesOf(folderOf(runDir, 'validation'), 'confusion_matrix')).toEqual(expectedImages(runDir));
  });

  test.each([1, 3])('that records each K-th step has its figures too, for K = %i', async (recordSteps) => {
    const runDir = newRunDir();
    await runWithEvents(runDir, { recordSteps });
    const curves = curvesOf(folderOf(runDir, 'train'));
    expect(curves).toEqual(expectedTrain(runDir));
    expect(Object.keys(curves['step/loss']!)).toHaveLength(Math.floor(10 / recordSteps));
  });

  test('of local steps and accumulated batches has each epoch at the number of its last step', async () => {
    const runDir = newRunDir();
    await runWithEvents(runDir, { stepsPerEpoch: 6, changes: { localSteps: 3 } });
    expect(Object.keys(curvesOf(folderOf(runDir, 'train')).loss!)).toEqual(['6', '12']);
    const accumulated = newRunDir();
    await runWithEvents(accumulated, { stepsPerEpoch: 6, changes: { accumulate: 2 } });
    expect(Object.keys(curvesOf(folderOf(accumulated, 'train')).loss!)).toEqual(['3', '6']);
  });
});

describe('a run that is resumed', () => {
  test('begins a new file, which takes back what came after the checkpoint, and ends with the curves of its records', async () => {
    const runDir = await resumedRun();
    for (const split of ['train', 'test']) {
      const files = readEventFiles(folderOf(runDir, split));
      expect(files).toHaveLength(2);
      expect(files[1]!.slice(0, 2)).toMatchObject([
        { step: 0, fileVersion: 'brain.Event:2' },
        { step: 6, sessionStatus: 1, scalars: [] },
      ]);
    }
    expect(readEventFiles(folderOf(runDir, 'train')).map(pointsOf('step/loss'))).toEqual([
      [1, 2, 3, 4, 5, 6],
      [6, 7, 8, 9, 10],
    ]);
    expect(curvesOf(folderOf(runDir, 'train'))).toEqual(expectedTrain(runDir));
    expect(imagesOf(folderOf(runDir, 'test'), 'confusion_matrix')).toEqual(expectedImages(runDir));
  });

  test('in the middle of an epoch has that epoch at the number of its last step', async () => {
    const runDir = newRunDir();
    const settings = { checkpointSettings: { every: 1, keep: 1 } };
    await runWithEvents(runDir, { ...settings, createEngine: failingAfter(8) });
    await runWithEvents(runDir, settings);
    expect(epochRecordsOf(runDir)[1]!.stepsBeforeResume).toBeGreaterThan(0);
    const { loss } = curvesOf(folderOf(runDir, 'train'));
    expect(loss).toEqual(curve(epochRecordsOf(runDir), endOf, (record) => record.loss));
  });

  test('after the clock was set back has its files in their order', async () => {
    const runDir = newRunDir();
    await runWithEvents(runDir, { createEngine: failingAfter(6) });
    writeFileSync(join(folderOf(runDir, 'train'), 'events.out.tfevents.4000000000.other.1'), '');
    await runWithEvents(runDir);
    expect(readdirSync(folderOf(runDir, 'train')).sort().at(-1)).toMatch(/^events\.out\.tfevents\.4000000001\./);
  });
});

describe('event files that cannot be written', () => {
  test('end no run: it is told once, and the other files of the run are whole', async () => {
    const runDir = newRunDir();
    /** From the end of the first epoch on, the disk is full. */
    const filling: Reporter = {
      onEpoch({ epoch }) {
        if (epoch > 1) return;
        const [name] = readdirSync(folderOf(runDir, 'train'));
        const path = join(folderOf(runDir, 'train'), name!);
        rmSync(path);
        symlinkSync('/dev/full', path);
      },
    };
    const { result, warnings } = await runWithEvents(runDir, { changes: { epochs: 3 }, recordSteps: 1 }, [filling]);
    expect(result.status).toBe('completed');
    expect(epochRecordsOf(runDir)).toHaveLength(3);
    expect(warnings).toEqual([
      expect.stringMatching(
        /^warning: the run goes on without TensorBoard's event files: .*train.*: cannot be written: no space is left on that disk \(ENOSPC\)/,
      ),
    ]);
    expect(Object.keys(curvesOf(folderOf(runDir, 'test')).loss!), 'nothing more of any split').toEqual(['5']);
  });

  test('because no folder can be made for them are told of, once', async () => {
    const runDir = newRunDir();
    const blocking: Reporter = { onStart: () => writeFileSync(join(runDir, 'tensorboard'), 'a file') };
    const { result, warnings } = await runWithEvents(runDir, {}, [blocking]);
    expect(result.status).toBe('completed');
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(join(runDir, 'tensorboard', 'train'));
  });
});

const python = findPython(['PIL', 'tensorboard']);

test.skipIf(python === undefined)(
  "TensorBoard's own reader has the same curves and images, and drops what is of the step that was taken twice",
  async () => {
    const runDir = await resumedRun();
    const folders = ['train', 'test'].map((split) => folderOf(runDir, split));
    const program = fileURLToPath(new URL('read.py', import.meta.url));
    const { stdout, stderr } = spawnSync(python!, [program, ...folders], { encoding: 'utf8' });
    // Of step 6 as the first process took it: loss, accuracy and learning rate.
    expect(stderr).toMatch(/^Detected out of order event\.step .* current step: 6 .* Removing 3 scalars, .*\n$/);
    const [train, ofTest] = JSON.parse(stdout) as { curves: Curves; images: object }[];
    expect([train!.curves, ofTest!.curves]).toEqual(folders.map(curvesOf));
    expect(train!.curves).toEqual(expectedTrain(runDir));
    const images = [...expectedImages(runDir)].map(([step, { height, width }]) => [step, [height, width, 'images']]);
    expect([train!.images, ofTest!.images]).toEqual([{}, { confusion_matrix: Object.fromEntries(images) as object }]);
  },
);
