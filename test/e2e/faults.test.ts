/** What happens to whole runs when something is killed, stopped, interrupted or asked for wrongly. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import {
  allGone,
  childrenOf,
  readEpochs,
  readResult,
  runCli,
  SMALL,
  startCli,
  startCoordinator,
} from '../helpers/cli.ts';
import { splitJoinUrl } from '../../protocol/wire/join-url.ts';
import { temporaryFolder } from '../helpers/folder.ts';
import { runInProcess } from '../helpers/in-process.ts';

/** A run that would go on for long after whatever is done to it. */
const long = ['--model', 'dense', '--epochs', '10000', ...SMALL];

/** `gradsock train` that has finished its first epoch. */
async function startTraining(...flags: string[]) {
  const runDir = join(temporaryFolder(), 'run');
  const cli = startCli(['train', '--workers', '2', ...long, '--run-dir', runDir, ...flags]);
  await cli.line(/^epoch 1,/);
  return { cli, runDir, workers: childrenOf(cli.pid) };
}

/** A run of some seconds, and what it ends with when nothing happens to it. */
const EPOCHS = 32;
const short = ['--model', 'dense', '--epochs', String(EPOCHS), '--microbatches', '4', ...SMALL];
const quietHash = rememberOnce(async () => {
  const runDir = join(temporaryFolder(), 'run');
  const { code, output } = await runCli(['train', '--workers', '2', ...short, '--run-dir', runDir]);
  expect(code, output).toBe(0);
  return readResult(runDir).parametersSha256;
});

function rememberOnce<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}

async function startShortTraining(...flags: string[]) {
  const runDir = join(temporaryFolder(), 'run');
  const cli = startCli(['train', '--workers', '2', ...short, '--run-dir', runDir, ...flags]);
  await cli.line(/^epoch 1,/);
  return { cli, runDir, workers: childrenOf(cli.pid) };
}

describe('a worker that is', () => {
  test('killed in mid-epoch costs the run nothing: another is started, the same parameters, no process left', async () => {
    const { cli, runDir, workers } = await startShortTraining();
    expect(workers.length).toBe(2);
    process.kill(workers[0]!, 'SIGKILL');
    await cli.line(/lost worker local-[12] \(w[12]\)/);
    await cli.line(/local-[12] was ended by SIGKILL; it is started again/);
    await cli.line(/local-[12] \(w3\) takes part from step \d+ on/);
    const all = [...workers, ...childrenOf(cli.pid)];
    expect(await cli.exit, cli.output()).toBe(0);
    await allGone(all);
    expect(readResult(runDir)).toMatchObject({ status: 'completed', parametersSha256: await quietHash() });
    for (const { samples } of readEpochs(runDir)) expect(samples).toBe(4096);
  });

  test('killed in a ring, and another stopped, cost the run nothing but time', async () => {
    const ring = ['--workers', '3', '--all-reduce', 'ring', '--step-timeout', '2'];
    const { cli, runDir, workers } = await startShortTraining(...ring);
    await cli.line(/all-reduce: ring of 3 workers/);
    expect(workers.length).toBe(3);
    process.kill(workers[0]!, 'SIGKILL');
    await cli.line(/lost worker local-[123] \(w[123]\).*the connection to \S+ was lost/);
    await cli.line(/all-reduce: ring of 2 workers/);
    process.kill(workers[1]!, 'SIGSTOP');
    await cli.line(/lost worker local-[123] \(w[123]\).*( within | has not answered )/);
    const all = [...workers, ...childrenOf(cli.pid)];
    expect(await cli.exit, cli.output()).toBe(0);
    await allGone(all);
    expect(cli.output().match(/lost worker/g)).toHaveLength(2);
    expect(readResult(runDir)).toMatchObject({ status: 'completed', steps: EPOCHS * (4096 / 256) });
    const epochs = readEpochs(runDir);
    expect(epochs).toHaveLength(EPOCHS);
    for (const { samples, workers: of } of epochs) {
      expect([samples, of.reduce((sum, worker) => sum + worker.workerSamples, 0)]).toEqual([4096, 4096]);
    }
  });

  /** What is said of a worker that hangs: late where others can do its work, lost where only its own answer will do. */
  const missed = /local-[12] \(w[12]\) is late|lost worker local-[12] \(w[12]\)/;

  test('stopped in mid-epoch is left behind, and is gone too at the end', async () => {
    const { cli, runDir, workers } = await startShortTraining('--step-timeout', '2');
    process.kill(workers[1]!, 'SIGSTOP');
    await cli.line(missed);
    expect(await cli.exit, cli.output()).toBe(0);
    await allGone(workers);
    expect(readResult(runDir)).toMatchObject({ status: 'completed', parametersSha256: await quietHash() });
  });

  test('stopped for a while takes part again when it goes on', async () => {
    const { cli, runDir, workers } = await startShortTraining();
    process.kill(workers[1]!, 'SIGSTOP');
    await cli.line(missed);
    process.kill(workers[1]!, 'SIGCONT');
    await cli.line(/local-[12] \(w[123]\) takes part from step \d+ on/);
    expect(await cli.exit, cli.output()).toBe(0);
    await allGone(workers);
    expect(readResult(runDir)).toMatchObject({ status: 'completed', parametersSha256: await quietHash() });
    for (const { samples } of readEpochs(runDir)) expect(samples).toBe(4096);
  });

  test('interrupted by its user leaves; with no other the run waits for one', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const { coordinator, url } = await startCoordinator(['--workers', '1', '--run-dir', runDir, ...short]);
    const worker = startCli(['worker', url, '--name', 'laptop']);
    await coordinator.line(/^epoch 1,/);
    worker.kill('SIGINT');
    expect(await worker.exit).toBe(130);
    await coordinator.line(/lost worker laptop \(w1\).*left the run/);
    await coordinator.line(/no worker is left at step \d+: waiting 600 s for one to join/);
    startCli(['worker', url, '--name', 'desktop']);
    await coordinator.line(/desktop \(w2\) takes part from step \d+ on/);
    expect(await coordinator.exit, coordinator.output()).toBe(0);
    expect(readResult(runDir)).toMatchObject({ parametersSha256: await quietHash() });
  });

  test('lost before the start is replaced by the next that joins', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const run = ['--model', 'dense', '--epochs', '1', ...SMALL];
    const { coordinator, url } = await startCoordinator(['--workers', '2', '--run-dir', runDir, ...run]);
    const first = startCli(['worker', url, '--name', 'first']);
    await coordinator.line(/first is ready, 1 of 2/);
    first.kill('SIGKILL');
    await first.exit;
    for (const name of ['second', 'third']) startCli(['worker', url, '--name', name]);
    expect(await coordinator.exit, coordinator.output()).toBe(0);
    expect(
      readEpochs(runDir)[0]!
        .workers.map(({ name }) => name)
        .sort(),
    ).toEqual(['second', 'third']);
  });
});

