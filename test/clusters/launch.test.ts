/** `gradsock launch` over a real sshd: users of this machine stand for hosts. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { childrenOf, readResult, runCli, SMALL, startCli } from '../helpers/cli.ts';
import type { Cli } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/folder.ts';
import { noSshd, startSshd } from '../helpers/sshd.ts';
import type { Sshd } from '../helpers/sshd.ts';
import { quoteWord } from '../../scripts/launch/shell-words.ts';
import { programNobodySees } from '../helpers/program-copy.ts';

const obstacle = noSshd();
if (obstacle !== undefined) process.stderr.write(`skipped: gradsock launch over sshd: ${obstacle}\n`);

const RUN = ['--model', 'dense', '--engine', 'native', '--microbatches', '4', ...SMALL];

let sshd: Sshd;
const known = new Map<number, Promise<string>>();

beforeAll(async () => {
  if (obstacle === undefined) sshd = await startSshd(['alpha', 'beta', 'gamma'], { closed: ['gamma'] });
});
afterAll(() => (obstacle === undefined ? sshd.stop() : undefined));

/** Parameters of a run with local workers: made once. */
function localSha(epochs: number): Promise<string> {
  const sha = known.get(epochs) ?? trainHere(epochs);
  known.set(epochs, sha);
  return sha;
}

async function trainHere(epochs: number): Promise<string> {
  const runDir = temporaryFolder();
  const local = await runCli(['train', '--workers', '2', ...RUN, '--epochs', String(epochs), '--run-dir', runDir]);
  expect(local.code, local.output).toBe(0);
  return readResult(runDir).parametersSha256;
}

/** Arguments of a launch over the test's sshd. */
const overSsh = (...args: string[]) => ['launch', '--ssh', `ssh -F ${quoteWord(sshd.config)}`, ...args];
const toLoopback = (...args: string[]) => overSsh('--listen', '127.0.0.1:0', ...args);

/** Resolves when nothing runs for these hosts' users any more. */
async function emptied(...names: string[]): Promise<void> {
  while (names.some((name) => sshd.processesOn(name).length > 0)) await delay(20);
}

/** Process ids of those whose command line has this word, of a list. */
const withWord = (pids: readonly number[], word: string) => pids.filter((pid) => commandOf(pid).includes(word));

