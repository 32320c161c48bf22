/** Who is let in: real sockets, a membership with a token, and those who want to be members. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { createMembership } from '../../../coordinator/members/membership.ts';
import { ProtocolError } from '../../../protocol/errors.ts';
import { createNonce, createToken, proofOf } from '../../../protocol/wire/authentication.ts';
import { createAssembler } from '../../../protocol/wire/assembler.ts';
import { encodeFrame } from '../../../protocol/wire/frame.ts';
import { LIMITS } from '../../../protocol/wire/limits.ts';
import type { Message } from '../../../protocol/wire/messages.ts';
import { receiveKind } from '../../../protocol/wire/transport.ts';
import type { Transport } from '../../../protocol/wire/transport.ts';
import { connectToCoordinator } from '../../../worker/connection/client.ts';
import { joinRun } from '../../../worker/connection/join.ts';
import { SAMPLE_MESSAGES } from '../../helpers/messages.ts';
import { never, startTestServer } from '../../helpers/sockets.ts';

const SOON_MS = 20_000;
const TOKEN = createToken();

/** A membership behind a real server, and a way to connect to it; ended with the test. */
async function startMembership(token: string | undefined) {
  const logged: string[] = [];
  const refused: string[] = [];
  const membership = createMembership({
    welcome: SAMPLE_MESSAGES.welcome,
    token,
    log: (_, line, fields) => logged.push(`${line} ${JSON.stringify(fields)}`),
    onRefused: (code) => refused.push(code),
  });
  const server = await startTestServer((transport) => membership.admit(transport));
  onTestFinished(async () => {
    membership.dismiss('the test is over');
    await server.close();
  });
  return { membership, server, logged, refused, open: () => connectToCoordinator(server.joinUrl, never()) };
}

/** What a worker is sent until its connection ends, and the code of that end. */
async function everythingFrom(transport: Transport): Promise<{ kinds: string[]; code: string }> {
  const kinds: string[] = [];
  try {
    for (;;) kinds.push((await transport.receive(SOON_MS, 'the end')).kind);
  } catch {
    return { kinds, code: (await transport.closed).code };
  }
}

/** The worker's end of a connection, and what was sent on it. */
function recording(transport: Transport): { transport: Transport; sent: Message[] } {
  const sent: Message[] = [];
  return {
    sent,
    transport: {
      ...transport,
      send(message) {
        sent.push(message);
        transport.send(message);
      },
    },
  };
}

