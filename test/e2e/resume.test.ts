/** Runs that were ended at any moment and resumed: they end with the bits and figures of an uninterrupted run. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readEpochs, readResult, runCli, startCli } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/folder.ts';
import { runInProcess } from '../helpers/in-process.ts';
import { sumOfParts } from '../helpers/parts.ts';
import {
  figuresOf,
  goBackToMidEpoch,
  OFTEN,
  runAndKill,
  runOf,
  stepsOf,
  STEPS_PER_EPOCH,
} from '../helpers/resuming.ts';

const EPOCHS = 3;
const run = runOf(EPOCHS);

/** The same run, uninterrupted: made once, by the first test that compares with it. */
let quiet: ReturnType<typeof runQuietly> | undefined;

async function runQuietly() {
  const runDir = join(temporaryFolder(), 'run');
  const { code, output } = await runInProcess(['baseline', ...run, '--run-dir', runDir]);
  expect(code, output).toBe(0);
  return { figures: figuresOf(runDir), parametersSha256: readResult(runDir).parametersSha256 };
}

async function expectAsQuiet(runDir: string): Promise<void> {
  const { figures, parametersSha256 } = await (quiet ??= runQuietly());
  expect(figuresOf(runDir)).toEqual(figures);
  expect(readResult(runDir)).toMatchObject({
    status: 'completed',
    steps: EPOCHS * STEPS_PER_EPOCH,
    epochs: EPOCHS,
    testAccuracy: figures.at(-1)!.testAccuracy,
    parametersSha256,
  });
}

describe('killed in the middle of an epoch and resumed,', () => {
  test.each([['baseline'], ['train', '--workers', '2']])('%s ends as if nothing had been', async (...command) => {
    const runDir = join(temporaryFolder(), 'run');
    const pid = await runAndKill([...command, ...run, ...OFTEN, '--run-dir', runDir]);
    const step = goBackToMidEpoch(runDir);
    expect(existsSync(join(runDir, 'lock'))).toBe(true);
    // As a crash in the middle of a line leaves it.
    writeFileSync(join(runDir, 'epochs.jsonl'), '{"epoch":', { flag: 'a' });
    const { code, output } = await runCli([command[0], '--resume', runDir]);
    expect(code, output).toBe(0);
    expect(output).toContain(`${runDir}: its lock was left behind by process ${pid} on `);
    expect(output).toContain(`resuming ${runDir} after step ${step}`);
    expect(existsSync(join(runDir, 'lock'))).toBe(false);
    await expectAsQuiet(runDir);
    const resumed = readEpochs(runDir).filter(({ stepsBeforeResume }) => stepsBeforeResume !== undefined);
    expect(resumed.map(({ stepsBeforeResume }) => stepsBeforeResume)).toEqual([step % STEPS_PER_EPOCH]);
    expect(sumOfParts(resumed[0]!)).toBeCloseTo(resumed[0]!.seconds, 6);
  });

  test('a coordinator goes on with the workers that waited for it', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const joinFile = join(temporaryFolder(), 'join');
    const flags = ['--workers', '2', '--join-file', joinFile];
    const first = startCli(['coordinator', '--listen', '127.0.0.1:0', ...flags, ...run, ...OFTEN, '--run-dir', runDir]);
    await first.line(/waiting for 2 workers/);
    const url = readFileSync(joinFile, 'utf8').trim();
    const workers = ['one', 'two'].map((name) => startCli(['worker', url, '--name', name]));
    await first.line(/^epoch 1,/);
    first.kill('SIGKILL');
    await first.exit;
    await Promise.all(workers.map((worker) => worker.line(/was lost.*: trying again for up to 60 s$/)));
    const port = new URL(url).port;
    const second = startCli(['coordinator', '--listen', `127.0.0.1:${port}`, ...flags, '--resume', runDir]);
    expect(await second.exit, second.output()).toBe(0);
    for (const worker of workers) {
      expect(await worker.exit, worker.output()).toBe(0);
      expect(worker.output()).toContain('the coordinator is back: joining again');
    }
    await expectAsQuiet(runDir);
  });
});

