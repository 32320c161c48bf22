/** The library trains: a model of the caller's on samples in memory, without a file or a word on the terminal. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { ConfigError, loadModel, train } from '../../../scripts/library/index.ts';
import type { DataInMemory, ModelSpec, RunEvent, TrainOptions } from '../../../scripts/library/index.ts';
import { openModel } from '../../../coordinator/run-directory/open-model.ts';
import { softmax } from '../../../protocol/vectors/softmax.ts';
import { createPredictor } from '../../../scripts/inference/predictor.ts';
import { readEpochs, readResult } from '../../helpers/cli.ts';
import { curvesOf } from '../../helpers/event-files.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { readTrace } from '../../helpers/trace-file.ts';
import { barsData } from './bars.ts';

const MODEL: ModelSpec = {
  name: 'bars',
  input: [1, 6, 6],
  numClasses: 2,
  layers: [
    { kind: 'flatten' },
    { kind: 'dense', units: 8, activation: 'relu' },
    { kind: 'dense', units: 2, activation: 'none' },
  ],
};

/** Small and quick; the reference engine is everywhere. */
const RUN = {
  model: MODEL,
  data: barsData(),
  engine: 'reference',
  epochs: 4,
  globalBatch: 16,
  learningRate: 0.1,
} satisfies TrainOptions;

