/** `gradsock scale` on emulated hosts: the built program, real namespaces and links. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { leftoverNamespaces, listNamespaces } from '../../scripts/network/namespaces.ts';
import { readRecord } from '../../scripts/scale/record.ts';
import { allGone, childrenOf, runCli, startCli } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/folder.ts';
import { quoteWord } from '../../scripts/launch/shell-words.ts';
import { noSshd, startSshd } from '../helpers/sshd.ts';
import { expectNoNamespacesOf, hasNoNamespaces } from '../helpers/network-namespaces.ts';

const SMALL = ['--model', 'conv-pool', '--scaling', 'strong', '--steps', '4', '--epochs', '2', '--repeat', '1'];
const start = (output: string, ...more: string[]) =>
  startCli([
    'scale',
    ...SMALL,
    '--workers-list',
    '1,2',
    '--emulate',
    '1gbit,2ms',
    '--output',
    output,
    '--all-reduce',
    'star',
    ...more,
  ]);
const namespacesOf = (pid: number) => listNamespaces().filter((name) => name.startsWith(`gradsock-${pid}-`));

/** Coordinator, relay where there is one, and worker of a run that has begun: at least two. */
async function processesOf(pid: number): Promise<number[]> {
  while (namespacesOf(pid).length < 3 || childrenOf(pid).length < 2) await delay(20);
  return childrenOf(pid);
}

describe.skipIf(hasNoNamespaces)('scaling on emulated hosts', () => {
  it('has a row for 1 and 2 workers with equal parameters, and leaves nothing but its folder', async () => {
    const output = join(temporaryFolder(), 'scale');
    const before = readdirSync(tmpdir());
    const cli = start(output);
    expect([await cli.exit, cli.output()]).toEqual([0, expect.any(String)]);
    expect(cli.output()).toMatch(/^strong +1 +[\d,]+ +1\.00 +100 % /m);
    expect(cli.output()).toMatch(/^strong +2 +[\d,]+ /m);
    expect(cli.output()).toContain('equal parameters after all 2 numbers of workers');
    const { runs, place } = readRecord(join(output, 'scale.json'));
    expect(runs.map(({ numWorkers, allReduce }) => [numWorkers, allReduce])).toEqual([1, 2].map((n) => [n, 'star']));
    expect(new Set(runs.map(({ parametersSha256 }) => parametersSha256)).size).toBe(1);
    expect(place.link).toEqual({ bitsPerSecond: 1e9, roundTripMs: 2 });
    // What went over the links: a gradient and an average for each worker.
    for (const { numWorkers, epochs } of runs) expect(epochs[0]!.bytesSent).toBeGreaterThan(numWorkers * 2 * 240_000);
    for (const name of ['scale.csv', 'scale.md', 'scale.svg', 'scale.png']) {
      expect(existsSync(join(output, name))).toBe(true);
    }
    expect(readFileSync(join(output, 'scale.svg'), 'utf8')).toContain('strong, measured');
    expectNoNamespacesOf(cli.pid);
    const own = (name: string) => /^gradsock-(run|data)-/.test(name) && !before.includes(name);
    expect(readdirSync(tmpdir()).filter(own)).toEqual([]);
  });

  it('takes everything down on Ctrl-C, and says what it has', async () => {
    const cli = start(join(temporaryFolder(), 'scale'), '--steps', '200', '--epochs', '200');
    const children = await processesOf(cli.pid);
    cli.killGroup('SIGINT');
    expect(await cli.exit).toBe(130);
    expect(cli.output()).toContain('interrupted: taking everything down');
    await allGone(children);
    expectNoNamespacesOf(cli.pid);
  });

  it('removes what one left behind that was killed', async () => {
    const killed = start(join(temporaryFolder(), 'scale'), '--steps', '200', '--epochs', '200');
    const children = await processesOf(killed.pid);
    killed.kill('SIGKILL');
    await killed.exit;
    // Their channel ends with it.
    await allGone(children);
    expect(leftoverNamespaces()).not.toEqual([]);
    const cli = start(join(temporaryFolder(), 'scale'));
    await cli.line(/^removed network namespaces that a killed process left behind: gradsock-/);
    cli.kill('SIGINT');
    await cli.exit;
    expectNoNamespacesOf(cli.pid);
  });
});

const noHosts = noSshd();
if (noHosts !== undefined) process.stderr.write(`skipped: gradsock scale over ssh: ${noHosts}\n`);

it.skipIf(noHosts !== undefined)('scaling over hosts has the parameters of any number of them', async () => {
  const sshd = await startSshd(['alpha', 'beta']);
  onTestFinished(() => sshd.stop());
  const output = join(temporaryFolder(), 'scale');
  const hosts = ['--hosts', 'alpha,beta', '--ssh', `ssh -F ${quoteWord(sshd.config)}`, '--listen', '127.0.0.1:0'];
  const { code, output: said } = await runCli(['scale', ...SMALL, ...hosts, '--output', output]);
  expect([code, said]).toEqual([0, expect.stringContaining('equal parameters after all 2 numbers of workers')]);
  expect(said).toMatch(/^strong +2 +[\d,]+ /m);
  expect(said).toMatch(/^on 2 hosts: alpha, beta; medians of/m);
  expect(said).not.toContain('per core');
  expect(readRecord(join(output, 'scale.json')).runs.map(({ numWorkers }) => numWorkers)).toEqual([1, 2]);
});
