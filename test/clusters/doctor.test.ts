/** `gradsock doctor` across a network of namespaces: a firewall that drops, and a link that is too slow. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createNamespaceNetwork, namespacesProblem } from '../../scripts/network/namespaces.ts';
import type { NamespaceNetwork } from '../../scripts/network/namespaces.ts';
import type { Check } from '../../scripts/doctor/check.ts';
import { PROGRAM, SMALL, startCommand } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/folder.ts';

const problem = namespacesProblem();
if (problem !== undefined) process.stderr.write(`doctor across namespaces is not tested: ${problem}\n`);

const within = (namespace: string, args: readonly string[]) =>
  startCommand(['ip', 'netns', 'exec', namespace, process.execPath, PROGRAM, ...args], process.env);

function makeNetwork(bitsPerSecond: number): NamespaceNetwork & { readonly host: NamespaceNetwork['hub'] } {
  const link = { bitsPerSecond, roundTripMs: 0 };
  const network = createNamespaceNetwork({ numHosts: 1, link, delayByNetem: false });
  onTestFinished(() => network.remove());
  return { ...network, host: network.hosts[0]! };
}

/** A coordinator at the hub that waits for a worker; its URL with the token, and the file that holds it. */
async function startRun({ hub }: NamespaceNetwork) {
  const folder = temporaryFolder();
  const joinFile = join(folder, 'join');
  const files = ['--join-file', joinFile, '--run-dir', join(folder, 'run')];
  const run = ['--workers', '1', '--model', 'conv-pool', '--listen', `${hub.address}:7878`, ...SMALL, ...files];
  const coordinator = within(hub.namespace, ['coordinator', ...run]);
  await coordinator.line(/^ {2}npx gradsock worker ws:/);
  expect(readFileSync(joinFile, 'utf8')).toContain(`ws://${hub.address}:7878/#`);
  return { coordinator, joinFile };
}

async function examine(namespace: string, args: readonly string[]) {
  const doctor = within(namespace, ['doctor', '--json', ...args]);
  const code = await doctor.exit;
  const { checks } = JSON.parse(doctor.output()) as { checks: Check[] };
  return { code, named: (name: string) => checks.find((check) => check.name === name), checks };
}

describe.skipIf(problem !== undefined)('a doctor in another namespace', () => {
  test('finds nothing in the way of a good link, then a firewall that drops, which costs it seconds', async ({
    skip,
  }) => {
    const network = makeNetwork(1e9);
    const { hub, host } = network;
    const { joinFile } = await startRun(network);
    const good = await examine(host.namespace, ['--join-file', joinFile]);
    expect(good.code, JSON.stringify(good.checks, undefined, 1)).toBe(0);
    expect(good.named('bandwidth')?.figures?.upBytesPerSecond).toBeLessThan(1.2e9 / 8);

    const rules =
      'add table inet t; add chain inet t c { type filter hook input priority 0; }; add rule inet t c tcp dport 7878 drop';
    const { status } = spawnSync('ip', ['netns', 'exec', hub.namespace, 'nft', '-f', '-'], {
      input: rules.replaceAll('; add', '\nadd'),
    });
    if (status !== 0) return skip('nft cannot be used here');
    const startMs = performance.now();
    const dropped = await examine(host.namespace, ['--join-file', joinFile]);
    expect(dropped.code).toBe(1);
    expect(dropped.named('port')).toMatchObject({
      mark: 'fail',
      text: `${hub.address}:7878 does not answer (no answer within 5 s)`,
      cure: expect.stringContaining('a firewall may drop packets'),
    });
    expect(performance.now() - startMs).toBeLessThan(60_000);
  });

  test('says that a step over 64 kbit/s takes longer than a coordinator waits', async () => {
    const network = makeNetwork(64_000);
    const { joinFile } = await startRun(network);
    const { code, named } = await examine(network.host.namespace, ['--join-file', joinFile]);
    expect(code).toBe(1);
    const { upBytesPerSecond, downBytesPerSecond } = named('bandwidth')!.figures as Record<string, number>;
    for (const rate of [upBytesPerSecond!, downBytesPerSecond!]) {
      expect(rate).toBeGreaterThan(4_000);
      expect(rate).toBeLessThan(12_000);
    }
    expect(named('step')).toMatchObject({ mark: 'fail', cure: expect.stringContaining('--step-timeout 60') });
  });
});

test('a doctor names an engine that is not here', async () => {
  const doctor = startCommand(
    [process.execPath, PROGRAM, 'doctor', '--engine', 'onnx', '--device', 'cuda:9'],
    process.env,
  );
  expect(await doctor.exit).toBe(1);
  expect(doctor.output()).toMatch(/^ {2}FAIL {2}engine +--engine onnx cannot be used: /m);
});