describe('a run in memory', () => {
  test('learns, tells each epoch and step, hands back its model, and leaves nothing behind', async () => {
    const folder = temporaryFolder();
    const before = process.cwd();
    process.chdir(folder);
    onTestFinished(() => process.chdir(before));
    const streams = [process.stdout, process.stderr].map((stream) => vi.spyOn(stream, 'write'));
    const accuracies: (number | null)[] = [];
    const kinds: RunEvent['kind'][] = [];
    let numSteps = 0;
    const { result, model, runDir } = await train({
      ...RUN,
      onEpoch: ({ testAccuracy }) => accuracies.push(testAccuracy),
      onStep: () => numSteps++,
      onEvent: ({ kind }) => kinds.push(kind),
    });
    for (const stream of streams) expect(stream).not.toHaveBeenCalled();
    expect(result).toMatchObject({ status: 'completed', steps: 48, epochs: 4, model: 'bars', dataset: 'memory' });
    expect(accuracies).toHaveLength(4);
    expect(accuracies.at(-1)).toBeGreaterThan(0.95);
    expect(result.testAccuracy).toBe(accuracies.at(-1));
    expect(numSteps).toBe(48);
    expect(kinds.filter((kind) => kind !== 'phase')).toEqual(['prepared', 'started', 'ended']);
    expect(runDir).toBeUndefined();
    expect(readdirSync(folder)).toEqual([]);

    const { test: unseen } = RUN.data;
    const predictions = await model!.predict(unseen.images);
    const numRight = predictions.filter(({ label }, i) => label === unseen.labels[i]).length;
    expect(numRight / unseen.labels.length).toBeCloseTo(result.testAccuracy!, 6);
    expect(predictions[0]).toMatchObject({ className: RUN.data.classes[predictions[0]!.label] });
    const { accuracy, data, confusion } = await model!.evaluate(RUN.data);
    expect({ accuracy, data, classes: confusion!.length }).toEqual({
      accuracy: result.testAccuracy,
      data: 'memory',
      classes: 2,
    });
    await model!.dispose();
    await expect(model!.predict(unseen.images)).rejects.toThrow('model bars: it is disposed of: load it again');
  });

  test('has the bits of one that is recorded, whose model is loaded from its directory', async () => {
    const folder = temporaryFolder();
    const { result } = await train({ ...RUN, epochs: 1 });
    const recorded = await train({ ...RUN, epochs: 1, runDir: join(folder, 'run') });
    expect(recorded).toMatchObject({ runDir: join(folder, 'run'), result: { status: 'completed' } });
    expect(recorded.result.parametersSha256).toBe(result.parametersSha256);
    expect(readResult(join(folder, 'run'))).toEqual(recorded.result);
    expect(readEpochs(join(folder, 'run'))).toHaveLength(1);
    expect(readdirSync(join(folder, 'run', 'tensorboard')).sort()).toEqual(['test', 'train']);
    const loaded = await loadModel(join(folder, 'run'));
    expect(loaded.spec).toEqual(MODEL);
    expect([...loaded.parameters]).toEqual([...recorded.model!.parameters]);
  });

  test('ends at its signal as by Ctrl-C: its checkpoint is written, its result says so, and it is resumed', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const user = new AbortController();
    const { result, model } = await train({
      ...{ ...RUN, runDir, signal: user.signal },
      onStep: ({ stepInEpoch }) => stepInEpoch === 3 && user.abort(),
    });
    // The workers have been told of the fourth when the third is over.
    expect(result).toMatchObject({ status: 'interrupted', steps: 4 });
    expect(model!.spec.name).toBe('bars');
    expect(existsSync(join(runDir, 'checkpoints', 'step-00000004.checkpoint'))).toBe(true);
    expect(existsSync(join(runDir, 'lock'))).toBe(false);
    const resumed = await train({ resume: runDir, data: RUN.data });
    const whole = await train(RUN);
    expect(resumed.result).toMatchObject({ status: 'completed', steps: 48 });
    expect(resumed.result.parametersSha256).toBe(whole.result.parametersSha256);
  });

  test('writes no event files where it is told not to, nor when it is resumed, unless it is told to then', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const folder = join(runDir, 'tensorboard');
    const stepsDone: number[] = [];
    const onEvent = (event: RunEvent) => event.kind === 'started' && stepsDone.push(event.stepsDone);
    await train({ ...RUN, epochs: 1, runDir, onEvent, tensorboard: false });
    await train({ resume: runDir, data: RUN.data, epochs: 2, onEvent });
    expect(existsSync(folder)).toBe(false);
    await train({ resume: runDir, data: RUN.data, epochs: 3, onEvent, tensorboard: true });
    expect(Object.keys(curvesOf(join(folder, 'train')).loss!)).toEqual(['36']);
    expect(stepsDone).toEqual([0, 12, 24]);
  });

  test('does not begin where its signal was aborted before', async () => {
    const reason = new Error('too late');
    await expect(train({ ...RUN, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  test('ends with what a callback throws', async () => {
    const mistake = new Error('mine');
    const failing = train({
      ...RUN,
      onEpoch() {
        throw mistake;
      },
    });
    await expect(failing).rejects.toBe(mistake);
  });
});

describe('options', () => {
  test.each<[TrainOptions | object, string]>([
    [{ epochs: 0 }, 'epochs: expected a whole number from 1, got 0'],
    [{ epochs: '4 of them' }, 'epochs: expected a whole number from 1, got "4 of them"'],
    [{ learningRate: NaN }, 'learningRate: expected a number above 0, got NaN'],
    [{ optimizer: 'lion' }, 'optimizer: expected sgd, adam, adamw, got "lion"'],
    [{ nesterov: 1 }, 'nesterov: expected true or false, got 1'],
    [{ batchSize: 16 }, 'train: no option is called batchSize: use globalBatch'],
    [{ quik: true }, 'train: no option is called quik: docs/reference/cli.md lists the flags'],
    [{ quiet: true }, 'train: no option is called quiet'],
    [{ listen: '127.0.0.1:0' }, 'listen 127.0.0.1:0: expected workers with it'],
    [{ workers: 2, joinFile: 'join' }, 'joinFile: expected listen with it'],
    [{ workers: 2, token: false as const }, 'token: expected listen with it'],
    [{ workers: 2, minWorkers: 3 }, '--min-workers 3 with --workers 2: expected --listen'],
    [{ globalBatch: 4, microbatches: 8 }, '--global-batch 4 cannot feed 8 microbatches'],
    [{ engine: 'abacus' }, '--engine abacus: no such engine'],
    [{ model: { ...MODEL, layers: [{ kind: 'lstm' }] } }, 'model: not a ModelSpec:\n  layers.0.kind:'],
  ])('%j are refused', async (options, message) => {
    const refused = train({ ...RUN, ...options });
    await expect(refused).rejects.toThrow(ConfigError);
    await expect(refused).rejects.toThrow(message);
  });

  test('of a library are not read from the environment', async () => {
    vi.stubEnv('GRADSOCK_EPOCHS', '3');
    onTestFinished(() => void vi.unstubAllEnvs());
    expect((await train({ ...RUN, epochs: undefined, maxSteps: 1 })).result.steps).toBe(1);
    const { result } = await train({ ...RUN, epochs: 1 });
    expect(result.epochs).toBe(1);
  });
});

describe('samples in memory', () => {
  const { train: training } = RUN.data;
  test.each<[Partial<DataInMemory>, string]>([
    [{ train: { ...training, images: training.images.subarray(1) } }, 'data.train.images: expected 6912 bytes'],
    [{ train: { ...training, labels: [2, ...training.labels.subarray(1)] } }, 'data.train.labels[0]: expected a whole'],
    [{ train: { images: new Uint8Array(), labels: [] } }, 'data.train: expected samples to train on, got none'],
    [{ shape: [1, 6] as never }, 'data.shape: expected [channels, height, width]'],
    [{ classes: 0 }, 'data.classes: expected 1 to 65536 names, or their number'],
    [{ test: { images: [] as unknown as Uint8Array, labels: [] } }, 'data.test.images: expected a Uint8Array'],
    [{ classes: 3 }, 'model bars: input [1, 6, 6] and 2 classes, but memory has [1, 6, 6] and 3'],
  ])('%# are refused where they are wrong', async (changes, message) => {
    await expect(train({ ...RUN, data: { ...RUN.data, ...changes } })).rejects.toThrow(message);
  });

  test('need no test samples, and held-back ones take their place', async () => {
    const data = { ...RUN.data, test: undefined };
    const { result } = await train({ ...RUN, data, epochs: 1, validation: 48 });
    expect(result.validationAccuracy).toBeGreaterThan(0);
    expect((await train({ ...RUN, data, epochs: 1 })).result.testAccuracy).toBeNull();
  });
});

test('a model that is loaded says what its run had, and what the predictor of the commands computes', async () => {
  const runDir = join(temporaryFolder(), 'run');
  await train({ ...RUN, epochs: 1, runDir });
  const { images, labels } = RUN.data.test;
  const engine = { engine: 'reference', threads: 1 };
  const predictor = await createPredictor(openModel(runDir), engine);
  const { outputs } = await predictor.compute({ images, labels, numSamples: labels.length });
  const model = await loadModel(join(runDir, 'best.safetensors'), engine);
  const predictions = await model.predict(images);
  expect(predictions).toHaveLength(labels.length);
  for (const [i, { probabilities, label, className }] of predictions.entries()) {
    expect(probabilities).toEqual(softmax(outputs.subarray(2 * i, 2 * i + 2)));
    expect(className).toBe(RUN.data.classes[label]);
  }
  await expect(model.predict(images.subarray(1))).rejects.toThrow(
    'images: expected 36 bytes each, [1, 6, 6], got 2303',
  );
  await predictor.dispose();
  await model.dispose();
});

describe('a trace', () => {
  test('is written to the run directory', async () => {
    const runDir = join(temporaryFolder(), 'run');
    await train({ ...RUN, epochs: 1, runDir, trace: true, traceSteps: '2-3' });
    expect(readTrace(join(runDir, 'trace.json.gz')).otherData).toMatchObject({ firstStep: 2, lastStep: 3 });
  });

  test('needs a run directory, and its steps need it', async () => {
    await expect(train({ ...RUN, trace: true })).rejects.toThrow(
      new ConfigError(
        'trace: expected a run directory to write the trace to, got none: give runDir, or leave trace out',
      ),
    );
    await expect(train({ ...RUN, runDir: join(temporaryFolder(), 'run'), traceSteps: '1-2' })).rejects.toThrow(
      '--trace-steps 1-2: expected --trace with it: add that, or leave both out',
    );
  });
});
