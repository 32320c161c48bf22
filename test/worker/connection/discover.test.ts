/** Coordinators that announce themselves and are found: real mDNS packets, on a port of this test's own. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { announceService } from '../../../coordinator/server/announce-service.ts';
import { readAnnouncement, textOf } from '../../../protocol/wire/discovery.ts';
import { discover } from '../../../worker/connection/discover.ts';
import type { DiscoverOptions } from '../../../worker/connection/discover.ts';

const GROUP = '224.0.0.251';
const URLS = ['ws://192.0.2.10:7878', 'ws://[2001:db8::10]:7878'];

let hasMulticast = false;

/** Whether a packet to a group comes back to this machine. */
beforeAll(async () => {
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  try {
    socket.bind(0);
    await once(socket, 'listening');
    socket.addMembership(GROUP, '127.0.0.1');
    socket.setMulticastInterface('127.0.0.1');
    const heard = once(socket, 'message', { signal: AbortSignal.timeout(2000) });
    socket.send('x', socket.address().port, GROUP);
    await heard;
    hasMulticast = true;
  } catch {
    process.stderr.write('discovery by mDNS is not tested: no multicast here\n');
  } finally {
    socket.close();
  }
});

async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0);
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}

/** A network of its own: other tests, and other machines, use other ports. */
async function network() {
  const multicast = { port: await freePort(), interface: '127.0.0.1', bind: '0.0.0.0', ip: GROUP };
  const warned: string[] = [];
  return {
    warned,
    announce: async (name: string, urls = URLS) => {
      const warn = (line: string) => warned.push(line);
      const service = await announceService({ name, port: 7878, urls, version: '1.2.3', warn, multicast });
      onTestFinished(() => service.stop());
      return service;
    },
    find: (options: Partial<DiscoverOptions> = {}) =>
      discover({ name: undefined, patienceMs: 20_000, settleMs: 100, say: () => {}, multicast, ...options }),
  };
}

describe('a coordinator that is announced', () => {
  test('is found by a worker that was there before it, with all of its URLs', async (context) => {
    if (!hasMulticast) return context.skip();
    const { announce, find, warned } = await network();
    const finding = find({ name: 'exam.run' });
    await announce('exam.run');
    expect(await finding).toEqual({ name: 'exam-run', urls: URLS, version: '1.2.3' });
    expect(warned).toEqual([]);
  });

  test('is found without a name where it is the only one; of several the names are listed', async (context) => {
    if (!hasMulticast) return context.skip();
    const { announce, find } = await network();
    await announce('one');
    expect(await find()).toMatchObject({ name: 'one' });
    await announce('two');
    const refusal = find({ settleMs: 500 });
    await expect(refusal).rejects.toThrow('expected one coordinator, found several: name one by --discover NAME');
    await expect(refusal).rejects.toThrow(/^ {2}one {2}ws:\/\/192\.0\.2\.10:7878 {2}gradsock 1\.2\.3$/m);
    await expect(refusal).rejects.toThrow(/^ {2}two /m);
  });

  test('is not waited for without end', async (context) => {
    if (!hasMulticast) return context.skip();
    const { announce, find } = await network();
    await announce('other');
    await expect(find({ name: 'mine', patienceMs: 1500 })).rejects.toThrow(
      'the coordinator mine was not found within 1.5 s, only other: start the coordinator with --discover',
    );
  });
});

describe('what is announced', () => {
  test('is URLs without a token and a version, in fields that a TXT record can hold', () => {
    const long = `ws://${'a'.repeat(300)}:1`;
    expect(textOf({ urls: [URLS[0]!, long, URLS[1]!], version: '1.2.3' })).toEqual({
      version: '1.2.3',
      url1: URLS[0],
      url2: URLS[1],
    });
  });

  test('by anyone is read as text that can be shown, and only URLs of WebSockets', () => {
    const text = { version: 'x\u001b[2J', url1: 'http://a', url2: 'ws://b:1', url3: 'ws://c:1/#TOKEN', url4: 7 };
    expect(readAnnouncement('n\nm', text)).toEqual({ name: 'n m', urls: ['ws://b:1'], version: 'x [2J' });
    expect(readAnnouncement('nobody', { version: '1' })).toBeUndefined();
  });
});
