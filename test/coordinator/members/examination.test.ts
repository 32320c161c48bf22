/** Who may examine a run, and what for: real sockets, a membership with a token, and those who ask. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { createByteBudget } from '../../../coordinator/members/examination.ts';
import { createMembership } from '../../../coordinator/members/membership.ts';
import { createNonce, createToken, proofOf } from '../../../protocol/wire/authentication.ts';
import { LIMITS } from '../../../protocol/wire/limits.ts';
import { receiveKind } from '../../../protocol/wire/transport.ts';
import { connectToCoordinator } from '../../../worker/connection/client.ts';
import { beginExamination, measureEchoes, measureThroughput } from '../../../worker/connection/examine.ts';
import { joinRun } from '../../../worker/connection/join.ts';
import { SAMPLE_MESSAGES } from '../../helpers/messages.ts';
import { never, startTestServer } from '../../helpers/sockets.ts';

const SOON_MS = 20_000;
const TOKEN = createToken();
const FACTS = {
  program: '9.9.9',
  numWorkers: 3,
  numReady: 1,
  stepBytes: 1234,
  stepTimeoutMs: 60_000,
  mayBeRing: false,
};

async function startRun(token: string | undefined) {
  const logged: string[] = [];
  const refused: string[] = [];
  const membership = createMembership({
    welcome: SAMPLE_MESSAGES.welcome,
    token,
    examination: () => FACTS,
    log: (level, line) => logged.push(`${level}: ${line}`),
    onRefused: (code) => refused.push(code),
  });
  const over: Promise<void>[] = [];
  const server = await startTestServer((transport) => {
    const admitted = membership.admit(transport);
    over.push(admitted);
    return admitted;
  });
  onTestFinished(async () => {
    membership.dismiss('the test is over');
    await server.close();
  });
  return { membership, logged, refused, over, open: () => connectToCoordinator(server.joinUrl, never()) };
}

describe('an examiner', () => {
  test.each<[string, string | undefined]>([
    ['with its token', TOKEN],
    ['that has none', undefined],
  ])('of a run %s is told what it is and measures the link, and is no worker', async (_what, token) => {
    const { membership, logged, refused, over, open } = await startRun(token);
    const transport = await open();
    const { model, dataset } = SAMPLE_MESSAGES.welcome;
    const named = { ...dataset, name: 'samples of its own', sha256: '0'.repeat(64), totalBytes: 1 };
    expect(await beginExamination(transport, token, '1.2.3')).toEqual({
      kind: 'examined',
      ...FACTS,
      model,
      dataset: named,
    });
    expect(await measureEchoes(transport, 30, 60_000)).toHaveLength(30);
    for (const direction of ['down', 'up'] as const) {
      const found = await measureThroughput(transport, direction, { echoMs: 0, deadlineMs: SOON_MS });
      expect(found?.bytesPerSecond).toBeGreaterThan(0);
      expect(found?.isBound).toBe(false);
    }
    expect(membership.members).toHaveLength(0);
    transport.close();
    await Promise.all(over);
    expect(refused).toEqual([]);
    expect(logged).toEqual([expect.stringMatching(/^info: .*: gradsock doctor 1\.2\.3 has examined the run$/)]);

    // Nor did it take a place or an id.
    const worker = await open();
    expect(await joinRun(worker, 'first', token)).toMatchObject({ workerId: 'w1' });
    worker.close();
  });

  test('with another token is told nothing', async () => {
    const { refused, over, open } = await startRun(TOKEN);
    const other = await open();
    await expect(beginExamination(other, createToken(), '1')).rejects.toMatchObject({ code: 'ERR_UNAUTHENTICATED' });
    other.close();
    const bare = await open();
    await expect(beginExamination(bare, undefined, '1')).rejects.toMatchObject({ code: 'ERR_UNAUTHENTICATED' });
    await Promise.all(over);
    expect(refused).toContain('ERR_UNAUTHENTICATED');
  });

  test('leaves a coordinator that asks for no token, where it has one', async () => {
    const { open } = await startRun(undefined);
    const transport = await open();
    await expect(beginExamination(transport, TOKEN, '1')).rejects.toThrow('the coordinator asks for no token');
    transport.close();
  });

  test('proves nothing with which a worker could join', async () => {
    const { refused, over, open } = await startRun(TOKEN);
    const transport = await open();
    const nonce = createNonce();
    transport.send({ kind: 'hello', name: 'relayed', nonce });
    const { nonce: theirs } = await receiveKind(transport, SOON_MS, 'challenge');
    transport.send({ kind: 'proof', proof: proofOf(TOKEN, 'examiner', { worker: nonce, coordinator: theirs }) });
    await Promise.all(over);
    expect(refused).toEqual(['ERR_UNAUTHENTICATED']);
  });

  test('is given no more bytes at once than a sample has, and sends none without leave', async () => {
    const { refused, over, open } = await startRun(TOKEN);
    const transport = await open();
    await beginExamination(transport, TOKEN, '1');
    transport.send({ kind: 'measure', what: 'down', numBytes: 2 ** 40 });
    const { payload } = await receiveKind(transport, SOON_MS, 'sample');
    expect(payload).toHaveLength(LIMITS.sampleBytes);
    transport.send({ kind: 'sample', payload: new Uint8Array(64) });
    await Promise.all(over);
    expect(refused).toEqual(['ERR_FRAME_TOO_LARGE']);
  });
});

test('all examiners together are given so many bytes, and later more', () => {
  let nowMs = 0;
  const budget = createByteBudget(() => nowMs);
  const { examinationBytes, examinationBytesPerSecond } = LIMITS;
  expect(budget.take(examinationBytes - 10)).toBe(examinationBytes - 10);
  expect(budget.take(100)).toBe(10);
  expect(budget.take(100)).toBe(0);
  nowMs = 500;
  expect(budget.take(examinationBytes)).toBe(examinationBytesPerSecond / 2);
  nowMs = 3_600_000;
  expect(budget.take(2 * examinationBytes)).toBe(examinationBytes);
});
