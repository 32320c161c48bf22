import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { listNamespaces, namespacesProblem } from '../../../scripts/network/namespaces.ts';
import { allGone, childrenOf, startCli } from '../../helpers/cli.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

const PROGRAM = fileURLToPath(new URL('../../../scripts/bench/network.ts', import.meta.url));
const SMALL = ['--models', 'conv-pool', '--workers', '2', '--wires', 'f32', '--steps', '3', '--seconds', '0.1'];

const problem = namespacesProblem();

const startEmulate = (args: string[], env: Record<string, string> = {}) =>
  startCli(['tsx', PROGRAM, ...args], env, '--import');

describe('npm run emulate', () => {
  it.skipIf(problem !== undefined)(`trains across hosts in namespaces (${problem ?? 'which are here'})`, async () => {
    const cli = startEmulate([...SMALL, '--links', '100mbit/20ms']);
    expect(await cli.exit, cli.output()).toBe(0);
    expect(cli.output()).toContain('emulated hosts in network namespaces: rate by tbf');
    const cells = /^\| conv-pool +\| +2 \| 100 Mbit\/s, 20 ms \| f32 +\|.*$/m.exec(cli.output())![0].split(/ *\| */);
    // Two gradients of 244 kB over one link of 12.5 kB a millisecond, then a round trip: no less, however they overlap.
    expect(Number(cells[5])).toBeGreaterThan((2 * 244) / 12.5 + 20);
    expect(Number(cells[11])).toBeGreaterThanOrEqual(244);
  });

  it('without `ip`, says so, trains over loopback, and predicts 64 and 1,000 workers', async () => {
    const cli = startEmulate([...SMALL, '--markdown'], { PATH: '/nonexistent' });
    expect(await cli.exit, cli.output()).toBe(0);
    expect(cli.output()).toMatch(/no emulated links, everything over loopback: .*(root|`ip` is missing|Linux)/);
    expect(cli.output()).toMatch(/^\| conv-pool +\| +2 \| no limit \| f32 +\|/m);
    expect(cli.output().match(/^\| conv-pool \| (f32|bf16|int8) .* (64|1000) \|.*% \| (star|ring)/gm)).toHaveLength(18);
    expect(cli.output()).toMatch(/^\| with cores of their own \| int8 \|/m);
  });

  it('interrupted in the middle of a run, leaves no namespace, process or folder', async () => {
    const folder = temporaryFolder();
    const cli = startEmulate([...SMALL, '--steps', '200'], { TMPDIR: folder });
    await cli.line(/^calibration, 2 hosts/);
    while (childrenOf(cli.pid).length < 3) await delay(20);
    const processes = childrenOf(cli.pid);
    expect(readdirSync(folder).filter((name) => name.startsWith('gradsock-'))).not.toEqual([]);
    cli.killGroup('SIGINT');
    expect(await cli.exit, cli.output()).toBe(130);
    await allGone(processes);
    expect(readdirSync(folder).filter((name) => name.startsWith('gradsock-'))).toEqual([]);
    if (problem === undefined) expect(listNamespaces().join()).not.toContain(`gradsock-${cli.pid}-`);
  });

  it.each([
    [['--steps', '60'], '--steps 60: 8 workers with 128 samples each see all 60000 in 58 steps: use at most 58'],
    [['--workers', '1'], '--workers 1: expected 2 or more'],
    [['--links', '1gbit'], '--links 1gbit: expected a rate and a round trip'],
    [['--wires', 'f64'], '--wires f64: expected some of f32,bf16'],
    [['--models', 'resnet'], '--model resnet: expected '],
  ])('%j is refused', async (args, message) => {
    const cli = startEmulate(args);
    expect(await cli.exit, cli.output()).toBe(2);
    expect(cli.output()).toContain(`error: ${message}`);
  });
});
