/**
 * The bits of the first 20 steps, as they were when they were first right: with float32 on the wire no change to
 * transport, reduction, update or engine interface may move one of them. The plain reference computes, so they are the
 * same on every machine.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readResult, runCli } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/folder.ts';

const GOLDEN = {
  dense: '3794f2d24cc3b99c6f8844e18befbf141980c8bb9711c520af69845d2a8fe41d',
  'conv-pool': 'f96d44463894327250d8a88d1773106aafaba78a87e0e4e95d46b38c6d83ed04',
};
const RECIPE = ['--engine', 'reference', '--epochs', '1', '--global-batch', '32', '--microbatches', '4', '--seed', '7'];
const SAMPLES = ['--train-samples', '640', '--test-samples', '32'];

test.each(Object.entries(GOLDEN))(
  '20 steps of %s on two workers end with the golden parameters',
  async (model, sha256) => {
    const runDir = join(temporaryFolder(), 'run');
    const flags = ['--model', model, '--workers', '2', ...RECIPE, ...SAMPLES, '--run-dir', runDir];
    const { code, output } = await runCli(['train', ...flags]);
    expect(code, output).toBe(0);
    expect(readResult(runDir)).toMatchObject({ steps: 20, parametersSha256: sha256 });
  },
);
