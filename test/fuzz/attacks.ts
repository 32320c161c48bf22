/**
 * Attacks on the coordinator's port: what one hostile connection sends, generated, and what came of each input. Each
 * input is one HTTP request, one WebSocket frame, or one run of bytes that is neither.
 */
import fc from 'fast-check';
import { encodeFrame } from '../../protocol/wire/frame.ts';
import { SAMPLE_MESSAGES } from '../helpers/messages.ts';
import { frameInputsWithout, helloParts } from './frames.ts';
import type { FrameInput } from './frames.ts';
import { connectRaw, OPCODES, UPGRADE, webSocketFrame } from './raw-client.ts';
import type { RawClient } from './raw-client.ts';
import type { Tally } from './settings.ts';

/** Carries itself out on a new connection, and leaves none behind. */
export type Attack = (port: number, tally: Tally) => Promise<void>;

const { continuation, text, binary, close, ping, pong } = OPCODES;
const bytes = (maxLength: number) => fc.uint8Array({ maxLength });

/** Requests on one connection, answered one by one, the last one perhaps cut or broken. */
const requests = fc
  .tuple(
    fc.array(fc.constantFrom('GET /healthz', 'GET /', 'POST /', 'PUT /healthz', 'GET /' + 'x'.repeat(2000)), {
      minLength: 5,
      maxLength: 60,
    }),
    fc.constantFrom(
      'NONSENSE\r\n\r\n',
      'GET / HTTP/9.9\r\n\r\n',
      'GET / HTTP/1.1\r\nHost',
      `GET / HTTP/1.1\r\n${'x: y\r\n'.repeat(5000)}`,
    ),
    bytes(40),
  )
  .map(([lines, last, noise]): Attack => async (port, tally) => {
    const client = connectRaw(port);
    client.send(lines.map((line) => `${line} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''));
    await client.hears('HTTP', lines.length);
    for (const event of client.heard) tally.add(`request: ${event}`);
    const known = client.heard.length;
    client.send(last);
    client.send(noise);
    client.send('\r\n\r\n');
    client.socket.end();
    await client.ended;
    tally.add(`broken request: ${client.heard[known] ?? 'cut without an answer'}`);
  });

/** An upgrade that is cut, changed, or for something else. */
const upgrades = fc
  .tuple(
    fc.constantFrom('cut', 'change', 'drop line', 'double', 'version', 'method', 'key'),
    fc.nat(),
    fc.nat({ max: 255 }),
    fc.boolean(),
  )
  .map(([how, at, value, reset]): Attack => async (port, tally) => {
    const lines = UPGRADE.split('\r\n');
    const wrong = Buffer.from(
      {
        cut: UPGRADE.slice(0, at % UPGRADE.length),
        change: UPGRADE,
        'drop line': [...lines.slice(0, 1 + (at % 5)), ...lines.slice(2 + (at % 5))].join('\r\n'),
        double: `${UPGRADE}${UPGRADE}`,
        version: UPGRADE.replace('Version: 13', `Version: ${value}`),
        method: UPGRADE.replace('GET', 'POST'),
        key: UPGRADE.replace('dGhlIHNhbXBsZSBub25jZQ==', 'x'.repeat(value)),
      }[how],
    );
    if (how === 'change') wrong[at % wrong.length] = value;
    const client = connectRaw(port);
    client.send(wrong);
    if (reset) {
      await new Promise((resolve) => client.socket.once('connect', resolve));
      client.cut(true);
    } else {
      // Half of a request is answered when no more can come.
      client.socket.end();
    }
    await client.ended;
    tally.add(`upgrade: ${reset ? 'reset' : (client.heard.at(-1) ?? 'cut without an answer')}`);
  });

interface Ending {
  readonly what: string;
  readonly frames: readonly Buffer[];
}

/** What breaks RFC 6455, or gradsock's rule that messages are binary. */
const brokenFrames: fc.Arbitrary<Ending> = fc
  .tuple(
    bytes(100),
    fc.integer({ min: 1, max: 7 }),
    fc.constantFrom(3, 4, 5, 6, 7, 11, 12, 13, 14, 15),
    fc.nat({ max: 70_000 }),
  )
  .chain(([payload, reserved, opcode, length]) =>
    fc.constantFrom<Ending>(
      { what: 'unmasked', frames: [webSocketFrame(binary, payload, { masked: false })] },
      { what: 'reserved bits', frames: [webSocketFrame(binary, payload, { reserved })] },
      { what: 'no opcode', frames: [webSocketFrame(opcode, payload)] },
      { what: 'text', frames: [webSocketFrame(text, Buffer.from('hello'))] },
      { what: 'text', frames: [webSocketFrame(text, Buffer.from([0xff, 0xfe, ...payload]))] },
      { what: 'oversized', frames: [webSocketFrame(binary, payload, { length: 65_600 + length, lengthBits: 64 })] },
      { what: 'oversized', frames: [webSocketFrame(binary, payload, { length: 2 ** 40 + length, lengthBits: 64 })] },
      { what: 'oversized', frames: [webSocketFrame(binary, payload, { length: -1, lengthBits: 64 })] },
      { what: 'long ping', frames: [webSocketFrame(ping, Buffer.alloc(126 + (length % 1000)))] },
      { what: 'cut control', frames: [webSocketFrame(ping, payload, { fin: false })] },
      { what: 'continues nothing', frames: [webSocketFrame(continuation, payload)] },
      {
        what: 'begins twice',
        frames: [webSocketFrame(binary, payload, { fin: false }), webSocketFrame(binary, payload)],
      },
      { what: 'close of one byte', frames: [webSocketFrame(close, Buffer.alloc(1))] },
      { what: 'close with no code', frames: [webSocketFrame(close, Buffer.from([0, length % 256, 0xff]))] },
      { what: 'close', frames: [webSocketFrame(close, Buffer.from([3, 232]))] },
      {
        what: 'fragments beyond the limit',
        frames: [
          webSocketFrame(binary, Buffer.alloc(40_000), { fin: false }),
          webSocketFrame(continuation, Buffer.alloc(40_000), { fin: false }),
        ],
      },
    ),
  );

const asFrames = ({ what, parts }: FrameInput): Ending => ({
  what,
  frames: parts.map((part) => webSocketFrame(binary, part)),
});

/** Heads in fragments of 1 to 7 bytes. */
const inFragments = ({ what, parts: [head] }: FrameInput, size: number): Ending => {
  const all = head!.subarray(0, 400);
  const frames = [];
  for (let at = 0; at < all.length; at += size) {
    const options = { fin: at + size >= all.length };
    frames.push(webSocketFrame(at === 0 ? binary : continuation, all.subarray(at, at + size), options));
  }
  return { what, frames };
};

/** Results of steps that this connection was never asked for, and other messages of a worker in its run. */
const replays = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 5 }).map((steps): Ending => {
  const messages = steps.map((step) => ({ ...SAMPLE_MESSAGES.gradient, step }));
  const parts = messages.flatMap((message) => {
    const { head, payload } = encodeFrame(message);
    return [head, payload];
  });
  return { what: 'replayed gradients', frames: parts.map((part) => webSocketFrame(binary, part)) };
});

const hostileFrames = frameInputsWithout('ready');
const endings: fc.Arbitrary<Ending> = fc.oneof(
  brokenFrames,
  hostileFrames.map(asFrames),
  fc.tuple(hostileFrames, fc.integer({ min: 1, max: 7 })).map(([input, size]) => inFragments(input, size)),
  replays,
);

/**
 * A WebSocket: pongs and pings, which the server keeps up with, perhaps a hello, then something hostile, and bytes behind
 * it that must not matter.
 */
const webSockets = fc
  .tuple(
    fc.integer({ min: 0, max: 120 }),
    fc.integer({ min: 0, max: 40 }),
    fc.boolean(),
    endings,
    fc.constantFrom('wait', 'wait', 'wait', 'leave', 'reset'),
    bytes(30),
  )
  .map(([numPongs, numPings, saysHello, { what, frames }, end, behind]): Attack => async (port, tally) => {
    const client = connectRaw(port);
    client.send(UPGRADE);
    await client.hears('HTTP 101');
    tally.add('upgrade: HTTP 101');
    const pongs = Array.from({ length: numPongs }, (_, i) => webSocketFrame(pong, Buffer.alloc(i % 126, i)));
    const pings = Array.from({ length: numPings }, (_, i) => webSocketFrame(ping, Buffer.alloc(i % 126, i)));
    client.send(Buffer.concat([...pongs, ...pings]));
    await client.hears('pong', numPings);
    tally.add('pong: ignored', numPongs);
    tally.add('ping: answered', client.heard.filter((event) => event === 'pong').length);
    if (saysHello) {
      client.send(webSocketFrame(binary, helloParts()[0]!));
      await answerTo(client);
      const answer = client.heard.find((event) => event === 'welcome' || event.startsWith('ERR'));
      tally.add(`hello: ${answer ?? 'cut'}`);
      if (answer !== 'welcome') {
        tally.add('behind a hello that was refused: no matter', frames.length);
        for (const frame of frames) client.send(frame);
        client.cut(end === 'reset');
        await client.ended;
        return;
      }
    }
    const known = client.heard.length;
    for (const frame of frames) client.send(frame);
    if (end === 'wait') {
      // The server is through with all of it when it answers a ping, or has ended the connection.
      client.send(webSocketFrame(ping, Buffer.alloc(0)));
      await Promise.race([client.hears('close'), client.hears('pong', numPings + 1)]);
      // A code says more than the close behind it; a pong alone that the message was fit, or not complete.
      const answers = client.heard.slice(known);
      const answer = answers.find((event) => event.startsWith('ERR')) ?? answers.at(-1) ?? 'cut';
      tally.add(`${what}: ${answer === 'pong' ? 'more to come' : answer}`, frames.length);
      client.send(behind);
      tally.add('bytes behind it: no matter');
    } else {
      client.cut(end === 'reset');
      tally.add('anything, then gone or reset at once', frames.length);
    }
    client.cut(end === 'reset');
    await client.ended;
  });

/** The answer to a hello: a welcome, or the reason for none. */
const answerTo = (client: RawClient): Promise<void> => Promise.race([client.hears('welcome'), client.hears('ERR')]);

export const attacks: fc.Arbitrary<Attack> = fc.oneof(
  { arbitrary: requests, weight: 1 },
  { arbitrary: upgrades, weight: 2 },
  { arbitrary: webSockets, weight: 7 },
);
