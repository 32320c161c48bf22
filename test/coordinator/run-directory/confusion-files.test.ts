/** The confusion matrices of a run: written with each epoch, read by pages, made again by a run that is resumed. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Confusion } from '../../../coordinator/reporting/confusion.ts';
import type { Reporter } from '../../../coordinator/reporting/reporter.ts';
import {
  confusionEpochs,
  cutConfusions,
  readConfusion,
  writeConfusion,
} from '../../../coordinator/run-directory/confusion-files.ts';
import { ConfigError } from '../../../protocol/errors.ts';
import { createReferenceEngine } from '../../../worker/engines/reference/reference-engine.ts';
import { madeUpSamples } from '../../helpers/cluster.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { beginOrResume, epochRecordsOf } from '../../helpers/small-run.ts';

const confusion: Confusion = {
  epoch: 12,
  split: 'validation',
  numSamples: 3,
  cells: [{ label: 1, predicted: 0, numSamples: 3, worst: [2, 0], losses: [1e9, 0.25] }],
};
const contentsOf = (runDir: string) =>
  readdirSync(join(runDir, 'confusion')).map((name) => [name, readFileSync(join(runDir, 'confusion', name), 'utf8')]);

describe('a run', () => {
  test('has a file for each epoch, which is what subscribers hear right before its record', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const heard: string[] = [];
    const told: Confusion[] = [];
    const subscriber: Reporter = {
      onConfusion(one) {
        told.push(one);
        heard.push(`confusion ${one.epoch}`);
        expect(readConfusion(runDir, one.epoch)).toEqual(one);
      },
      onEpoch: ({ epoch }) => void heard.push(`epoch ${epoch}`),
    };
    await beginOrResume(runDir, { subscribers: [subscriber] });
    expect(heard).toEqual(['confusion 1', 'epoch 1', 'confusion 2', 'epoch 2']);
    expect(readdirSync(join(runDir, 'confusion')).sort()).toEqual(['epoch-0001.json', 'epoch-0002.json']);
    expect(confusionEpochs(runDir)).toEqual([1, 2]);

    const { labels } = madeUpSamples(8, 2);
    for (const [index, { testAccuracy, testLoss }] of epochRecordsOf(runDir).entries()) {
      const { epoch, split, numSamples, cells } = told[index]!;
      expect({ epoch, split, numSamples }).toEqual({ epoch: index + 1, split: 'test', numSamples: 8 });
      const right = cells.filter(({ label, predicted }) => label === predicted);
      expect(right.reduce((sum, cell) => sum + cell.numSamples, 0) / 8).toBe(testAccuracy);
      const losses = cells.flatMap((cell) => cell.losses);
      expect(losses.reduce((a, b) => a + b, 0) / 8).toBeCloseTo(testLoss!, 3);
      for (const { label, worst } of cells) for (const sample of worst) expect(labels[sample]).toBe(label);
    }
  });

  test('with validation has those of the samples that are held back', async () => {
    const runDir = join(temporaryFolder(), 'run');
    await beginOrResume(runDir, { stepsPerEpoch: 3, changes: { validationSamples: 8, epochs: 1 } });
    expect(readConfusion(runDir, 1)).toMatchObject({ epoch: 1, split: 'validation', numSamples: 8 });
  });

  test('that is resumed after a kill has the same files as one that was left alone', async () => {
    const [quiet, killed] = [join(temporaryFolder(), 'run'), join(temporaryFolder(), 'run')];
    await beginOrResume(quiet);
    const failure: Reporter = {
      onEpoch() {
        throw new Error('no more');
      },
    };
    await expect(beginOrResume(killed, { subscribers: [failure] })).rejects.toThrow('no more');
    // As a kill leaves it: a draft, and an epoch that the checkpoint has not.
    writeFileSync(join(killed, 'confusion', 'epoch-0002.json.abcdefgh.part'), '{');
    writeFileSync(join(killed, 'confusion', 'epoch-0007.json'), 'of another process');
    await beginOrResume(killed);
    expect(contentsOf(killed)).toEqual(contentsOf(quiet));
  });
});

describe('the files', () => {
  test('are read as they were written, in the order of their epochs', async () => {
    const runDir = temporaryFolder();
    for (const epoch of [12, 2, 10_000]) await writeConfusion(runDir, { ...confusion, epoch });
    expect(confusionEpochs(runDir)).toEqual([2, 12, 10_000]);
    expect(readConfusion(runDir, 12)).toEqual(confusion);
    expect(readConfusion(runDir, 3)).toBeUndefined();
    writeFileSync(join(runDir, 'confusion', 'notes.txt'), 'a file of the user');
    await cutConfusions(runDir, 11);
    expect(readdirSync(join(runDir, 'confusion')).sort()).toEqual(['epoch-0002.json', 'notes.txt']);
  });

  test('of an older run are missing, and that is no error', async () => {
    const runDir = temporaryFolder();
    expect(confusionEpochs(runDir)).toEqual([]);
    expect(readConfusion(runDir, 1)).toBeUndefined();
    await cutConfusions(runDir, 0);
    expect(readdirSync(runDir)).toEqual([]);
  });

  test.each([
    ['no JSON', '{'],
    ['another epoch', JSON.stringify(confusion)],
    ['other fields', '{"epoch":3,"cells":[]}'],
    [
      'fewer losses than samples',
      JSON.stringify({ ...confusion, epoch: 3, cells: [{ ...confusion.cells[0], losses: [] }] }),
    ],
  ])('that hold %s are refused by their names', (_, content) => {
    const runDir = temporaryFolder();
    mkdirSync(join(runDir, 'confusion'));
    writeFileSync(join(runDir, 'confusion', 'epoch-0003.json'), content);
    const read = () => readConfusion(runDir, 3);
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(/epoch-0003\.json: expected .*: put the file back from a copy, or remove it/);
  });

  test('that cannot be looked for are told of', () => {
    const runDir = temporaryFolder();
    writeFileSync(join(runDir, 'confusion'), 'a file');
    expect(() => confusionEpochs(runDir)).toThrow(ConfigError);
    rmSync(join(runDir, 'confusion'));
  });
});

test('a run that leaves nothing behind tells of confusion where a reporter hears of it, and asks for none where none does', async () => {
  const told: number[] = [];
  const options = { isUnrecorded: true, changes: { epochs: 1 } };
  await beginOrResume('', { ...options, subscribers: [{ onConfusion: ({ epoch }) => void told.push(epoch) }] });
  expect(told).toEqual([1]);
  let hasOutputs: boolean | undefined;
  await beginOrResume('', {
    ...options,
    async createEngine(engineOptions) {
      const engine = await createReferenceEngine(engineOptions);
      return {
        ...engine,
        evaluate(batch, outputs) {
          hasOutputs = outputs !== undefined;
          return engine.evaluate(batch, outputs);
        },
      };
    },
  });
  expect(hasOutputs).toBe(false);
});