test('killed after the last checkpoint, and resumed, a coordinator tells the workers that wait that the run is over', async () => {
  const runDir = join(temporaryFolder(), 'run');
  const joinFile = join(temporaryFolder(), 'join');
  const flags = ['--workers', '2', '--join-file', joinFile];
  const first = startCli(['coordinator', '--listen', '127.0.0.1:0', ...flags, ...run, ...OFTEN, '--run-dir', runDir]);
  await first.line(/waiting for 2 workers/);
  const url = readFileSync(joinFile, 'utf8').trim();
  const workers = ['one', 'two'].map((name) => startCli(['worker', url, '--name', name]));
  await first.line(/^epoch 1,/);
  first.kill('SIGKILL');
  await first.exit;
  await Promise.all(workers.map((worker) => worker.line(/was lost.*: trying again for up to 60 s$/)));
  // Comes as far as that without them, and is as if it had been killed before it could tell.
  expect((await runCli(['baseline', '--resume', runDir])).code).toBe(0);
  rmSync(join(runDir, 'result.json'));

  const listen = ['--listen', `127.0.0.1:${new URL(url).port}`];
  const { code, output } = await runCli(['coordinator', ...listen, '--resume', runDir]);
  expect(code, output).toBe(0);
  expect(output).toContain('2 of 2 workers were told');
  for (const worker of workers) {
    expect(await worker.exit, worker.output()).toBe(0);
    expect(worker.output()).toContain('the run is completed');
  }
  await expectAsQuiet(runDir);
});

test('interrupted and resumed with another number of workers, a run ends with the same bits', async () => {
  const runDir = join(temporaryFolder(), 'run');
  const first = startCli(['baseline', ...run, '--run-dir', runDir]);
  await first.line(/^epoch 1,/);
  first.kill('SIGINT');
  expect(await first.exit).toBe(130);
  const { steps } = readResult(runDir);
  expect(Math.max(...stepsOf(runDir))).toBe(steps);
  const { code, output } = await runCli(['train', '--workers', '2', '--resume', runDir]);
  expect(code, output).toBe(0);
  expect(output).toContain(`resuming ${runDir} after step ${steps}`);
  await expectAsQuiet(runDir);

  const again = await runInProcess(['baseline', '--resume', runDir]);
  expect(again.output).toContain('the run is completed: nothing to resume');
  expect(again.code).toBe(0);
});

describe('a damaged checkpoint', () => {
  test('is refused for the one before; none at all ends with exit 2', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const first = startCli(['baseline', ...run, ...OFTEN, '--run-dir', runDir]);
    await first.line(/^epoch 1,/);
    first.kill('SIGKILL');
    await first.exit;
    rmSync(join(runDir, 'checkpoints', 'best.checkpoint'), { force: true });
    const [before, newest] = stepsOf(runDir)
      .sort((a, b) => a - b)
      .slice(-2);
    const pathOf = (step: number) => join(runDir, 'checkpoints', `step-${String(step).padStart(8, '0')}.checkpoint`);
    writeFileSync(pathOf(newest!), readFileSync(pathOf(newest!)).subarray(0, 1000));
    const { code, output } = await runInProcess(['baseline', '--resume', runDir, '--quiet']);
    expect(code, output).toBe(0);
    expect(output).toContain(`refused ${pathOf(newest!)}: torn: 1000 bytes`);
    expect(output).not.toContain(`after step ${before!}`);
    await expectAsQuiet(runDir);

    rmSync(join(runDir, 'result.json'));
    for (const name of readdirSync(join(runDir, 'checkpoints'))) writeFileSync(join(runDir, 'checkpoints', name), 'x');
    const none = await runInProcess(['baseline', '--resume', runDir]);
    expect(none.output).toContain('expected a whole checkpoint of this run, got none');
    expect(none.code).toBe(2);
  });
});

describe('--resume', () => {
  test('refuses flags that would change the outcome, all by name, and takes those that would not', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const few = [...run, '--max-steps', '3', '--wire', 'bf16', '--workers', '2'];
    expect((await runCli(['train', ...few, '--run-dir', runDir])).code).toBe(0);
    const changed = [
      '--seed',
      '9',
      '--model',
      'conv',
      '--learning-rate',
      '0.5',
      '--epochs',
      String(EPOCHS),
      '--engine',
      'onnx',
      '--clip-norm',
      '1',
    ];
    const { code, output } = await runInProcess(['train', '--resume', runDir, ...changed]);
    expect(code).toBe(2);
    for (const name of [
      '--seed (given 9, the run has 1)',
      '--model (given conv, the run has dense)',
      '--learning-rate',
    ]) {
      expect(output).toContain(name);
    }
    expect(output).toContain('--engine (given onnx, the run has auto)');
    expect(output).toContain('--clip-norm (given 1, the run has none)');
    expect(output).not.toContain('--epochs');

    const workers = await runInProcess(['train', '--resume', runDir, '--workers', '1']);
    expect(workers.output).toContain('1 worker, but the run has 2, and with --wire bf16 another number would change');
    expect(workers.code).toBe(2);
    const elsewhere = await runInProcess(['train', '--resume', runDir, '--run-dir', temporaryFolder()]);
    expect(elsewhere.output).toContain('the run stays there: leave one out');
    expect(elsewhere.code).toBe(2);
    const same = await runInProcess(['train', '--resume', runDir, '--seed', '1', '--keep-checkpoints', '9']);
    expect(same.output).toContain('the run is completed');
    expect(same.code).toBe(0);
  });
});

