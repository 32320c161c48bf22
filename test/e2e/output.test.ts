/** What runs say, and that they outlive those who read it. */
import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readResult, SMALL, startCli, startCoordinator } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/folder.ts';
import { runInProcess } from '../helpers/in-process.ts';

const PROGRAM = fileURLToPath(new URL('../../dist/scripts/cli.js', import.meta.url));

const RUN = ['--model', 'dense', '--epochs', '2', ...SMALL];

/** Starts the program, and stops reading one of its streams after the first line there. */
function startUnread(args: readonly string[], unread: 'stdout' | 'stderr') {
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let other = '';
  child[unread === 'stdout' ? 'stderr' : 'stdout'].on('data', (data: Buffer) => (other += data.toString()));
  createInterface({ input: child[unread] }).once('line', () => child[unread].destroy());
  const exit = new Promise<number | NodeJS.Signals>((resolve) => {
    child.on('exit', (code, signal) => resolve(code ?? signal!));
  });
  return { exit, other: () => other };
}

describe('a run that nobody listens to', () => {
  test('goes on to its end, prints no stack, and leaves its lock to nobody', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const { exit, other } = startUnread(['train', '--workers', '2', ...RUN, '--run-dir', runDir], 'stdout');
    expect(await exit, other()).toBe(0);
    expect(other()).toBe('');
    expect(readResult(runDir)).toMatchObject({ status: 'completed', epochs: 2 });
    expect(existsSync(join(runDir, 'lock'))).toBe(false);
  });

  test('has workers that go on, too', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const { coordinator, url } = await startCoordinator(['--workers', '1', ...RUN, '--run-dir', runDir]);
    const worker = startUnread(['worker', url], 'stderr');
    expect(await worker.exit).toBe(0);
    expect(await coordinator.exit, coordinator.output()).toBe(0);
    expect(coordinator.output()).not.toContain('lost');
  });

  test('goes on when its terminal goes away, as under nohup', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const cli = startCli(['train', '--workers', '2', ...RUN, '--run-dir', runDir]);
    await cli.line(/^epoch 1,/);
    cli.killGroup('SIGHUP');
    expect(await cli.exit, cli.output()).toBe(0);
    expect(cli.output()).not.toContain('lost');
  });
});

describe('a worker', () => {
  test('says when it joined, its share, what it took part in, and how the run ended', async () => {
    const args = ['--workers', '1', '--microbatches', '2', '--run-dir', join(temporaryFolder(), 'run')];
    const { coordinator, url } = await startCoordinator([...args, ...RUN]);
    const worker = startCli(['worker', url]);
    expect(await worker.exit, worker.output()).toBe(0);
    await coordinator.exit;
    expect(worker.output()).toMatch(
      new RegExp(
        'joined run \\S+ as w1: dense, 256 samples a step in 2 microbatches\n' +
          'working from step 1 on: 2 of 2 microbatches a step\n' +
          '(step .*\n)*took part in 32 steps\nthe run is completed$',
      ),
    );
  });

  test('without work says that it stands by, and why', async () => {
    const args = ['--workers', '1', '--model', 'dense', '--epochs', '10000', ...SMALL];
    const { coordinator, url } = await startCoordinator([...args, '--run-dir', join(temporaryFolder(), 'run')]);
    const first = startCli(['worker', url, '--name', 'first']);
    await first.line(/^working from step 1 on/);
    const surplus = startCli(['worker', url, '--name', 'surplus']);
    const why = 'the only microbatch of a step has a worker; it takes its place when that is lost';
    expect(await surplus.line(/^standing by/)).toBe(`standing by: ${why}`);
    expect(await coordinator.line(/stands by/)).toBe(`surplus (w2) stands by: ${why}`);
    first.kill('SIGKILL');
    await surplus.line(/^working from step \d+ on: 1 of 1 microbatch a step/);
    coordinator.kill('SIGINT');
    expect(await surplus.exit).toBe(0);
  });
});

test('a run that has learned nothing says so and what to try, and ends with exit 0', async () => {
  const runDir = join(temporaryFolder(), 'run');
  const args = ['baseline', ...RUN, '--learning-rate', '1000', '--run-dir', runDir];
  const { code, output } = await runInProcess(args);
  expect(code, output).toBe(0);
  expect(output).toMatch(/^warning: the model did not learn: loss [\d.]+ \(a guess has 2\.30\).*--learning-rate/m);
  expect(readResult(runDir)).toMatchObject({ status: 'completed', learned: false });
});

test('with --json standard output has records alone, and what is for people goes to standard error', async () => {
  const runDir = join(temporaryFolder(), 'run');
  const args = ['baseline', ...RUN, '--json', '--run-dir', runDir];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [PROGRAM, ...args]);
  const records = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { kind: string });
  const kinds = records.map(({ kind }) => kind).filter((kind) => kind !== 'phase');
  expect(kinds).toEqual(['start', 'epoch', 'epoch', 'end']);
  expect(records.at(-1)).toMatchObject({ ...readResult(runDir), runDir });
  expect(stderr).toMatch(/^epoch 2, loss/m);
});