describe('a run with a token', () => {
  test('welcomes a worker that has it, and keeps it out of the log', async () => {
    const { membership, logged, open } = await startMembership(TOKEN);
    const transport = await open();
    expect(await joinRun(transport, 'honest', TOKEN)).toMatchObject({ kind: 'welcome', workerId: 'w1' });
    transport.send(SAMPLE_MESSAGES.ready);
    const [member] = await membership.waitForWorkers(1, SOON_MS, never());
    expect(member).toMatchObject({ name: 'honest' });
    expect(logged.join()).not.toContain(TOKEN);
  });

  test('tells a worker without a token how to get one, and nothing else', async () => {
    const { membership, open } = await startMembership(TOKEN);
    const transport = await open();
    await expect(joinRun(transport, 'bare', undefined)).rejects.toMatchObject({
      code: 'ERR_UNAUTHENTICATED',
      message: expect.stringContaining("give the worker the run's token: at its prompt"),
    });
    expect(membership.members).toEqual([]);
  });

  test('is left by a worker with another token, which sees that the two differ', async () => {
    const { membership, logged, open } = await startMembership(TOKEN);
    const other = createToken();
    const transport = await open();
    await expect(joinRun(transport, 'mistaken', other)).rejects.toMatchObject({
      code: 'ERR_UNAUTHENTICATED',
      message: expect.stringContaining("give the worker the run's token"),
    });
    transport.close();
    expect(membership.members).toEqual([]);
    expect(logged.join()).not.toContain(other);
  });

  test.each<[string, (nonces: { worker: string; coordinator: string }) => string]>([
    ['of another token', (nonces) => proofOf(createToken(), 'worker', nonces)],
    ["that is the coordinator's own", (nonces) => proofOf(TOKEN, 'coordinator', nonces)],
    ['of nothing', () => '0'.repeat(64)],
  ])('refuses a proof %s, and has sent nothing of the run', async (_what, forge) => {
    const { open, refused } = await startMembership(TOKEN);
    const transport = await open();
    const worker = createNonce();
    transport.send({ kind: 'hello', name: 'forger', nonce: worker });
    const challenge = await receiveKind(transport, SOON_MS, 'challenge');
    transport.send({ kind: 'proof', proof: forge({ worker, coordinator: challenge.nonce }) });
    expect(await everythingFrom(transport)).toEqual({ kinds: [], code: 'ERR_UNAUTHENTICATED' });
    expect(refused).toEqual(['ERR_UNAUTHENTICATED']);
  });

  test('refuses a conversation that was recorded and is played again', async () => {
    const { open } = await startMembership(TOKEN);
    const { transport, sent } = recording(await open());
    await joinRun(transport, 'honest', TOKEN);
    expect(sent.map(({ kind }) => kind)).toEqual(['hello', 'proof']);
    const replay = await open();
    for (const message of sent) replay.send(message);
    expect(await everythingFrom(replay)).toEqual({ kinds: ['challenge'], code: 'ERR_UNAUTHENTICATED' });
  });

  test.each<[string, Message, string]>([
    ['a gradient', SAMPLE_MESSAGES.gradient, 'ERR_FRAME_TOO_LARGE'],
    ['ready', SAMPLE_MESSAGES.ready, 'ERR_UNEXPECTED_MESSAGE'],
    ['a request for a file', SAMPLE_MESSAGES.datasetRequest, 'ERR_UNEXPECTED_MESSAGE'],
  ])('ends a connection that begins with %s', async (_what, message, code) => {
    const { open } = await startMembership(TOKEN);
    const transport = await open();
    transport.send(message);
    expect(await everythingFrom(transport)).toEqual({ kinds: [], code });
  });

  test('ends a connection whose first frame claims a gigabyte, before it is set aside', async () => {
    const { server } = await startMembership(TOKEN);
    const { head } = encodeFrame(SAMPLE_MESSAGES.gradient);
    new DataView(head.buffer).setUint32(12, LIMITS.maxPayloadBytes, true);
    const socket = new WebSocket(server.joinUrl);
    await once(socket, 'open');
    const before = process.memoryUsage().arrayBuffers;
    socket.send(head);
    const [reply] = (await once(socket, 'message')) as [Buffer<ArrayBuffer>];
    expect(createAssembler().accept(reply)).toMatchObject({ kind: 'error', code: 'ERR_FRAME_TOO_LARGE' });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(LIMITS.maxPayloadBytes / 10);
  });

  test('tells its user what a stranger says, but for control characters', async () => {
    const { logged, open } = await startMembership(TOKEN);
    const transport = await open();
    transport.close(new ProtocolError('ERR_ENGINE', 'all is \u001b[31mwell\u009b2J\nepoch 1'));
    await expect.poll(() => logged.join('|')).toContain('was not admitted');
    expect(logged.find((line) => line.includes('was not admitted'))).toContain('all is  [31mwell 2J epoch 1');
  });

  test('goes on when those who were refused have gone', async () => {
    const { membership, server, open } = await startMembership(TOKEN);
    for (let i = 0; i < 5; i++) {
      const raw = connect(Number(new URL(server.joinUrl).port), '127.0.0.1');
      raw.end('POST / HTTP/1.1\r\n\r\n');
      await once(raw.resume(), 'close');
      await expect(joinRun(await open(), 'bare', undefined)).rejects.toMatchObject({ code: 'ERR_UNAUTHENTICATED' });
    }
    const transport = await open();
    await joinRun(transport, 'honest', TOKEN);
    transport.send(SAMPLE_MESSAGES.ready);
    expect(await membership.waitForWorkers(1, SOON_MS, never())).toHaveLength(1);
  });
});

describe('a worker with a token', () => {
  test('leaves a coordinator that asks for none', async () => {
    const { open } = await startMembership(undefined);
    await expect(joinRun(await open(), 'careful', TOKEN)).rejects.toMatchObject({
      code: 'ERR_UNAUTHENTICATED',
      message: expect.stringContaining('asks for no token'),
    });
  });

  test.each<[string, Message]>([
    ['makes up a proof', { kind: 'challenge', nonce: createNonce(), proof: createNonce() }],
    ['sends a payload first', SAMPLE_MESSAGES.snapshot],
  ])('leaves an impostor who %s, and shows it no proof', async (_what, answer) => {
    const heard: string[] = [];
    const server = await startTestServer(async (transport) => {
      await transport.receive(SOON_MS, 'hello');
      transport.send(answer);
      heard.push(...(await everythingFrom(transport)).kinds);
    });
    onTestFinished(() => server.close());
    const transport = await connectToCoordinator(server.joinUrl, never());
    const joining = joinRun(transport, 'careful', TOKEN);
    await expect(joining).rejects.toMatchObject({ code: expect.stringMatching(/UNAUTHENTICATED|FRAME_TOO_LARGE/) });
    transport.close();
    expect(heard).toEqual([]);
  });
});

test('a run without a token welcomes a worker without one', async () => {
  const { open } = await startMembership(undefined);
  expect(await joinRun(await open(), 'anyone', undefined)).toMatchObject({ kind: 'welcome' });
});
