import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { listNamespaces, namespacesProblem } from '../../../scripts/emulate/namespaces.ts';
import { allGone, childrenOf, startCli } from '../../helpers/cli.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

const PROGRAM = fileURLToPath(new URL('../../../scripts/chaos.ts', import.meta.url));
const LINKS_ALONE = ['--kills', '0', '--stops', '0', '--coordinator-kills', '0', '--model', 'dense', '--workers', '2'];

const problem = namespacesProblem();

const startChaos = (args: string[], env: Record<string, string> = {}) =>
  startCli(['tsx', PROGRAM, ...LINKS_ALONE, ...args], env, '--import');

/** Whether a port of the switch, in the network of this process, has no bridge. */
function isALinkCut(pid: number): boolean {
  const switchName = listNamespaces().find((name) => new RegExp(`^gradsock-${pid}-\\d+-switch$`).test(name));
  if (switchName === undefined) return false;
  const { stdout } = spawnSync('ip', ['-netns', switchName, '-oneline', 'link', 'show', 'up'], { encoding: 'utf8' });
  return stdout.split('\n').some((line) => /: port[12]@/.test(line) && !line.includes(' master '));
}

describe('npm run chaos', () => {
  it.skipIf(problem !== undefined)(
    `ends with a quiet run's parameters when links are cut and delayed (${problem ?? 'in namespaces, which are here'})`,
    async () => {
      const cli = startChaos(['--epochs', '3', '--cuts', '1', '--delays', '1', '--interval', '0.1']);
      expect(await cli.exit, cli.output()).toBe(0);
      const row = (name: string) => {
        const cells = new RegExp(`^\\| ${name} +\\|.*$`, 'm').exec(cli.output())![0].split(/ *\| */);
        const [, , deeds, parameters, samples] = cells;
        return { deeds, parameters, samples };
      };
      const { parameters } = row('quiet');
      expect(row('links cut and delayed')).toEqual({
        deeds: expect.stringMatching(/^1 times (cut|delay) a link, 1 times (cut|delay) a link$/),
        parameters,
        samples: '60000',
      });
      expect(listNamespaces().join()).not.toContain(`gradsock-${cli.pid}-`);
    },
  );

  it('without `ip`, says so in a line and leaves that run out', async () => {
    const cli = startChaos(['--epochs', '1', '--cuts', '1'], { PATH: '/nonexistent' });
    expect(await cli.exit, cli.output()).toBe(0);
    expect(cli.output()).toMatch(/^links cut and delayed: left out: .*(root|`ip` is missing|Linux)/m);
    expect(cli.output()).not.toMatch(/^\| links/m);
  });

  it.skipIf(problem !== undefined)(
    `interrupted while links are cut, leaves no namespace, process or folder (${problem ?? 'in namespaces'})`,
    async () => {
      const folder = temporaryFolder();
      const cli = startChaos(['--epochs', '2', '--cuts', '1000', '--interval', '0.1'], { TMPDIR: folder });
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
