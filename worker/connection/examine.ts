/** The examiner's side of an examination: asks a coordinator what its run is, and measures the link, without joining. */
import { countOf } from '../../protocol/counts.ts';
import { randomBytes } from 'node:crypto';
import { ProtocolError } from '../../protocol/errors.ts';
import { createNonce, proofOf } from '../../protocol/wire/authentication.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import type { MessageOf } from '../../protocol/wire/messages.ts';
import { NO_PEER_LIMITS, STRANGER_LIMITS } from '../../protocol/wire/peer-limits.ts';
import { receiveKind, ReceiveTimeout } from '../../protocol/wire/transport.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { asksForNoToken, checkCoordinator } from './join.ts';

/**
 * Both ends prove that they know the token, if there is one, and the coordinator says what its run is.
 *
 * Rejects with `ProtocolError`: ERR_UNAUTHENTICATED as `joinRun`, ERR_UNKNOWN_KIND by a coordinator that is too old to be
 * examined, ERR_VERSION_MISMATCH by one of another protocol, and as `receiveKind`.
 */
export async function beginExamination(
  transport: Transport,
  token: string | undefined,
  program: string,
): Promise<MessageOf<'examined'>> {
  if (token === undefined) {
    transport.send({ kind: 'examine', program });
  } else {
    transport.limit(STRANGER_LIMITS);
    const nonce = createNonce();
    transport.send({ kind: 'examine', program, nonce });
    const challenge = await receiveKind(transport, LIMITS.handshakeMs, 'challenge', 'examined');
    if (challenge.kind === 'examined') throw asksForNoToken();
    const nonces = { worker: nonce, coordinator: challenge.nonce };
    checkCoordinator(challenge.proof, token, nonces);
    transport.send({ kind: 'proof', proof: proofOf(token, 'examiner', nonces) });
    transport.limit(NO_PEER_LIMITS);
  }
  return receiveKind(transport, LIMITS.handshakeMs, 'examined');
}

/** Milliseconds of echoes through the connection, one after the other: `most` of them, or as many as fit into `forMs`. */
export async function measureEchoes(transport: Transport, most: number, forMs: number): Promise<number[]> {
  const startMs = performance.now();
  const times: number[] = [];
  while (times.length < most && (times.length === 0 || performance.now() - startMs < forMs)) {
    const sentMs = performance.now();
    transport.send({ kind: 'measure', what: 'echo', numBytes: 0 });
    await receiveKind(transport, LIMITS.handshakeMs, 'measured');
    times.push(performance.now() - sentMs);
  }
  return times;
}

export interface Throughput {
  readonly bytesPerSecond: number;
  /** Of the sample that it was measured with. */
  readonly numBytes: number;
  /** The sample did not arrive in time: the link is slower than this. */
  readonly isBound: boolean;
}

/** A sample that takes longer has told enough, and so has one of `LIMITS.sampleBytes`. */
const ENOUGH_MS = 400;
const FIRST_SAMPLE_BYTES = 16 * 1024;
const GROWTH = 4;

/**
 * The rate of the link in one direction, by samples that grow until one takes long enough. Undefined where the coordinator
 * has no bytes left for it. The connection is of no use any more when the result is a bound.
 *
 * - `echoMs`: what an answer alone takes
 * - `deadlineMs`: for each sample
 */
export async function measureThroughput(
  transport: Transport,
  direction: 'down' | 'up',
  { echoMs, deadlineMs }: { readonly echoMs: number; readonly deadlineMs: number },
): Promise<Throughput | undefined> {
  let best: Throughput | undefined;
  for (let size = FIRST_SAMPLE_BYTES; ; size = Math.min(GROWTH * size, LIMITS.sampleBytes)) {
    const sampled = await timeSample(transport, direction, size, deadlineMs).catch((error: unknown) => {
      if (!(error instanceof ReceiveTimeout)) throw error;
      return { numBytes: size, ms: deadlineMs, isBound: true };
    });
    if (!sampled) return best;
    const { numBytes, ms, isBound } = sampled;
    // A clock's tick, at least: on one machine a sample may take no longer than an echo.
    const bytesPerSecond = (1000 * numBytes) / Math.max(ms - echoMs, ms / 10, 0.01);
    best = { bytesPerSecond, numBytes, isBound };
    if (isBound || ms > ENOUGH_MS || numBytes < size || size === LIMITS.sampleBytes) return best;
  }
}

interface TimedSample {
  readonly numBytes: number;
  readonly ms: number;
  readonly isBound: boolean;
}

async function timeSample(
  transport: Transport,
  direction: 'down' | 'up',
  size: number,
  deadlineMs: number,
): Promise<TimedSample | undefined> {
  let startMs = performance.now();
  transport.send({ kind: 'measure', what: direction, numBytes: size });
  const answer = await receiveKind(transport, deadlineMs, 'sample', 'measured');
  if (answer.kind === 'sample') {
    const { length } = answer.payload;
    transport.recycle(answer.payload);
    if (length === 0 || length > size)
      throw new ProtocolError('ERR_SHAPE_MISMATCH', `a sample of ${countOf(length, 'byte')}`);
    return { numBytes: length, ms: performance.now() - startMs, isBound: false };
  }
  const { numBytes } = answer;
  if (numBytes === 0 || direction === 'down') return undefined;
  const payload = new Uint8Array(randomBytes(Math.min(numBytes, size)));
  startMs = performance.now();
  transport.send({ kind: 'sample', payload });
  await receiveKind(transport, deadlineMs, 'measured');
  return { numBytes: payload.length, ms: performance.now() - startMs, isBound: false };
}
