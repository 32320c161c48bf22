/** `gradsock export`: from a run or a model file to a folder, with a card that says what the run has recorded. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { FORMAT_NAMES } from '../../../scripts/export/formats.ts';
import { makeData, writeIdxFolder } from '../../helpers/data-files.ts';
import { readResult } from '../../helpers/cli.ts';
import { codeOf, exportOf, EXPORTED_MODELS, judgedBlack, linkPackages, writeExports } from '../../helpers/exports.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { runInProcess } from '../../helpers/in-process.ts';

const read = (...path: string[]) => readFileSync(join(...path), 'utf8');

async function trained(): Promise<string> {
  const folder = temporaryFolder();
  const files = writeIdxFolder(join(folder, 'my|data'), makeData([1, 12, 10], 3, [600, 90]));
  const run = join(folder, 'run');
  const flags = [
    ...['--data', files, '--model', 'dense', '--epochs', '3', '--global-batch', '60', '--optimizer', 'adam'],
    ...['--learning-rate', '0.002', '--flip-probability', '0.5', '--label-smoothing', '0.1'],
  ];
  const { code, output } = await runInProcess(['baseline', ...flags, '--run-dir', run]);
  expect(code, output).toBe(0);
  return run;
}

test('a run is exported in every format, with a card that has its figures, its data and its recipe', async () => {
  const run = await trained();
  const { testAccuracy, bestAccuracy, parametersSha256 } = readResult(run);
  for (const format of FORMAT_NAMES) {
    const { code, output } = await runInProcess(['export', run, '--format', format]);
    const folder = join(run, 'export', format);
    expect(output).toContain(`${folder}: dense after epoch 3, as `);
    expect(output).toContain('load it: ');
    expect(code).toBe(0);
    const card = read(folder, 'README.md');
    for (const pattern of [
      /^# dense$/m,
      new RegExp(`test accuracy +\\| ${testAccuracy}`),
      new RegExp(`\\| ${parametersSha256}`),
      /epochs +\| 3 of 3, completed/,
      /name +\| my\\\|data/,
      /Classes, in the order of the outputs: 0 class-a, 1 class-b, 2 class-c\./,
      /adam, beta1 0\.9, beta2 0\.999, epsilon 1e-8, weight decay 0/,
      /learning rate +\| 0\.002/,
      /mirrored with probability 0\.5/,
      /label smoothing +\| 0\.1/,
      /samples of a global batch +\| 60/,
      /seed +\| 1/,
    ]) {
      expect(card, format).toMatch(pattern);
    }
    expect(card, 'nothing of this machine').not.toContain(run);
    expect(read(folder, 'export.json')).not.toContain(run);
  }
  expect(readFileSync(join(run, 'export', 'safetensors', 'model.safetensors'))).toEqual(
    readFileSync(join(run, 'model.safetensors')),
  );

  // The same again replaces it by the same; the best one lies beside it.
  expect((await runInProcess(['export', run, '--format', 'onnx'])).code).toBe(0);
  const best = await runInProcess(['export', run, '--format', 'onnx', '--best']);
  expect(best.code).toBe(0);
  const card = read(run, 'export', 'onnx-best', 'README.md');
  expect(card).toContain('chosen from all epochs by its accuracy on these test samples');
  expect(card).toMatch(new RegExp(`test accuracy +\\| ${bestAccuracy}`));
});

describe('a model file', () => {
  test('is exported into the folder at hand, with a card that says what is not known', async () => {
    const folder = temporaryFolder();
    await writeExports(folder, exportOf(EXPORTED_MODELS[0]!));
    const before = process.cwd();
    process.chdir(folder);
    try {
      const { code, output } = await runInProcess([
        'export',
        'model.safetensors',
        '--format',
        'tfjs',
        '--input',
        'floats',
      ]);
      expect(code, output).toBe(0);
    } finally {
      process.chdir(before);
    }
    const output = join(folder, 'norm-over-channels-tfjs');
    const card = read(output, 'README.md');
    expect(card).toContain('A model file does not say how it was trained');
    expect(card).toMatch(/accuracy +\| 0\.5/);
    expect(card).toContain('0 to 1: bytes divided by 255');
    expect(JSON.parse(read(output, 'export.json'))).toMatchObject({ format: 'tfjs', epoch: 2, dataset: 'made-up' });
  });

  test("in PyTorch's layout is not taken for one of this program", async () => {
    const folder = temporaryFolder();
    await writeExports(folder, exportOf(EXPORTED_MODELS[0]!));
    const path = join(folder, 'pytorch', 'model.safetensors');
    const { code, output } = await runInProcess(['predict', path, 'image.png']);
    expect(output).toBe(`error: ${path}: expected a model of this program, got one in PyTorch's layout: name its run`);
    expect(code).toBe(2);
  });

  test('has cards whose code predicts in Node.js', async () => {
    const folder = temporaryFolder();
    const exported = exportOf(EXPORTED_MODELS[0]!);
    await writeExports(folder, exported);
    linkPackages(folder);
    const { probabilities } = await judgedBlack(exported);
    const largest = Math.max(...probabilities);
    const run = async (format: string) => {
      const cwd = join(folder, format);
      const code = codeOf(read(cwd, 'README.md'), 'js');
      const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', code], { cwd });
      return stdout.trimEnd().split(' ');
    };
    for (const words of await Promise.all(['onnx', 'tfjs'].map(run))) {
      expect(Number(words.pop())).toBeCloseTo(largest, 5);
      expect(words.join(' ')).toBe(`class ${probabilities.indexOf(largest)}`);
    }
  });
});

describe('is refused', () => {
  test.each<[string, readonly string[], string]>([
    ['no format', [], '--format: expected onnx, tfjs, pytorch, safetensors, got none'],
    ['a format that is none', ['--format', 'caffe'], 'Allowed choices are onnx, tfjs, pytorch, safetensors.'],
    ['an input of a format without a choice', ['--format', 'pytorch', '--input', 'bytes'], 'it is for onnx and tfjs'],
    ['the best of a file', ['--format', 'onnx', '--best'], '--best with'],
    ['a model that is not there', ['--format', 'onnx'], 'cannot be read: there is no such file'],
  ])('%s', async (_, flags, message) => {
    const { code, output } = await runInProcess(['export', join(temporaryFolder(), 'none.safetensors'), ...flags]);
    expect(output).toContain(message);
    expect(code).toBe(2);
  });
});
