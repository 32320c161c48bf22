import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ConfigError } from '../../protocol/errors.ts';
import { parseLink, UNLIMITED } from '../../scripts/network/link.ts';
import {
  createNamespaceNetwork,
  leftoverNamespaces,
  listNamespaces,
  namespacesProblem,
  removeNamespaces,
} from '../../scripts/network/namespaces.ts';
import type { NetworkHost } from '../../scripts/network/namespaces.ts';

const problem = namespacesProblem();
const own = () => listNamespaces().filter((name) => name.startsWith(`gradsock-${process.pid}-`));

/**
 * Takes what one connection sends; prints its port, then what it got and in how many milliseconds since the sender began,
 * which the first bytes tell: both ends read the machine's monotonic clock.
 */
const SINK = `
  const server = require('node:net').createServer((socket) => {
    let numBytes = 0, text = '';
    socket.on('data', (bytes) => { numBytes += bytes.length; if (text.length < 20) text += bytes.toString('latin1'); });
    socket.on('end', () => {
      const ms = Number(process.hrtime.bigint() - BigInt(text.slice(0, 20))) / 1e6;
      console.log(JSON.stringify({ numBytes, ms }));
      process.exit();
    });
  });
  server.listen(0, process.argv[1], () => console.log(server.address().port));`;
const SOURCE = `
  const bytes = Buffer.alloc(Number(process.argv[3]), 1);
  bytes.write(String(process.hrtime.bigint()).padStart(20, '0'));
  require('node:net').connect(process.argv[2], process.argv[1]).end(bytes);`;

/** Echoes what connections send; prints its port. */
const ECHO = `
  const server = require('node:net').createServer((socket) => socket.on('error', () => {}).pipe(socket));
  server.listen(0, process.argv[1], () => console.log(server.address().port));`;
/** Sends "a" for every line it is told; prints what comes back, and "silence" when that has not come for 0.5 s. */
const TALKER = `
  const socket = require('node:net').connect(process.argv[2], process.argv[1], () => console.log('connected'));
  process.stdin.on('data', () => { socket.write('a'); socket.setTimeout(500); });
  socket.on('data', (bytes) => { socket.setTimeout(0); console.log(String(bytes)); });
  socket.on('timeout', () => console.log('silence'));`;

/** A Node program in a namespace, ended with the test. */
function startIn({ namespace }: NetworkHost, program: string, ...args: string[]) {
  const command = ['netns', 'exec', namespace, process.execPath, '-e', program, ...args];
  const child = spawn('ip', command, { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

describe.skipIf(problem !== undefined)(`a network of namespaces${problem === undefined ? '' : ` (${problem})`}`, () => {
  it('carries bytes between two hosts, no faster than its links', async () => {
    const network = createNamespaceNetwork({ numHosts: 1, link: parseLink('80mbit/0ms'), delayByNetem: false });
    onTestFinished(() => network.remove());
    const { hub, hosts } = network;
    const sink = startIn(hub, SINK, hub.address);
    const lines = createInterface({ input: sink.stdout })[Symbol.asyncIterator]();
    const port = (await lines.next()).value as string;
    startIn(hosts[0]!, SOURCE, hub.address, port, '1000000');
    const { numBytes, ms } = JSON.parse((await lines.next()).value as string) as { numBytes: number; ms: number };
    expect(numBytes).toBe(1_000_000);
    // 80 Mbit/s are 10,000 bytes a millisecond; a bucket of 32 KiB passes at once at each of the two devices.
    expect(ms).toBeGreaterThan((1_000_000 - 2 * 32_768) / 10_000);
  });

  it('has links that can be cut without a word, and mended before a connection across them breaks', async () => {
    const network = createNamespaceNetwork({ numHosts: 1, link: UNLIMITED, delayByNetem: false });
    onTestFinished(() => network.remove());
    const { hub, hosts } = network;
    const linesOf = (child: ReturnType<typeof startIn>) => {
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      return async () => (await lines.next()).value as string;
    };
    const port = await linesOf(startIn(hub, ECHO, hub.address))();
    const talker = startIn(hosts[0]!, TALKER, hub.address, port);
    const next = linesOf(talker);
    /** Both programs may have had no turn for longer than 0.5 s. */
    const nextBytes = async () => {
      for (;;) {
        const line = await next();
        if (line !== 'silence') return line;
      }
    };
    expect(await next()).toBe('connected');
    talker.stdin.write('\n');
    expect(await nextBytes()).toBe('a');
    hosts[0]!.link.cut();
    talker.stdin.write('\n');
    expect(await next()).toBe('silence');
    hosts[0]!.link.mend();
    expect(await nextBytes()).toBe('a');
  });

  it('has links whose rate can be changed, and changed back', () => {
    const network = createNamespaceNetwork({ numHosts: 1, link: UNLIMITED, delayByNetem: false });
    onTestFinished(() => network.remove());
    const { namespace, link } = network.hosts[0]!;
    const shown = () => spawnSync('tc', ['-netns', namespace, 'qdisc', 'show', 'dev', 'link0'], { encoding: 'utf8' });
    for (const rate of ['1mbit', '8mbit']) {
      link.shape(parseLink(`${rate}/0ms`));
      expect(shown().stdout.toLowerCase()).toContain(`rate ${rate}`);
    }
    link.shape(UNLIMITED);
    expect(shown().stdout).not.toContain('tbf');
  });

  it('is wholly gone once removed, and removing it again does no harm', () => {
    const network = createNamespaceNetwork({ numHosts: 2, link: parseLink('1gbit/0ms'), delayByNetem: false });
    expect(own()).toHaveLength(4);
    expect(network.hosts).toHaveLength(2);
    network.remove();
    expect(own()).toEqual([]);
    network.remove();
  });

  it('leaves nothing behind when it cannot be made, and says what could not', () => {
    const link = { bitsPerSecond: 1, roundTripMs: NaN };
    expect(() => createNamespaceNetwork({ numHosts: 1, link, delayByNetem: true })).toThrow(ConfigError);
    expect(() => createNamespaceNetwork({ numHosts: 1, link, delayByNetem: true })).toThrow(/^tc -netns gradsock-/);
    expect(own()).toEqual([]);
  });

  it('of a process that was killed is a leftover; of one that lives it is none', async () => {
    const gone = spawn(process.execPath, ['-e', '']);
    await once(gone, 'close');
    const names = [`gradsock-${gone.pid!}-1-hub`, `gradsock-${process.pid}-900-host1`, 'gradsock-of-somebody-else'];
    onTestFinished(() => removeNamespaces(names));
    for (const name of names) expect(spawnSync('ip', ['netns', 'add', name]).status).toBe(0);
    expect(leftoverNamespaces()).toContain(names[0]);
    expect(leftoverNamespaces()).not.toContain(names[1]);
    expect(leftoverNamespaces()).not.toContain(names[2]);
    removeNamespaces(names);
    expect(listNamespaces()).not.toContain(names[0]);
  });
});
