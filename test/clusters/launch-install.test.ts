/** `gradsock launch --install` over a real sshd, to users with empty home folders, with npm and a registry on loopback. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { quoteWord } from '../../scripts/launch/shell-words.ts';
import { readResult, runCli, startCli } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/folder.ts';
import { startRegistry } from '../helpers/npm-registry.ts';
import type { Registry } from '../helpers/npm-registry.ts';
import { installedProgram } from '../helpers/program-copy.ts';
import { noSshd, startSshd } from '../helpers/sshd.ts';
import type { Sshd } from '../helpers/sshd.ts';

const obstacle = noSshd();
if (obstacle !== undefined) process.stderr.write(`skipped: gradsock launch --install: ${obstacle}\n`);

/** The engine that needs neither a compiler nor a package. */
const RUN = [
  ...['--model', 'dense', '--engine', 'reference', '--microbatches', '4', '--max-steps', '4'],
  ...['--train-samples', '1024', '--test-samples', '64'],
];

/** Five launches, and three installations by npm: a bound on hanging where two cores have much else to do. */
const TIMEOUT_MS = 400_000;

let sshd: Sshd;
let registry: Registry;

beforeAll(async () => {
  if (obstacle !== undefined) return;
  registry = await startRegistry();
  sshd = await startSshd(['alpha', 'beta'], { environment: { npm_config_registry: registry.url } });
});
afterAll(async () => {
  if (obstacle !== undefined) return;
  await sshd.stop();
  registry.close();
});

const programsOn = (name: string) => readdirSync(join(sshd.hosts[name]!.home, '.cache/gradsock/programs'));

test.skipIf(obstacle !== undefined)(
  'empty hosts get the program once, and train to the same parameters',
  async () => {
    const folder = temporaryFolder();
    const program = installedProgram();
    const launch = (...args: string[]) =>
      startCli(
        [
          'launch',
          '--install',
          '--ssh',
          `ssh -F ${quoteWord(sshd.config)}`,
          '--listen',
          '127.0.0.1:0',
          ...RUN,
          ...args,
        ],
        {},
        program,
      );
    const [local, killed] = [
      await runCli(['train', '--workers', '2', ...RUN, '--run-dir', join(folder, 'local')]),
      launch('--hosts', 'alpha', '--run-dir', join(folder, 'killed')),
    ];
    expect(local.code, local.output).toBe(0);
    await killed.line(/^alpha: installing gradsock/);
    killed.kill('SIGKILL');
    await killed.exit;

    const [first, second] = [
      launch('--hosts', 'alpha,beta', '--run-dir', join(folder, 'first')),
      launch('--hosts', 'beta:2', '--run-dir', join(folder, 'second')),
    ];
    expect([await first.exit, await second.exit], `${first.output()}\n${second.output()}`).toEqual([0, 0]);
    for (const run of ['first', 'second']) {
      expect(readResult(join(folder, run)).parametersSha256).toBe(readResult(join(folder, 'local')).parametersSha256);
    }
    expect(programsOn('alpha')).toHaveLength(1);
    expect(programsOn('beta')).toEqual(programsOn('alpha'));
    const said = `${first.output()}\n${second.output()}`;
    expect(said.match(/^alpha: installing gradsock \d/gm)).toHaveLength(1);
    expect(said.match(/^beta: installing gradsock \d/gm)).toHaveLength(1);

    const numFetched = registry.numFetched();
    const again = launch('--hosts', 'alpha,beta', '--run-dir', join(folder, 'again'));
    expect(await again.exit, again.output()).toBe(0);
    expect(again.output()).not.toContain('installing');
    expect(registry.numFetched()).toBe(numFetched);
  },
  TIMEOUT_MS,
);
