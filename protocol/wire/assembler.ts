/** Assembler: the receiving half of a frame. Pieces of a payload go straight to where the whole of it lies. */
import { countOf } from '../counts.ts';
import { ProtocolError } from '../errors.ts';
import { decodeHead, joinFrame, PIECE_BYTES } from './frame.ts';
import type { DecodedHead } from './frame.ts';
import type { Message } from './messages.ts';

export interface Assembler {
  /**
   * Takes the next WebSocket message, of which it keeps nothing; returns the message that this completed, if it did.
   * Throws `ProtocolError` when the bytes are wrong; then nothing more may be given to it.
   */
  accept(bytes: Uint8Array<ArrayBuffer>): Message | undefined;
  /** From here on a longer payload is refused with ERR_FRAME_TOO_LARGE, before memory is set aside. */
  limitPayload(maxBytes: number): void;
  /** From here on a head may say that its payload lies in one of these. */
  shareMemory(memories: readonly ArrayBuffer[]): void;
  /** Takes back the memory of a payload that nobody reads any more, for one of the same length to come. */
  recycle(payload: ArrayBufferView<ArrayBuffer>): void;
}

/** Payloads of one length come again and again, a vector's buckets at a time: the memory of this many is kept. */
const MAX_KEPT = 64;

/**
 * Memory that is set aside on the word of a head. A longer payload gets more as it arrives, twice as much each time: a
 * peer that claims a gibibyte has to send it. Copies are made only for the first payload of a length, the next one lies
 * in memory that was kept.
 */
const TRUSTED_BYTES = 2 ** 20;

export function createAssembler(): Assembler {
  const kept: ArrayBuffer[] = [];
  let shared: readonly ArrayBuffer[] = [];
  let maxPayloadBytes = Infinity;
  let open: { head: DecodedHead; payload: Uint8Array<ArrayBuffer>; filled: number } | undefined;

  const take = (length: number): ArrayBuffer => {
    const index = kept.findIndex(({ byteLength }) => byteLength === length);
    return index < 0 ? new ArrayBuffer(Math.min(length, TRUSTED_BYTES)) : kept.splice(index, 1)[0]!;
  };

  return {
    accept(bytes) {
      if (!open) {
        const head = decodeHead(bytes);
        if (head.payloadBytes > maxPayloadBytes) {
          const message = `${head.kind}: ${countOf(head.payloadBytes, 'byte')} of payload, expected at most ${maxPayloadBytes}`;
          throw new ProtocolError('ERR_FRAME_TOO_LARGE', message);
        }
        if (head.place > 0) return joinFrame(head, placeOf(head, shared));
        if (head.payloadBytes === 0) return joinFrame(head, new ArrayBuffer(0));
        open = { head, payload: new Uint8Array(take(head.payloadBytes)), filled: 0 };
        return undefined;
      }
      const { head, filled } = open;
      const expected = Math.min(PIECE_BYTES, head.payloadBytes - filled);
      if (bytes.length !== expected) {
        const message = `${head.kind}: a piece of ${countOf(bytes.length, 'byte')} of payload, expected ${expected}`;
        throw new ProtocolError('ERR_MALFORMED_FRAME', message);
      }
      if (filled + expected > open.payload.length) open.payload = grown(open.payload, head.payloadBytes);
      open.payload.set(bytes, filled);
      open.filled += expected;
      if (open.filled < head.payloadBytes) return undefined;
      const { buffer } = open.payload;
      open = undefined;
      return joinFrame(head, buffer);
    },
    limitPayload(maxBytes) {
      maxPayloadBytes = maxBytes;
    },
    shareMemory(memories) {
      shared = memories;
    },
    recycle({ buffer }) {
      if (shared.includes(buffer)) return;
      if (kept.length === MAX_KEPT) kept.shift();
      kept.push(buffer);
    },
  };
}

/** Twice the memory with the same beginning, but no more than the whole payload needs. */
function grown(payload: Uint8Array<ArrayBuffer>, payloadBytes: number): Uint8Array<ArrayBuffer> {
  const longer = new Uint8Array(Math.min(2 * payload.length, payloadBytes));
  longer.set(payload);
  return longer;
}

/** The shared memory that holds a head's payload. Throws ERR_MALFORMED_FRAME when there is none, or it ends before. */
function placeOf({ kind, payloadBytes, place, offsetBytes }: DecodedHead, shared: readonly ArrayBuffer[]): ArrayBuffer {
  const memory = shared[place - 1];
  if (memory && offsetBytes + payloadBytes <= memory.byteLength) return memory;
  const found = memory ? `which has ${memory.byteLength}` : `of ${shared.length} that are shared`;
  const message = `${kind}: bytes ${offsetBytes} to ${offsetBytes + payloadBytes} of memory ${place}, ${found}`;
  throw new ProtocolError('ERR_MALFORMED_FRAME', message);
}
