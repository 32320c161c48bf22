/** `gradsock predict` and `evaluate`: a model that was trained is used, and says what a run has recorded. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeData, pngOf, writeIdxFolder, writeNpz } from '../../helpers/data-files.ts';
import { readResult } from '../../helpers/cli.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { runInProcess } from '../../helpers/in-process.ts';

const data = makeData([1, 12, 10], 3, [600, 90]);

async function trained() {
  const folder = temporaryFolder();
  const files = writeIdxFolder(join(folder, 'mine'), data);
  const run = join(folder, 'run');
  const flags = [
    '--data',
    files,
    '--model',
    'dense',
    '--epochs',
    '8',
    '--global-batch',
    '60',
    '--learning-rate',
    '0.05',
  ];
  const { code, output } = await runInProcess(['baseline', ...flags, '--run-dir', run]);
  expect(code, output).toBe(0);
  return { folder, files, run };
}

test('a trained model is evaluated and asked, by its run or its file', async () => {
  const { folder, files, run } = await trained();
  const { testAccuracy, evaluationLoss, bestAccuracy } = readResult(run);

  const json = await runInProcess(['evaluate', run, '--json', '--worst', '2']);
  const assessment = JSON.parse(json.output) as {
    accuracy: number;
    loss: number;
    confusion: number[][];
    classes: { name: string; recall: number }[];
    worst: { loss: number }[];
  };
  expect(assessment.accuracy).toBe(testAccuracy);
  expect(assessment.loss).toBeCloseTo(evaluationLoss!, 12);
  // Thirty of each class; the right ones lie on the diagonal.
  expect(assessment.confusion.map((row) => row.reduce((a, b) => a + b, 0))).toEqual([30, 30, 30]);
  const right = assessment.confusion.map((row, label) => row[label]!);
  expect(right.reduce((a, b) => a + b, 0) / 90).toBe(testAccuracy);
  expect(assessment.classes.map(({ recall }) => recall)).toEqual(right.map((count) => count / 30));
  expect(assessment.classes.map(({ name }) => name)).toEqual(data.classes);
  expect(assessment.worst[0]!.loss).toBeGreaterThanOrEqual(assessment.worst[1]!.loss);

  const picture = join(folder, 'confusion.png');
  const text = await runInProcess(['evaluate', run, '--best', '--confusion', picture, '--split', 'train']);
  expect(text.output).toContain('best.safetensors on mine (train), by native on cpu');
  expect(text.output).toMatch(/^600 samples: loss /m);
  expect(existsSync(picture)).toBe(true);
  const best = await runInProcess(['evaluate', join(run, 'best.safetensors'), '--data', files, '--json']);
  expect((JSON.parse(best.output) as { accuracy: number }).accuracy).toBe(bestAccuracy);

  const images = [0, 1, 2].map((n) => {
    const path = join(folder, `${n}.png`);
    writeFileSync(path, pngOf(data.test.images.subarray(n * 120, (n + 1) * 120), data.shape));
    return path;
  });
  const predicted = await runInProcess(['predict', run, ...images, '--top', '1']);
  expect(predicted.output.split('\n').map((line) => line.split(' ')[1])).toEqual(data.classes);
  const asJson = await runInProcess(['predict', run, images[0]!, '--json', '--engine', 'reference']);
  const [answer] = JSON.parse(asJson.output) as [{ prediction: string; classes: { probability: number }[] }];
  expect(answer.prediction).toBe('class-a');
  expect(answer.classes.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 6);
});

describe('are refused', () => {
  test('what is no model, and data that is not what the model takes', async () => {
    const { folder, run, files } = await trained();
    const other = writeNpz(join(folder, 'other.npz'), makeData([1, 9, 9], 3, [12, 6]), 'keras');
    const wrongShape = await runInProcess(['evaluate', run, '--data', other]);
    expect(wrongShape.output).toMatch(
      /^error: other: images of \[1, 9, 9\] in 3 classes, but .* takes \[1, 12, 10\] in 3/,
    );
    const noSplit = await runInProcess(['evaluate', run, '--split', 'validation']);
    expect(noSplit.output).toBe('error: --split validation: mine has no such samples: use test or train');
    const labels = join(files, 'train-labels-idx1-ubyte');
    writeFileSync(
      labels,
      readFileSync(labels).map((byte, at) => (at === 8 ? 1 : byte)),
    );
    const changed = await runInProcess(['evaluate', run]);
    expect(changed.output).toMatch(
      /expected the data that the run was trained on, with sha256 \w+, got \w+: name what/,
    );
    for (const [args, message] of [
      [['predict', folder, 'a.png'], 'expected a run directory with a model, got no'],
      [['predict', join(run, 'config.json'), 'a.png'], 'not a sound safetensors file'],
      [['predict', join(folder, 'none'), 'a.png'], 'cannot be read: there is no such file'],
      [['predict', join(run, 'model.safetensors'), 'a.png', '--best'], '--best with'],
      [['predict', run, join(folder, 'none.png')], 'none.png: cannot be read'],
    ] as const) {
      const { code, output } = await runInProcess(args);
      expect(output).toContain(message);
      expect(code).toBe(2);
    }
  });
});
