/** Starts that fail: noticed before anything is made, told once, and nothing is left that is in the way of the next try. */
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { readResult, runCli, SMALL, startCli, startCoordinator } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/folder.ts';

const run = ['--model', 'dense', '--epochs', '1', ...SMALL];

/** A port that a program listens on. */
async function busyPort(): Promise<number> {
  const other = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void other.close());
  await once(other, 'listening');
  return (other.address() as { port: number }).port;
}

/** Exit 2, this one line, and nothing in the folder that was not there before. */
async function expectNothingLeft(args: readonly string[], message: string, folder = temporaryFolder()): Promise<void> {
  const before = readdirSync(folder);
  const { code, output } = await runCli([...args, ...run], { GRADSOCK_RUN_DIR: join(folder, 'runs', 'mine') });
  expect(output.split('\n')).toEqual([expect.stringContaining(`error: ${message}`)]);
  expect(code).toBe(2);
  expect(readdirSync(folder)).toEqual(before);
}

describe('before a process is started or a folder made', () => {
  test.each<[string[], string]>([
    [['train', '--engine', 'pytorch'], '--engine pytorch: no such engine; use auto, native, onnx, tfjs, reference'],
    [['baseline', '--engine', 'pytorch'], '--engine pytorch: no such engine'],
    [['train', '--device', 'nowhere'], '--device nowhere: no engine has it'],
    [['train', '--engine', 'native', '--device', 'cuda'], '--device cuda: the native engine has cpu'],
    [['train', '--engine', 'tfjs', '--device', 'cuda'], '--device cuda: the tfjs engine runs on'],
    [['train', '--engine', 'onnx', '--device', 'tensorflow'], '--device tensorflow: the onnx engine runs on'],
    [['train', '--engine', 'reference', '--device', 'wasm'], '--device wasm: the reference engine runs on cpu only'],
    [['coordinator', '--listen', '*:7878'], '--listen *:7878: expected an address, got *: use 0.0.0.0:7878'],
    [['coordinator', '--listen', '192.0.2.1:0'], '--listen 192.0.2.1:0: this machine has no such address'],
    [
      ['coordinator', '--listen', '127.0.0.1:0', '--join-file', '/nowhere/join'],
      '--join-file /nowhere/join: cannot be',
    ],
    [
      ['coordinator', '--listen', '127.0.0.1:0', '--join-file', '/tmp'],
      '--join-file /tmp: cannot be written: it is a folder',
    ],
    [
      ['coordinator', '--tls-cert', '/nowhere', '--tls-key', '/nowhere'],
      '--tls-cert /nowhere: cannot be read: there is no such file',
    ],
  ])('%j is refused', expectNothingLeftOf);

  async function expectNothingLeftOf(args: string[], message: string): Promise<void> {
    await expectNothingLeft(args, message);
  }

  test('a run directory below a file is refused', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'runs'), 'a file');
    await expectNothingLeft(
      ['train'],
      `--run-dir ${join(folder, 'runs', 'mine')}: cannot be made: a part of the path is a file`,
      folder,
    );
  });

  test('a certificate that is none is refused', async () => {
    const folder = temporaryFolder();
    const file = join(folder, 'certificate.pem');
    writeFileSync(file, 'no certificate');
    const flags = ['--tls-cert', file, '--tls-key', file];
    await expectNothingLeft(
      ['coordinator', ...flags],
      `--tls-cert ${file} and --tls-key ${file}: no certificate`,
      folder,
    );
  });

  test('a busy port is refused, and the same command on another port works', async () => {
    const port = await busyPort();
    const runDir = join(temporaryFolder(), 'run');
    const command = ['coordinator', '--workers', '1', '--run-dir', runDir, ...run];
    const { code, output } = await runCli([...command, '--listen', `127.0.0.1:${port}`]);
    expect(output).toBe(
      `error: --listen 127.0.0.1:${port}: another program listens there: choose another port, or 0 for any free one`,
    );
    expect(code).toBe(2);
    expect(existsSync(runDir)).toBe(false);

    const { coordinator, url } = await startCoordinator(command.slice(1));
    expect((await runCli(['worker', url])).code).toBe(0);
    expect(await coordinator.exit, coordinator.output()).toBe(0);
  });
});

describe('a start that takes no step', () => {
  const command = ['coordinator', '--workers', '1', '--listen', '127.0.0.1:0', ...run];

  test('because nobody joins, or because it is killed, leaves no model, and the same command works again', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const again = [...command, '--run-dir', runDir];
    const first = await runCli([...again, '--join-timeout', '0.2']);
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

    const over = await runCli(again);
    expect(over.output).toBe(
      `error: --run-dir ${runDir}: holds a run already: choose another folder, or remove this one`,
    );
    expect(over.code).toBe(2);
  });

  test('as it was told by --max-steps 0 is a run, with the initial model', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const initial = ['train', '--workers', '1', '--max-steps', '0', '--run-dir', runDir, ...run];
    expect((await runCli(initial)).code).toBe(0);
    expect(existsSync(join(runDir, 'model.safetensors'))).toBe(true);
    expect((await runCli(initial)).output).toContain('holds a run already');
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