test('a run that still runs is neither resumed nor begun anew, and is not disturbed', async () => {
  const runDir = join(temporaryFolder(), 'run');
  const first = startCli(['baseline', ...run, ...OFTEN, '--run-dir', runDir]);
  await first.line(/^run directory/);
  // It must not end meanwhile.
  first.kill('SIGSTOP');
  const resumed = await runCli(['train', '--workers', '2', '--resume', runDir]);
  const writes = `got one that process ${first.pid} on`;
  expect(resumed.output).toContain(`error: --resume ${runDir}: expected a run that nobody writes, ${writes}`);
  expect(resumed.code).toBe(2);
  const anew = await runCli(['baseline', ...run, '--run-dir', runDir]);
  // Whichever is found first: its first step is recorded, or its process is there.
  expect(anew.output).toMatch(/^error: --run-dir \S+: (holds a run already|expected a run that nobody writes)/);
  expect(anew.code).toBe(2);
  first.kill('SIGCONT');
  expect(await first.exit, first.output()).toBe(0);
  await expectAsQuiet(runDir);
});

test('a run that fails leaves no lock behind', async () => {
  const runDir = join(temporaryFolder(), 'run');
  const { code } = await runInProcess(['baseline', ...run, '--learning-rate', '1e38', '--run-dir', runDir]);
  expect(code).toBe(1);
  expect(readResult(runDir)).toMatchObject({ status: 'failed' });
  expect(existsSync(join(runDir, 'lock'))).toBe(false);
});

describe('a full disk', () => {
  test('ends the run at an epoch line with exit 1 and the cure, whatever else it fills', async () => {
    const runDir = join(temporaryFolder(), 'run');
    mkdirSync(runDir);
    for (const name of ['epochs.jsonl', 'log.jsonl']) symlinkSync('/dev/full', join(runDir, name));
    const { code, output } = await runInProcess(['baseline', ...run, '--run-dir', runDir]);
    expect(code, output).toBe(1);
    const problem = 'cannot be written: no space is left on that disk (ENOSPC): make room on that disk';
    expect(output).toContain(`error: ${join(runDir, 'epochs.jsonl')}: ${problem}`);
    expect(output.split(`warning: ${join(runDir, 'log.jsonl')}: ${problem}`).length).toBe(2);
    expect(readResult(runDir)).toMatchObject({ status: 'failed', error: { code: 'ERR_STORAGE' } });
  });

  test('ends the run at a checkpoint, the one before whole; with room again it goes on', async ({ skip }) => {
    const folder = temporaryFolder();
    // Room for one checkpoint of 1.3 MB and two models of 0.4 MB, not for a second checkpoint.
    const mount = (options: string) =>
      spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder], { encoding: 'utf8' });
    const mounted = mount('size=2450k');
    if (mounted.status !== 0) skip(`no tmpfs can be mounted here: ${mounted.stderr || 'there is no mount'}`);
    onTestFinished(() => void spawnSync('umount', [folder]));
    const runDir = join(folder, 'run');
    // The second one is due after step 260 of 384: long before the next epoch ends, whose line would find no room either.
    const { code, output } = await runCli(['baseline', ...run, '--checkpoint-every', '130', '--run-dir', runDir]);
    expect(code, output).toBe(1);
    expect(output).toMatch(/error: \S+step-\d{8}\.checkpoint: cannot be written: .*ENOSPC.*: make room/);
    expect(stepsOf(runDir)).toEqual([130]);
    expect(existsSync(join(runDir, 'model.safetensors'))).toBe(true);

    expect(mount('remount,size=32m').status).toBe(0);
    const resumed = await runCli(['baseline', '--resume', runDir]);
    expect(resumed.code, resumed.output).toBe(0);
    expect(resumed.output).toContain('after step 130');
    await expectAsQuiet(runDir);
  });
});
