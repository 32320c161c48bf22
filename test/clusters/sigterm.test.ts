/** SIGTERM as schedulers send it: to every process of a job, more than once, at any moment. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
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
import { temporaryFolder } from '../helpers/folder.ts';

const training = ['--model', 'dense', '--microbatches', '4', ...SMALL];

describe('SIGTERM', () => {
  test('to a whole run, twice, leaves a checkpoint of its last step, from which it goes on', async () => {
    const [folder, epochs] = [temporaryFolder(), ['--epochs', '12']];
    const [runDir, plainDir] = [join(folder, 'run'), join(folder, 'plain')];
    const cli = startCli(['train', '--workers', '2', ...training, ...epochs, '--run-dir', runDir]);
    await cli.line(/^epoch 2,/);
    const workers = childrenOf(cli.pid);
    cli.killGroup('SIGTERM');
    cli.killGroup('SIGTERM');
    expect(await cli.exit, cli.output()).toBe(130);
    await allGone(workers);
    const { status, steps } = readResult(runDir);
    expect(status).toBe('interrupted');
    const resumed = await runCli(['train', '--resume', runDir]);
    expect(resumed.output).toContain(`resuming ${runDir} after step ${steps}`);
    const plain = await runCli(['baseline', ...training, ...epochs, '--run-dir', plainDir]);
    expect([resumed.code, plain.code]).toEqual([0, 0]);
    expect(readResult(runDir).parametersSha256).toBe(readResult(plainDir).parametersSha256);
    const figures = (path: string) => readEpochs(path).map(({ epoch, loss, testLoss }) => [epoch, loss, testLoss]);
    expect(figures(runDir)).toEqual(figures(plainDir));
  });

  test('to a coordinator whose step does not end leaves that step, and ends', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const flags = ['--workers', '1', ...training, '--epochs', '10000', '--run-dir', runDir];
    const { coordinator, url } = await startCoordinator(flags);
    const worker = startCli(['worker', url]);
    await coordinator.line(/^epoch 1,/);
    worker.kill('SIGSTOP');
    coordinator.kill('SIGTERM');
    expect(await coordinator.exit, coordinator.output()).toBe(130);
    expect(readResult(runDir)).toMatchObject({ status: 'interrupted' });
    worker.kill('SIGKILL');
  });

  test('to a worker that waits for a coordinator, and to a rank that does, ends it with 130', async () => {
    const joinFile = join(temporaryFolder(), 'join');
    const rank = { RANK: '1', WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1', MASTER_PORT: '1' };
    const waiting = [
      startCli(['worker', '--join-file', joinFile]),
      startCli(['rank', '--join-file', joinFile, ...training], rank),
    ];
    await Promise.all(waiting.map((cli) => cli.line(/waiting for the join file/)));
    for (const cli of waiting) cli.kill('SIGTERM');
    expect(await Promise.all(waiting.map(({ exit }) => exit))).toEqual([130, 130]);
  });
});

test('a rank ends as the run of rank 0 ends', async () => {
  const runDir = join(temporaryFolder(), 'run');
  const start = (rank: number) =>
    startCli(['rank', ...training, '--epochs', '10000', '--run-dir', runDir], {
      ...{ RANK: String(rank), WORLD_SIZE: '2', LOCAL_WORLD_SIZE: '2', LOCAL_RANK: String(rank) },
    });
  const ranks = [start(0), start(1)] as const;
  await ranks[0].line(/^epoch 1,/);
  const workers = ranks.flatMap(({ pid }) => childrenOf(pid));
  ranks[0].kill('SIGTERM');
  expect(await Promise.all(ranks.map(({ exit }) => exit))).toEqual([130, 130]);
  expect(ranks[1].output()).toContain('the run is interrupted');
  await allGone(workers);
});
