/** `--recipe best` on held-back samples, with real processes: the same bits for any number of workers, also when resumed. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { planModel } from '../../protocol/state/model-spec.ts';
import { MODELS } from '../../protocol/state/models.ts';
import { decodeSafetensors } from '../../protocol/state/safetensors.ts';
import { allGone, childrenOf, readEpochs, readResult, runCli, startCli } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/folder.ts';
import { runInProcess } from '../helpers/in-process.ts';

/** 32 steps an epoch. */
const STEPS_PER_EPOCH = 32;
const samples = ['--train-samples', '2024', '--validation', '1000', '--test-samples', '100', '--global-batch', '32'];
const sizes = ['--microbatches', '8', '--epochs', '2', '--warmup-steps', '10'];
/** Given here, so that all of it is tried whatever a search finds next. */
const improvements = [
  ...['--label-smoothing', '0.1', '--flip-probability', '0.5', '--shift-probability', '0.3'],
  ...['--erase-probability', '0.1', '--ema-decay', '0.9', '--ema-every', '4'],
];
const run = ['--model', 'dense', '--recipe', 'best', ...sizes, ...improvements, ...samples];

/** What must not depend on who computed it. */
const outcomeOf = (runDir: string) => {
  const { status, steps, testAccuracy, validationAccuracy, ...hashes } = readResult(runDir);
  const { parametersSha256, averagedParametersSha256 } = hashes;
  const epochs = readEpochs(runDir).map((record) => {
    const { epoch, loss, trainAccuracy, testLoss, testAccuracy, validationLoss, validationAccuracy } = record;
    return { epoch, loss, trainAccuracy, testLoss, testAccuracy, validationLoss, validationAccuracy };
  });
  return { status, steps, testAccuracy, validationAccuracy, parametersSha256, averagedParametersSha256, epochs };
};

/** sha256 of the parameters in the run's model file. */
function modelFileSha256(runDir: string): string {
  const path = join(runDir, 'model.safetensors');
  const { tensors } = decodeSafetensors(readFileSync(path), path);
  const hash = createHash('sha256');
  for (const { name } of planModel(MODELS.dense).parameters) {
    const { buffer, byteOffset, byteLength } = tensors.get(name)!.values;
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest('hex');
}

async function runToEnd(carryOut: typeof runCli | typeof runInProcess, ...command: string[]) {
  const runDir = join(temporaryFolder(), 'run');
  const { code, output } = await carryOut([...command, ...run, '--run-dir', runDir]);
  expect(code, output).toBe(0);
  return { output, outcome: outcomeOf(runDir), modelSha256: modelFileSha256(runDir) };
}

/** The baseline: made once, by the first test that compares with it. */
let quiet: ReturnType<typeof runToEnd> | undefined;
const baseline = () => (quiet ??= runToEnd(runInProcess, 'baseline'));

test('the baseline has validation figures and none of the test samples, and the model file holds the averages', async () => {
  const { output, outcome, modelSha256 } = await baseline();
  expect(outcome).toMatchObject({ status: 'completed', steps: 2 * STEPS_PER_EPOCH, testAccuracy: null });
  expect(outcome.epochs.map(({ testLoss, testAccuracy }) => [testLoss, testAccuracy])).toEqual([
    [null, null],
    [null, null],
  ]);
  expect(outcome.validationAccuracy).toBe(outcome.epochs.at(-1)!.validationAccuracy);
  expect(outcome.validationAccuracy).toBeGreaterThan(0.5);
  expect(outcome.averagedParametersSha256).not.toBe(outcome.parametersSha256);
  expect(modelSha256).toBe(outcome.averagedParametersSha256);
  expect(output).toMatch(/^epoch 1, loss [\d.]+, train acc [\d.]+, validation acc [\d.]+, time/m);
  expect(output).toMatch(/^completed: 64 steps in [\d.]+ s, validation acc 0\.\d{4}, parameters/m);
});

// Other numbers of workers: test/coordinator/recipes.test.ts.
test('three worker processes end with the parameters, averages and figures of the baseline', async () => {
  const { outcome, modelSha256 } = await runToEnd(runCli, 'train', '--workers', '3');
  const expected = await baseline();
  expect(outcome).toEqual(expected.outcome);
  expect(modelSha256).toBe(expected.modelSha256);
});

test('killed and resumed in the middle of an epoch it ends so too, with no flag repeated', async () => {
  const runDir = join(temporaryFolder(), 'run');
  const often = ['--checkpoint-every', '5', '--keep-checkpoints', '1000'];
  const first = startCli(['train', '--workers', '2', ...run, ...often, '--run-dir', runDir]);
  await first.line(/^epoch 1,/);
  const workers = childrenOf(first.pid);
  first.kill('SIGKILL');
  await first.exit;
  await allGone(workers);
  // As if it had been killed before: the averages are then between two of their steps.
  const folder = join(runDir, 'checkpoints');
  const isLater = (name: string) => Number(/^step-(\d+)/.exec(name)?.[1] ?? Infinity) > 30;
  for (const name of readdirSync(folder).filter(isLater)) rmSync(join(folder, name));

  const { code, output } = await runCli(['train', '--workers', '2', '--resume', runDir]);
  expect(code, output).toBe(0);
  expect(output).toMatch(/^resuming \S+ after step (5|10|15|20|25|30), 0 epochs done/m);
  const { outcome, modelSha256 } = await baseline();
  expect(outcomeOf(runDir)).toEqual(outcome);
  expect(modelFileSha256(runDir)).toBe(modelSha256);
});

test('without a sample left to train on it is refused with exit 2 and the cure', async () => {
  const flags = ['--train-samples', '500', '--validation', '500', '--run-dir', join(temporaryFolder(), 'run')];
  const { code, output } = await runInProcess(['baseline', ...flags]);
  expect(output).toContain('--validation 500 of 500 training samples: leave some to train on');
  expect(code).toBe(2);
});
