import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createNonce, createToken, isProof, isToken, proofOf } from '../../../protocol/wire/authentication.ts';
import { joinUrlOf, splitJoinUrl } from '../../../protocol/wire/join-url.ts';

const token = createToken();
const nonces = { worker: createNonce(), coordinator: createNonce() };

describe('a proof', () => {
  test('is the HMAC-SHA256 that the specification says', () => {
    const text = `gradsock worker|${nonces.worker}|${nonces.coordinator}`;
    expect(proofOf(token, 'worker', nonces)).toBe(createHmac('sha256', token).update(text).digest('hex'));
  });

  test('holds for its token, role and nonces', () => {
    for (const role of ['worker', 'coordinator'] as const) {
      expect(isProof(proofOf(token, role, nonces), token, role, nonces)).toBe(true);
    }
  });

  test.each<[string, string]>([
    ['of another token', proofOf(createToken(), 'worker', nonces)],
    ['of the other role', proofOf(token, 'coordinator', nonces)],
    ["of an older worker's nonce", proofOf(token, 'worker', { ...nonces, worker: createNonce() })],
    ["of an older coordinator's nonce", proofOf(token, 'worker', { ...nonces, coordinator: createNonce() })],
    [
      'of nonces that changed places',
      proofOf(token, 'worker', { worker: nonces.coordinator, coordinator: nonces.worker }),
    ],
    ['cut short', proofOf(token, 'worker', nonces).slice(0, -1)],
    ['that is empty', ''],
    ['of as many characters but more bytes', 'é'.repeat(64)],
  ])('%s does not hold', (_what, proof) => {
    expect(isProof(proof, token, 'worker', nonces)).toBe(false);
  });
});

describe('a token', () => {
  test('that was made here is one, of 256 bits, and never the same', () => {
    expect(isToken(token)).toBe(true);
    expect(Buffer.from(token, 'base64url')).toHaveLength(32);
    expect(createToken()).not.toBe(token);
  });

  test.each(['', 'secret', 'a'.repeat(21), 'a'.repeat(201), `${'a'.repeat(30)} `, `${'a'.repeat(30)}#`])(
    'is not %j',
    (text) => expect(isToken(text)).toBe(false),
  );

  test('travels in the fragment of a join URL, and only there', () => {
    const joinUrl = joinUrlOf('ws://127.0.0.1:7878', token);
    expect(new URL(joinUrl).hash).toBe(`#${token}`);
    expect(splitJoinUrl(joinUrl)).toEqual({ url: 'ws://127.0.0.1:7878/', token });
    expect(splitJoinUrl(joinUrlOf('ws://127.0.0.1:7878', undefined))).toEqual({
      url: 'ws://127.0.0.1:7878',
      token: undefined,
    });
  });
});