describe('Ctrl-C', () => {
  test('ends everything with exit 130, the model saved, no process left', async () => {
    const { cli, runDir, workers } = await startTraining();
    cli.killGroup('SIGINT');
    expect(await cli.exit).toBe(130);
    await allGone(workers);
    expect(readResult(runDir)).toMatchObject({ status: 'interrupted' });
    expect(existsSync(join(runDir, 'model.safetensors'))).toBe(true);
  });

  test('while workers are awaited ends at once', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const { coordinator } = await startCoordinator(['--run-dir', runDir, ...long]);
    await coordinator.line(/gradsock worker ws:/);
    coordinator.kill('SIGINT');
    expect(await coordinator.exit).toBe(130);
    expect(readResult(runDir)).toMatchObject({ status: 'interrupted', steps: 0 });
  });
});

describe('the coordinator', () => {
  test('killed leaves no worker behind', async () => {
    const { cli, workers } = await startTraining();
    cli.kill('SIGKILL');
    await cli.exit;
    await allGone(workers);
  });

  test('is not disturbed by strangers who send it anything', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const run = ['--model', 'dense', '--epochs', '30', ...SMALL];
    const { coordinator, url } = await startCoordinator(['--workers', '1', '--run-dir', runDir, ...run]);
    const pester = () =>
      Promise.all(
        ['text', Buffer.alloc(100, 1), Buffer.alloc(0)].map(
          (data) =>
            new Promise((resolve) => {
              const socket = new WebSocket(splitJoinUrl(url).url);
              socket.on('open', () => socket.send(data));
              socket.on('close', resolve);
              socket.on('error', resolve);
            }),
        ),
      );
    await pester();
    startCli(['worker', url]);
    await coordinator.line(/^epoch 1,/);
    await pester();
    expect(await coordinator.exit, coordinator.output()).toBe(0);
  });

  test('that nobody joins in time ends with exit 1 and says how many came', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const { code, output } = await runCli([
      'coordinator',
      '--listen',
      '127.0.0.1:0',
      '--join-timeout',
      '0.2',
      '--run-dir',
      runDir,
      ...long,
    ]);
    expect(code).toBe(1);
    expect(output).toContain('error: 0 of 2 workers joined within 0.2 s');
  });
});

test('a mistake of the user ends the process with exit 2, and one sentence', async () => {
  const { code, output } = await runCli(['train', '--model', 'resnet']);
  expect(output).toMatch(/^error: --model resnet: expected dense, conv, conv-pool.*$/);
  expect(code).toBe(2);
});

test('training that diverges stops with the step and a suggestion, and keeps the last good parameters', async () => {
  const runDir = join(temporaryFolder(), 'run');
  const { code, output } = await runInProcess(['baseline', ...long, '--learning-rate', '1e38', '--run-dir', runDir]);
  expect(code).toBe(1);
  expect(output).toMatch(/error: step \d+ \(epoch 1\): .*not finite.*smaller --learning-rate/);
  expect(readResult(runDir)).toMatchObject({ status: 'failed', error: { code: 'ERR_NOT_FINITE' } });
});