function commandOf(pid: number | string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

const workersOn = (name: string) => withWord(sshd.processesOn(name), 'cli.js worker');

/** A launch that trains for long enough to be disturbed, past its first epoch. */
async function startLong(...args: string[]): Promise<{ run: Cli; runDir: string }> {
  const runDir = temporaryFolder();
  const run = startCli(toLoopback(...RUN, '--epochs', '30', '--run-dir', runDir, ...args));
  await run.line(/^epoch 1,/);
  return { run, runDir };
}

describe.skipIf(obstacle !== undefined)('gradsock launch', () => {
  test('has the parameters of a run with local workers, and leaves nothing on its hosts', async () => {
    const runDir = temporaryFolder();
    const run = await runCli(toLoopback('--hosts', 'alpha:2,beta', ...RUN, '--epochs', '3', '--run-dir', runDir));
    expect(run.code, run.output).toBe(0);
    expect(readResult(runDir).parametersSha256).toBe(await localSha(3));
    expect(run.output).toMatch(/^starting 3 workers on alpha \(2\), beta\njoining at ws:\/\/127\.0\.0\.1:\d+$/m);
    expect(run.output).toMatch(/^alpha-[12]: engine native on cpu/m);
    expect(run.output).not.toMatch(/joined run|: alpha-/);
    await emptied('alpha', 'beta');
  });

  test('has them through ssh, with no port open to others', async () => {
    const runDir = temporaryFolder();
    const args = ['--hosts', 'alpha,beta', '--tunnel', ...RUN, '--epochs', '3', '--run-dir', runDir];
    const run = await runCli(overSsh(...args));
    expect(run.code, run.output).toBe(0);
    expect(readResult(runDir).parametersSha256).toBe(await localSha(3));
    expect(run.output).toContain('\njoining through ssh\n');
    expect(run.output).toContain('all-reduce: star, because workers that join through ssh cannot reach each other');
  });

  test('has them when a worker is killed, and when a connection is', async () => {
    const { run, runDir } = await startLong('--hosts', 'alpha,beta');
    process.kill(workersOn('alpha')[0]!, 'SIGKILL');
    await run.line(/^alpha was ended by SIGKILL; it is started again$/);
    await run.line(/^alpha-1 \(w\d+\) takes part/);
    process.kill(withWord(childrenOf(run.pid), ' beta ')[0]!, 'SIGKILL');
    await run.line(/^beta: its connection was lost.*; it is started again$/);
    expect(await run.exit, run.output()).toBe(0);
    expect(readResult(runDir).parametersSha256).toBe(await localSha(30));
    await emptied('alpha', 'beta');
  });

  test('shows its token to nobody, and leaves no process on its hosts when it is killed', async () => {
    const { run, runDir } = await startLong('--hosts', 'alpha:2,beta');
    const token = readFileSync(join(runDir, 'token'), 'utf8').trim();
    const commands = readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(commandOf);
    expect(commands.filter((command) => command.includes('--end-with-stdin')).length).toBeGreaterThan(3);
    expect(commands.filter((command) => command.includes(token))).toEqual([]);
    run.kill('SIGKILL');
    await run.exit;
    await emptied('alpha', 'beta');
  });

  test('ends everywhere on Ctrl-C, with 130, and can be resumed', async () => {
    const { run, runDir } = await startLong('--hosts', 'alpha,beta');
    const startMs = performance.now();
    run.killGroup('SIGINT');
    expect(await run.exit, run.output()).toBe(130);
    await emptied('alpha', 'beta');
    expect(performance.now() - startMs).toBeLessThan(15_000);
    expect(readResult(runDir).status).toBe('interrupted');
    const resumed = await runCli(toLoopback('--hosts', 'alpha:2', '--engine', 'native', '--resume', runDir));
    expect(resumed.code, resumed.output).toBe(0);
    expect(readResult(runDir).parametersSha256).toBe(await localSha(30));
  });

  test('goes on without a host that cannot work, where it may begin with fewer', async () => {
    const runDir = temporaryFolder();
    const hosts = ['--hosts', 'alpha,alpha-with-wrong-key', '--min-workers', '1'];
    const run = await runCli(toLoopback(...hosts, ...RUN, '--epochs', '3', '--run-dir', runDir));
    expect(run.code, run.output).toBe(0);
    expect(readResult(runDir).parametersSha256).toBe(await localSha(3));
    expect(run.output).toMatch(/^alpha-with-wrong-key: cannot be reached.*; the run goes on with 1 worker$/m);
  });
});

describe.skipIf(obstacle !== undefined)('a host that cannot work is told last, with its cure', () => {
  test.each<[string, string[], RegExp]>([
    [
      'that refuses the key',
      ['--hosts', 'alpha,beta-with-wrong-key'],
      /^error: beta-with-wrong-key: cannot be reached by ssh \(exit code 255\): .*Permission denied.*: no key of yours.*`ssh-copy-id beta-with-wrong-key`/m,
    ],
    [
      'whose own key is not known',
      ['--hosts', 'alpha,beta-not-known'],
      /^error: beta-not-known: cannot be reached by ssh \(exit code 255\): Host key verification failed: .*run `ssh beta-not-known` once/m,
    ],
    [
      'that nobody knows',
      ['--hosts', 'alpha,nowhere.invalid'],
      /^error: nowhere\.invalid: cannot be reached by ssh \(exit code 255\): .*Could not resolve hostname.*: check the name/m,
    ],
    [
      'with another version',
      ['--hosts', 'beta', '--remote-command', 'echo 0.0.9;:'],
      /^error: beta: expected gradsock \d+\.\d+\.\d+, as here, got 0\.0\.9: --install brings it along/m,
    ],
    [
      'whose program does not start',
      ['--hosts', 'beta', '--remote-command', 'echo oh dear >&2; false'],
      /^error: beta: gradsock does not start there \(exit code 1\): oh dear: --install brings it along/m,
    ],
    [
      'whose engine is not there',
      ['--hosts', 'alpha', '--engine', 'abacus'],
      /^error: alpha exited with code 2: --engine abacus: no such engine/m,
    ],
    [
      'that forwards no ports',
      ['--hosts', 'gamma', '--tunnel'],
      /^error: gamma: its sshd forwards no ports, which --tunnel needs: set AllowTcpForwarding/m,
    ],
  ])('%s', async (_what, hosts, message) => {
    const runDir = temporaryFolder();
    const run = await runCli(overSsh(...RUN, '--epochs', '3', '--run-dir', runDir, ...hosts));
    expect(run.code, run.output).toBe(1);
    expect(run.output).toMatch(message);
    expect(readResult(runDir).status).toBe('failed');
    await emptied('alpha', 'beta', 'gamma');
  });

  test('that has no gradsock', async () => {
    const run = await runCli(
      toLoopback('--hosts', 'alpha', ...RUN, '--run-dir', temporaryFolder()),
      {},
      programNobodySees(),
    );
    expect(run.code, run.output).toBe(1);
    expect(run.output).toMatch(
      /^error: alpha: no gradsock is there \(exit code 127\): --install brings it along; or npm install -g gradsock@/m,
    );
  });
});
