/** Workers that come back: who they are then, and what becomes of the connection that they had. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { createMembership } from '../../../coordinator/members/membership.ts';
import type { Member } from '../../../coordinator/members/member.ts';
import { createNonce, createToken, proofOf } from '../../../protocol/wire/authentication.ts';
import type { WorkerIdentity } from '../../../protocol/wire/authentication.ts';
import type { Message, MessageOf } from '../../../protocol/wire/messages.ts';
import { receiveKind } from '../../../protocol/wire/transport.ts';
import type { Transport } from '../../../protocol/wire/transport.ts';
import { connectToCoordinator } from '../../../worker/connection/client.ts';
import { joinRun } from '../../../worker/connection/join.ts';
import { runCluster, runConfig } from '../../helpers/cluster.ts';
import { SAMPLE_MESSAGES } from '../../helpers/messages.ts';
import { never, startTestServer } from '../../helpers/sockets.ts';

const SOON_MS = 20_000;

/** A membership behind a real server, and workers that join it; ended with the test. */
async function startMembership(token: string | undefined) {
  const ready: Member[] = [];
  const joined: string[] = [];
  const membership = createMembership({
    welcome: SAMPLE_MESSAGES.welcome,
    token,
    log: () => {},
    onReady: (member) => ready.push(member),
    onMember: ({ id }, isBack) => joined.push(`${id} ${isBack ? 'is back' : 'is new'}`),
  });
  const server = await startTestServer((transport) => membership.admit(transport));
  onTestFinished(async () => {
    membership.dismiss('the test is over');
    await server.close();
  });
  const open = () => connectToCoordinator(server.joinUrl, never());
  const join = async (identity?: WorkerIdentity) => {
    const transport = await open();
    const welcome = (await joinRun(transport, 'worker', token, identity)) as MessageOf<'welcome'>;
    transport.send(SAMPLE_MESSAGES.ready);
    // A key is told with a new id only.
    const key = welcome.returnKey ?? identity?.key ?? '';
    return { transport, identity: { id: welcome.workerId, key }, isNew: welcome.returnKey !== undefined };
  };
  return { membership, ready, joined, open, join };
}

describe.each([
  ['with a token', createToken()],
  ['without a token', undefined],
])('in a run %s, a worker that comes back', (_which, token) => {
  test('is whom it was, and its connection before is ended', async () => {
    const { membership, ready, joined, join } = await startMembership(token);
    const first = await join();
    await expect.poll(() => ready.length).toBe(1);
    const again = await join(first.identity);
    expect(again.identity).toEqual(first.identity);
    expect([first, again].map(({ isNew }) => isNew)).toEqual([true, false]);
    expect((await first.transport.closed).code).toBe('ERR_REPLACED');
    await expect.poll(() => ready.length).toBe(2);
    expect(membership.members.map(({ id }) => id)).toEqual(['w1']);
    expect((await join()).identity.id).toBe('w2');
    await expect.poll(() => joined).toEqual(['w1 is new', 'w1 is back', 'w2 is new']);
  });

  test('when its connection has gone is whom it was', async () => {
    const { join } = await startMembership(token);
    const first = await join();
    const second = await join();
    first.transport.close();
    await first.transport.closed;
    expect((await join(first.identity)).identity).toEqual(first.identity);
    second.transport.close();
  });

  test.each<[string, (known: WorkerIdentity) => WorkerIdentity]>([
    ['with another key', ({ id }) => ({ id, key: createNonce() })],
    ["with another worker's key", ({ key }) => ({ id: 'w2', key })],
    ['as one that never was', ({ key }) => ({ id: 'w9', key })],
  ])('%s is new, and nobody is ended for it', async (_what, claim) => {
    const { membership, join } = await startMembership(token);
    const [one, two] = [await join(), await join()];
    await expect.poll(() => membership.members.length).toBe(2);
    const stranger = await join(claim(one.identity));
    expect(stranger.identity.id).toBe('w3');
    expect(stranger.identity.key).not.toBe(one.identity.key);
    await expect.poll(() => membership.members.map(({ id }) => id)).toEqual(['w1', 'w2', 'w3']);
    for (const { transport } of [one, two]) transport.send(SAMPLE_MESSAGES.applied);
  });

  test('in a conversation that was recorded is new, or refused', async () => {
    const { membership, open, join } = await startMembership(token);
    const first = await join();
    const sent: Message[] = [];
    const transport = await open();
    const recording: Transport = {
      ...transport,
      send(message) {
        sent.push(message);
        transport.send(message);
      },
    };
    await joinRun(recording, 'worker', token, first.identity);
    recording.send(SAMPLE_MESSAGES.ready);
    expect(JSON.stringify(sent)).not.toContain(first.identity.key);
    const replay = await open();
    for (const message of sent) replay.send(message);
    await receiveKind(replay, SOON_MS, 'challenge');
    const answer = await replay.receive(SOON_MS, 'an answer').catch((error: unknown) => error);
    expect(answer).toMatchObject(token === undefined ? { workerId: 'w2' } : { code: 'ERR_UNAUTHENTICATED' });
    await expect.poll(() => membership.members.some(({ id }) => id === 'w1')).toBe(true);
  });
});

