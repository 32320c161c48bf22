/**
 * Examination: answers those who know the run's token and want to know the run and the link to it, before a worker joins.
 * They are no members, and what they may ask is bounded: one thing at a time, for a minute, with few bytes in all.
 */
import { randomBytes } from 'node:crypto';
import { ProtocolError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import type { MessageOf } from '../../protocol/wire/messages.ts';
import { STRANGER_LIMITS } from '../../protocol/wire/peer-limits.ts';
import type { PeerLimits } from '../../protocol/wire/peer-limits.ts';
import { receiveKind } from '../../protocol/wire/transport.ts';
import type { Transport } from '../../protocol/wire/transport.ts';

export type RunFacts = Omit<MessageOf<'examined'>, 'kind'>;

/** Gives out bytes to be sent for measurements, of all examiners together. */
export interface ByteBudget {
  /** As many as asked for, or as many as there are. */
  take(numBytes: number): number;
}

const EXAMINER_LIMITS: PeerLimits = { ...STRANGER_LIMITS, messagesPerSecond: LIMITS.examinerMessagesPerSecond };

/** A bucket of `LIMITS.examinationBytes` that fills up again. `nowMs`: any clock that never goes back. */
export function createByteBudget(nowMs: () => number = () => performance.now()): ByteBudget {
  const { examinationBytes, examinationBytesPerSecond } = LIMITS;
  let left: number = examinationBytes;
  let lastMs = nowMs();
  return {
    take(numBytes) {
      const atMs = nowMs();
      left = Math.min(examinationBytes, left + ((atMs - lastMs) / 1000) * examinationBytesPerSecond);
      lastMs = atMs;
      const taken = Math.min(numBytes, Math.floor(left));
      left -= taken;
      return taken;
    },
  };
}

/**
 * Tells an examiner, who has proved to know the token, the facts, and measures with it until it goes. Rejects with
 * `ProtocolError`: ERR_CLOSED when it has gone, ERR_TIMEOUT when it has had its time, and as `receiveKind`.
 */
export async function serveExaminer(transport: Transport, facts: RunFacts, budget: ByteBudget): Promise<never> {
  const untilMs = performance.now() + LIMITS.examinationMs;
  transport.limit(EXAMINER_LIMITS);
  transport.send({ kind: 'examined', ...facts });
  for (;;) {
    const leftMs = untilMs - performance.now();
    if (leftMs <= 0) throw new ProtocolError('ERR_TIMEOUT', `examined for ${LIMITS.examinationMs / 1000} s: join now`);
    const { what, numBytes } = await receiveKind(transport, Math.min(leftMs, LIMITS.examinerSilenceMs), 'measure');
    const granted = what === 'echo' ? 0 : budget.take(Math.min(numBytes, LIMITS.sampleBytes));
    if (what === 'down' && granted > 0) transport.send({ kind: 'sample', payload: sampleOf(granted) });
    else transport.send({ kind: 'measured', numBytes: granted });
    if (what === 'up' && granted > 0) await receiveSample(transport, granted);
  }
}

async function receiveSample(transport: Transport, granted: number): Promise<void> {
  const { messagesPerSecond, maxMessageBytes } = { messagesPerSecond: Infinity, maxMessageBytes: Infinity };
  transport.limit({ ...EXAMINER_LIMITS, maxPayloadBytes: granted, messagesPerSecond, maxMessageBytes });
  const { payload } = await receiveKind(transport, LIMITS.examinationMs, 'sample');
  transport.limit(EXAMINER_LIMITS);
  transport.send({ kind: 'measured', numBytes: payload.length });
  transport.recycle(payload);
}

let sample: Uint8Array<ArrayBuffer> | undefined;

/** Bytes that no link can compress. */
function sampleOf(numBytes: number): Uint8Array<ArrayBuffer> {
  sample ??= new Uint8Array(randomBytes(LIMITS.sampleBytes));
  return sample.subarray(0, numBytes);
}
