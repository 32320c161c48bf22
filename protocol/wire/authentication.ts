/**
 * Authentication: how both ends of a connection show that they know the run's token, which itself never travels.
 *
 *     worker       hello      its nonce
 *     coordinator  challenge  its nonce, HMAC-SHA256(token, "gradsock coordinator" | worker's nonce | coordinator's nonce)
 *     worker       proof                 HMAC-SHA256(token, "gradsock worker" | worker's nonce | coordinator's nonce)
 *
 * In the same way a worker that comes back shows that it is the one that was told this id's key, in a welcome before:
 *
 *     worker       hello      its nonce, its id
 *     coordinator  challenge  its nonce
 *     worker       proof                 HMAC-SHA256(key, "gradsock returning" | worker's nonce | coordinator's nonce)
 *
 * One that examines the run, and says `examine` in place of hello, proves the token as "gradsock examiner".
 *
 * Both nonces are fresh, so a recorded conversation proves nothing; the labels differ, so neither proof can be sent back
 * as the other. Anyone who sees a proof can try tokens on it: a token must be too long to be guessed. Source: Bellare
 * and Rogaway, Entity Authentication and Key Distribution, 1993.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** Twice the 128 bits that nobody can try out. */
const SECRET_BYTES = 32;

/** The fewest characters of a token, of 6 bits each in base64url: 128 bits and more. */
export const MIN_TOKEN_LENGTH = 22;

/** What to do about ERR_UNAUTHENTICATED, for its message. */
export const AUTHENTICATION_CURE =
  "give the worker the run's token: at its prompt, by GRADSOCK_TOKEN, --token-file, --join-file or --join-stdin";

/** Whom a worker was on a connection before: its id in the run, and the key that proves it. */
export interface WorkerIdentity {
  readonly id: string;
  /** From its welcome; it never travels again. */
  readonly key: string;
}

export interface Nonces {
  readonly worker: string;
  readonly coordinator: string;
}

/**
 * What is proved: to know the token, as one of the two ends, or as one that examines the run; or as a worker that comes
 * back, to know its id's key.
 */
export type ProofRole = keyof Nonces | 'examiner' | 'returning';

/** A fresh token: base64url, 43 characters. */
export function createToken(): string {
  return randomBytes(SECRET_BYTES).toString('base64url');
}

/** Whether a text can be a token: base64url, and long enough. It can also be the fragment of a URL. */
export function isToken(text: string): boolean {
  return text.length >= MIN_TOKEN_LENGTH && /^[\w-]{1,200}$/.test(text);
}

/** A fresh nonce: 64 hexadecimal digits. */
export function createNonce(): string {
  return randomBytes(SECRET_BYTES).toString('hex');
}

/** What `role` shows the other end: 64 hexadecimal digits. `secret`: the token, or the key of a worker's id. */
export function proofOf(secret: string, role: ProofRole, nonces: Nonces): string {
  const text = `gradsock ${role}|${nonces.worker}|${nonces.coordinator}`;
  return createHmac('sha256', secret).update(text).digest('hex');
}

/** Whether `proof` is that of `role`. Takes the same time whatever its digits are. */
export function isProof(proof: string, secret: string, role: ProofRole, nonces: Nonces): boolean {
  const expected = Buffer.from(proofOf(secret, role, nonces));
  const actual = Buffer.from(proof);
  return actual.length === expected.length && timingSafeEqual(actual, expected);
}
