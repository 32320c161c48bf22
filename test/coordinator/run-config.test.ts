import { describe, expect, test } from 'vitest';
import type { Member } from '../../coordinator/members/member.ts';
import { assignmentOf, planStep } from '../../coordinator/step/step-plan.ts';
import { checkAgainstData, checkRunConfig, stepSizesOf, welcomeOf } from '../../coordinator/run-config.ts';
import type { RunConfig } from '../../coordinator/run-config.ts';
import { decodeHead, encodeFrame } from '../../protocol/wire/frame.ts';
import type { Message } from '../../protocol/wire/messages.ts';
import { MODELS } from '../../protocol/state/models.ts';
import { madeUpDataset, runConfig } from '../helpers/cluster.ts';
import { SAMPLE_MESSAGES } from '../helpers/messages.ts';

const adam = { ...runConfig().optimizer, name: 'adam' } as const;

describe('a configuration is refused', () => {
  test.each<[Partial<RunConfig>, string]>([
    [{ globalBatch: 3 }, '--global-batch 3 cannot feed 4 microbatches: use 4 or more'],
    [{ maxWorkers: 5 }, '--max-workers 5: --microbatches 4 can feed 4: use --microbatches 5 or more'],
    [{ workers: 5 }, '--microbatches 4 cannot feed 5 workers: use 5 or more'],
    [
      { workers: 9, microbatches: 2, accumulate: 4 },
      '--microbatches 2 with --accumulate 4 cannot feed 9 workers: use 3 or more',
    ],
    [
      { accumulate: 400 },
      '--microbatches 4 with --accumulate 400 gives a worker 1600 microbatches a step, expected at most 1250',
    ],
    [{ accumulate: 2 ** 20, globalBatch: 2 ** 40, microbatches: 1, workers: 1000 }, 'use smaller numbers'],
    [{ accumulate: 2, localSteps: 3 }, '--local-steps 3 with --accumulate 2: expected one of them at most above 1'],
    [{ localSteps: 901 }, '--local-steps 901: expected at most 900'],
    [{ localSteps: 2, wire: 'int8', optimizer: adam }, '--wire int8 with --local-steps 2 cannot carry'],
    [{ localSteps: 2, wire: 'f16', optimizer: adam }, 'use --wire bf16 or f32, or --optimizer sgd'],
  ])('%j', (changes, message) => {
    expect(() => checkRunConfig(runConfig(changes))).toThrow(message);
  });

  test.each<Partial<RunConfig>>([
    { workers: 8, microbatches: 2, accumulate: 4 },
    { localSteps: 900 },
    { localSteps: 2, wire: 'bf16', optimizer: adam },
    { localSteps: 2, wire: 'int8' },
    { wire: 'int8', optimizer: adam },
  ])('and not without reason: %j', (changes) => {
    checkRunConfig(runConfig(changes));
  });
});

describe('a configuration that does not fit the data is refused', () => {
  const data = { name: 'mine', shape: [1, 28, 20], classes: Array.from({ length: 10 }, String) } as const;
  const model = { ...MODELS.dense, input: [1, 28, 20] as [number, number, number] };
  const changes = {
    ...{ flipProbability: 0, shiftProbability: 1, shiftPixels: 19, eraseProbability: 1, erasePixels: 20 },
  };

  test.each<[Partial<RunConfig>, string]>([
    [{ model: MODELS.dense }, 'model dense: input [1, 28, 28] and 10 classes, but mine has [1, 28, 20] and 10'],
    [
      { model: { ...model, numClasses: 1 } },
      'model dense: input [1, 28, 20] and 1 class, but mine has [1, 28, 20] and 10',
    ],
    [
      { model, augmentation: { ...changes, shiftPixels: 20 } },
      '--shift-pixels 20: expected at most 19, for images of 28x20 pixels',
    ],
    [
      { model, augmentation: { ...changes, erasePixels: 21 } },
      '--erase-pixels 21: expected at most 20, for images of 28x20 pixels',
    ],
  ])('%j', (given, message) => {
    expect(() => checkAgainstData(runConfig(given), data)).toThrow(message);
  });

  test('and one that fits is not', () => {
    checkAgainstData(runConfig({ model, augmentation: changes }), data);
    checkAgainstData(runConfig({ model, augmentation: { ...changes, eraseProbability: 0, erasePixels: 99 } }), data);
  });
});

test('with accumulation workers are told the sizes of a step, and the configuration keeps what the user gave', () => {
  const config = runConfig({ globalBatch: 64, microbatches: 2, accumulate: 4 });
  expect(stepSizesOf(config)).toEqual({ globalBatch: 256, microbatches: 8, localSteps: 1 });
  expect(welcomeOf(config, 'run', madeUpDataset(1, 1))).toMatchObject({ globalBatch: 256, numMicrobatches: 8 });
  expect([config.globalBatch, config.microbatches]).toEqual([64, 2]);
});

describe('the largest configurations fit into headers:', () => {
  const passes = (message: Message) => decodeHead(encodeFrame(message).head);

  test('the rates of 900 local steps', () => {
    const ratesAt = (step: number) => ({ learningRate: step / 7, stepSize: step / 11, secondMomentScale: 1 / step });
    const sizes = { globalBatch: 1, microbatches: 1, numTrainSamples: 60_000, localSteps: 900, ratesAt };
    const member = {} as Member;
    const next = { ...assignmentOf(planStep(1, [member], sizes), member)!, numBuckets: 100 };
    expect(next.localRates!.length).toBe(900);
    passes({ ...SAMPLE_MESSAGES.update, next, numSteps: 900 });
  });

  test('the counts of 1250 microbatches', () => {
    const sums = { lossSum: 1 / 3, numCorrect: 70_000, numSamples: 70_000 };
    const microbatches = Array.from({ length: 1250 }, () => sums);
    passes({ ...SAMPLE_MESSAGES.gradient, numMicrobatches: 1250, microbatches });
  });
});