test('a key without the token lets nobody in', async () => {
  const token = createToken();
  const { open, join } = await startMembership(token);
  const { identity } = await join();
  const transport = await open();
  const worker = createNonce();
  transport.send({ kind: 'hello', name: 'thief', nonce: worker, returningAs: identity.id });
  const { nonce } = await receiveKind(transport, SOON_MS, 'challenge');
  const nonces = { worker, coordinator: nonce };
  transport.send({ kind: 'proof', returnProof: proofOf(identity.key, 'returning', nonces) });
  expect((await transport.closed).code).toBe('ERR_UNAUTHENTICATED');
});

describe('a worker that comes back in the middle of a run', () => {
  const config = runConfig({ workers: 2, microbatches: 4, epochs: 6, shares: 'equal' });

  /** Trains; worker 0's connection fails at its n-th gradient as `fail` has it, which lets the worker come back. */
  const runWithReturn = async (n: number, fail: (transport: Transport, comeBack: () => void) => void) => {
    const said: string[] = [];
    let join!: (returning?: number) => Promise<string>;
    let numGradients = 0;
    let isCut = false;
    const outcome = await runCluster({
      config,
      waitMs: SOON_MS,
      say: (line) => said.push(line),
      onStart: (given) => (join = given),
      tamper: (transport, index) => {
        if (index !== 0) return transport;
        return {
          ...transport,
          send(message) {
            if (message.kind === 'gradient' && ++numGradients === n) {
              isCut = true;
              fail(transport, () => void join(0));
            }
            if (!isCut) transport.send(message);
          },
        };
      },
    });
    return { ...outcome, said };
  };

  test.each<[string, (transport: Transport, comeBack: () => void) => void, RegExp]>([
    [
      'closed',
      (transport, comeBack) => {
        transport.close();
        comeBack();
      },
      /^lost worker worker-0 \(w1\), step \d+: .*closed/,
    ],
    // The coordinator is waiting for the gradient that was never sent.
    [
      'half open',
      (_, comeBack) => setImmediate(comeBack),
      /^lost worker worker-0 \(w1\), step \d+: .*it has come back on another connection/,
    ],
  ])('goes on with its figures, its connection before being %s', async (_how, fail, loss) => {
    // In the second epoch, of five steps, each with one gradient of two microbatches.
    const { replica, epochs, said, sessions } = await runWithReturn(7, fail);
    expect(said).toEqual([
      expect.stringMatching(loss),
      expect.stringMatching(/^worker-0 \(w1\) takes part from step \d+ on$/),
    ]);
    expect(sessions[0]!.status).toBe('rejected');
    const quiet = await runCluster({ config });
    expect(replica.parametersSha256()).toBe(quiet.replica.parametersSha256());
    for (const { workers, samples } of epochs) {
      expect(new Set(workers.map(({ id }) => id))).toEqual(new Set(['w1', 'w2']));
      expect(workers.length).toBe(2);
      expect(workers.reduce((sum, worker) => sum + worker.workerSamples, 0)).toBe(samples);
    }
    const ofReturned = epochs.map(({ workers }) => workers.find(({ id }) => id === 'w1')!.workerSamples);
    expect(ofReturned[1]).toBeGreaterThan(0);
    expect(ofReturned.at(-1)).toBe(quiet.epochs.at(-1)!.workers[0]!.workerSamples);
  });
});
