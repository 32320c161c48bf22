/** Starts that fail leave nothing that is in the way of the next try. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readResult, runCli, SMALL, startCli, startCoordinator } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/folder.ts';
import { runInProcess } from '../helpers/in-process.ts';

const run = ['--model', 'dense', '--epochs', '1', ...SMALL];

describe('a start that takes no step', () => {
  const command = ['coordinator', '--workers', '1', '--listen', '127.0.0.1:0', ...run];

  test('because nobody joins, or because it is killed, leaves no model, and the same command works again', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const again = [...command, '--run-dir', runDir];
    const first = await runInProcess([...again, '--join-timeout', '0.2']);
    expect(first.code, first.output).toBe(1);
    expect(readResult(runDir)).toMatchObject({ status: 'failed', steps: 0, error: { code: 'ERR_TIMEOUT' } });
    expect(existsSync(join(runDir, 'model.safetensors'))).toBe(false);

    const second = startCli(again);
    await second.line(/^waiting for 1 worker;/);
    expect(second.output()).toContain('an earlier start took no step (failed: 0 of 1 worker joined within 0.2 s)');
    second.kill('SIGKILL');
    await second.exit;

    const { coordinator, url } = await startCoordinator(again.slice(1));
    expect(coordinator.output()).toContain('an earlier start took no step (it was killed): beginning anew');
    expect((await runCli(['worker', url])).code).toBe(0);
    expect(await coordinator.exit, coordinator.output()).toBe(0);
    expect(readResult(runDir)).toMatchObject({ status: 'completed' });

    const over = await runInProcess(again);
    expect(over.output).toBe(
      `error: --run-dir ${runDir}: holds a run already: choose another folder, or remove this one`,
    );
    expect(over.code).toBe(2);
  });

  test('as it was told by --max-steps 0 is a run, with the initial model', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const initial = ['train', '--workers', '1', '--max-steps', '0', '--run-dir', runDir, ...run];
    expect((await runInProcess(initial)).code).toBe(0);
    expect(existsSync(join(runDir, 'model.safetensors'))).toBe(true);
    expect((await runInProcess(initial)).output).toContain('holds a run already');
  });
});

test('a coordinator whose lock is taken away writes no more, says so, and leaves the lock to its new holder', async () => {
  const runDir = join(temporaryFolder(), 'run');
  const cli = startCli(['baseline', '--run-dir', runDir, ...run, '--epochs', '10000']);
  await cli.line(/^epoch 1,/);
  const other = readFileSync(join(runDir, 'lock'), 'utf8').replace(/"id":"\w+","pid":\d+/, '"id":"other","pid":7');
  // As a successor does it.
  writeFileSync(join(runDir, 'successor'), other);
  renameSync(join(runDir, 'successor'), join(runDir, 'lock'));
  expect(await cli.exit, cli.output()).toBe(1);
  expect(cli.output()).toMatch(
    /^error: \S+lock: expected the lock of this process, got that of process 7 on .*: this process writes no more there/m,
  );
  expect(readFileSync(join(runDir, 'lock'), 'utf8')).toBe(other);
  expect(existsSync(join(runDir, 'result.json'))).toBe(false);
});
