import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { listNamespaces, namespacesProblem } from '../../../scripts/network/namespaces.ts';
import { allGone, childrenOf, startCli } from '../../helpers/cli.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

const PROGRAM = fileURLToPath(new URL('../../../scripts/bench/chaos.ts', import.meta.url));
const SMALL = ['--model', 'dense', '--coordinator-kills', '0', '--interval', '0.1'];
const LINKS_ALONE = [...SMALL, '--workers', '2', '--kills', '0', '--stops', '0'];
const WORKERS_ALONE = [...SMALL, '--workers', '1', '--cuts', '0', '--delays', '0'];

const problem = namespacesProblem();

const startChaos = (args: string[], env: Record<string, string> = {}) =>
  startCli(['tsx', PROGRAM, ...args], env, '--import');

/** Of the table, a run's. */
function rowOf(output: string, name: string) {
  const cells = new RegExp(`^\\| ${name} +\\|.*$`, 'm').exec(output)![0].split(/ *\| */);
  const [, , deeds, membersMet, parameters, samples] = cells;
  return { deeds, membersMet, parameters, samples };
}

/** Whether a port of the switch, in the network of this process, has no bridge. */
function isALinkCut(pid: number): boolean {
  const switchName = listNamespaces().find((name) => new RegExp(`^gradsock-${pid}-\\d+-switch$`).test(name));
  if (switchName === undefined) return false;
  const { stdout } = spawnSync('ip', ['-netns', switchName, '-oneline', 'link', 'show', 'up'], { encoding: 'utf8' });
  return stdout.split('\n').some((line) => /: port[12]@/.test(line) && !line.includes(' master '));
}

describe('npm run chaos', () => {
  it('kills a worker that was started again when it is a member again', async () => {
    const cli = startChaos([...WORKERS_ALONE, '--epochs', '3', '--kills', '3', '--stops', '0']);
    expect(await cli.exit, cli.output()).toBe(0);
    const { parameters } = rowOf(cli.output(), 'quiet');
    expect(rowOf(cli.output(), 'workers killed and stopped')).toEqual({
      deeds: '3 times kill a worker',
      membersMet: '3 of 3',
      parameters,
      samples: '60000',
    });
  });

  it.skipIf(problem !== undefined)(
    `ends with a quiet run's parameters when links are cut and delayed (${problem ?? 'in namespaces, which are here'})`,
    async () => {
      const cli = startChaos([...LINKS_ALONE, '--epochs', '3', '--cuts', '1', '--delays', '1']);
      expect(await cli.exit, cli.output()).toBe(0);
      const { parameters } = rowOf(cli.output(), 'quiet');
      expect(rowOf(cli.output(), 'links cut and delayed')).toEqual({
        deeds: expect.stringMatching(/^1 time (cut|delay) a link, 1 time (cut|delay) a link$/),
        membersMet: '-',
        parameters,
        samples: '60000',
      });
      expect(listNamespaces().join()).not.toContain(`gradsock-${cli.pid}-`);
    },
  );

  it('without `ip`, says so in a line and leaves that run out', async () => {
    const cli = startChaos([...LINKS_ALONE, '--epochs', '1', '--cuts', '1'], { PATH: '/nonexistent' });
    expect(await cli.exit, cli.output()).toBe(0);
    expect(cli.output()).toMatch(/^links cut and delayed: left out: .*(root|`ip` is missing|Linux)/m);
    expect(cli.output()).not.toMatch(/^\| links/m);
  });

  it.skipIf(problem !== undefined)(
    `interrupted while links are cut, leaves no namespace, process or folder (${problem ?? 'in namespaces'})`,
    async () => {
      const folder = temporaryFolder();
      const cli = startChaos([...LINKS_ALONE, '--epochs', '2', '--cuts', '1000'], { TMPDIR: folder });
      await cli.line(/^quiet: done/);
      while (!isALinkCut(cli.pid)) await delay(50);
      const processes = childrenOf(cli.pid);
      cli.killGroup('SIGINT');
      expect(await cli.exit, cli.output()).toBe(130);
      await allGone(processes);
      expect(readdirSync(folder).filter((name) => name.startsWith('gradsock-'))).toEqual([]);
      expect(listNamespaces().join()).not.toContain(`gradsock-${cli.pid}-`);
    },
  );
});
