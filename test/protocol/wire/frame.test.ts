import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ProtocolError } from '../../../protocol/errors.ts';
import type { ProtocolErrorCode } from '../../../protocol/errors.ts';
import { createAssembler } from '../../../protocol/wire/assembler.ts';
import { encodeFrame, PIECE_BYTES } from '../../../protocol/wire/frame.ts';
import { LIMITS } from '../../../protocol/wire/limits.ts';
import type { Message } from '../../../protocol/wire/messages.ts';
import { ALL_MESSAGES, SAMPLE_MESSAGES } from '../../helpers/messages.ts';

type Bytes = Uint8Array<ArrayBuffer>;

/** The WebSocket messages of a frame: head, then pieces. */
function partsOf(message: Message): Bytes[] {
  const { head, payload } = encodeFrame(message);
  const parts = [head];
  for (let at = 0; at < payload.length; at += PIECE_BYTES) parts.push(payload.slice(at, at + PIECE_BYTES));
  return parts;
}

/** What has arrived when the parts have: the last message that one completed. */
function assemble(parts: readonly Bytes[], assembler = createAssembler()): Message | undefined {
  let message: Message | undefined;
  for (const part of parts) message = assembler.accept(part) ?? message;
  return message;
}

function codeOf(parts: readonly Bytes[]): ProtocolErrorCode {
  try {
    assemble(parts);
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  throw new Error('the frame was accepted');
}

describe('a frame', () => {
  test.each(ALL_MESSAGES)('of kind $kind decodes to the message that was encoded', (message) => {
    expect(assemble(partsOf(message))).toEqual(message);
  });

  test('has the bytes that the specification says', () => {
    const { head, payload } = encodeFrame({
      kind: 'datasetChunk',
      offsetBytes: 0,
      payload: Uint8Array.of(1, 2, 3),
    });
    expect(Buffer.from(head).toString('hex')).toBe(
      '4753434b' + // magic "GSCK"
        '09' +
        '04' +
        '02' +
        '00' + // version, kind, payload type, place: it follows
        '10000000' +
        '03000000' + // header and payload length
        '00000000' +
        '00000000' + // where in a shared memory, reserved
        // fixmap of 1, in msgpackr's 16-bit form: "offsetBytes": 0
        'de0001' +
        'ab6f66667365744279746573' +
        '00', // in all a multiple of 8
    );
    expect([...payload]).toEqual([1, 2, 3]);
  });

  test('carries floats bit by bit, NaN and signed zero included', () => {
    const decoded = assemble(partsOf(SAMPLE_MESSAGES.snapshot)) as typeof SAMPLE_MESSAGES.snapshot;
    const bits = (values: Float32Array) => [...new Uint32Array(values.slice().buffer)];
    expect(bits(decoded.payload)).toEqual(bits(SAMPLE_MESSAGES.snapshot.payload));
  });

  test('may have any length of payload: pieces and what is left', () => {
    for (const length of [1, PIECE_BYTES / 4 - 1, PIECE_BYTES / 4, PIECE_BYTES / 4 + 1, PIECE_BYTES]) {
      const payload = Float32Array.from({ length }, (_, i) => i / 3);
      const message = { ...SAMPLE_MESSAGES.snapshot, payload };
      const parts = partsOf(message);
      expect(parts).toHaveLength(1 + Math.ceil((4 * length) / PIECE_BYTES));
      expect(assemble(parts.slice(0, -1))).toBeUndefined();
      expect(assemble(parts)).toEqual(message);
    }
  });

  test('leaves no trace in the next one', () => {
    const assembler = createAssembler();
    for (const message of [...ALL_MESSAGES, ...ALL_MESSAGES]) {
      expect(assemble(partsOf(message), assembler)).toEqual(message);
    }
  });

  test('may lie in the memory of one that was given back, when it is as long', () => {
    const assembler = createAssembler();
    const snapshot = (length: number, value: number) => ({
      ...SAMPLE_MESSAGES.snapshot,
      payload: new Float32Array(length).fill(value),
    });
    const receive = (message: Message) => assemble(partsOf(message), assembler) as typeof SAMPLE_MESSAGES.snapshot;
    const first = receive(snapshot(10, 1));
    const second = receive(snapshot(10, 2));
    expect(second.payload.buffer).not.toBe(first.payload.buffer);
    assembler.recycle(first.payload);
    const longer = receive(snapshot(11, 3));
    expect(longer.payload).toHaveLength(11);
    assembler.recycle(longer.payload);
    expect(receive(snapshot(9, 5))).toEqual(snapshot(9, 5));
    const third = receive(snapshot(10, 4));
    expect(third.payload.buffer).toBe(first.payload.buffer);
    expect(third).toEqual(snapshot(10, 4));
    expect(second).toEqual(snapshot(10, 2));
  });

  test('may carry a loss that is no number', () => {
    const sums = { lossSum: NaN, numCorrect: 0, numSamples: 1 };
    const message = { ...SAMPLE_MESSAGES.evaluation, chunks: [sums, { ...sums, lossSum: Infinity }] };
    expect(assemble(partsOf(message))).toEqual(message);
  });
});

describe('a wrong frame is refused:', () => {
  const [head, payload] = partsOf(SAMPLE_MESSAGES.snapshot) as [Bytes, Bytes];
  const patched = (offset: number, value: number): Bytes[] => {
    const bytes = head.slice();
    bytes[offset] = value;
    return [bytes, payload];
  };
  const long = partsOf({ ...SAMPLE_MESSAGES.snapshot, payload: new Float32Array(PIECE_BYTES / 4 + 1) });

  test.each<[string, Bytes[], ProtocolErrorCode]>([
    ['empty', [new Uint8Array(0)], 'ERR_MALFORMED_FRAME'],
    ['shorter than its prefix', [head.slice(0, 23)], 'ERR_MALFORMED_FRAME'],
    ['another magic', patched(0, 0x48), 'ERR_BAD_MAGIC'],
    ['another protocol version', patched(4, 1), 'ERR_VERSION_MISMATCH'],
    ['a kind that is none', patched(5, 99), 'ERR_UNKNOWN_KIND'],
    ['the payload type of another kind', patched(6, 2), 'ERR_MALFORMED_FRAME'],
    ['a payload in a memory that nobody shares', patched(7, 1), 'ERR_MALFORMED_FRAME'],
    ['a place in no memory', patched(16, 1), 'ERR_MALFORMED_FRAME'],
    ['a reserved byte in use', patched(20, 1), 'ERR_MALFORMED_FRAME'],
    ['a header length beyond the limit', patched(10, 2), 'ERR_MALFORMED_FRAME'],
    ['a payload length of half a float', patched(12, payload.length - 2), 'ERR_MALFORMED_FRAME'],
    ['a payload length beyond the limit', patched(15, LIMITS.maxPayloadBytes / 2 ** 24 + 1), 'ERR_FRAME_TOO_LARGE'],
    ['a head one byte short', [head.slice(0, -1), payload], 'ERR_MALFORMED_FRAME'],
    ['a head with its payload', [Uint8Array.from([...head, ...payload])], 'ERR_MALFORMED_FRAME'],
    ['a piece one byte short', [head, payload.slice(0, -1)], 'ERR_MALFORMED_FRAME'],
    ['a piece one byte long', [head, Uint8Array.from([...payload, 0])], 'ERR_MALFORMED_FRAME'],
    ['an empty piece', [head, new Uint8Array(0)], 'ERR_MALFORMED_FRAME'],
    ['a short piece before the last', [long[0]!, long[2]!, long[1]!], 'ERR_MALFORMED_FRAME'],
    ['a header that is no msgpack', patched(24, 0xc1), 'ERR_MALFORMED_HEADER'],
    ['a header that is no map', patched(24, 0x01), 'ERR_MALFORMED_HEADER'],
  ])('%s', (_what, parts, code) => {
    expect(codeOf(parts)).toBe(code);
  });

  test.each<[string, object]>([
    ['an unknown field', { ...SAMPLE_MESSAGES.evaluate, extra: 1 }],
    ['a missing field', { kind: 'evaluate', epoch: 1, firstChunk: 0 }],
    ['a negative count', { ...SAMPLE_MESSAGES.evaluate, firstChunk: -1 }],
    ['a fraction where a count belongs', { ...SAMPLE_MESSAGES.evaluate, numChunks: 1.5 }],
    [
      'a rate that is not finite',
      { ...SAMPLE_MESSAGES.update, rates: { learningRate: NaN, stepSize: 1, secondMomentScale: 1 } },
    ],
    ['a hash that is none', { ...SAMPLE_MESSAGES.applied, parametersSha256: 'x' }],
  ])('a header with %s', (_what, message) => {
    expect(codeOf(partsOf(message as Message))).toBe('ERR_MALFORMED_HEADER');
  });

  test('whatever bytes arrive, decoding gives a message or a coded error', () => {
    const mutation = fc.record({ at: fc.nat(), value: fc.integer({ min: 0, max: 255 }) });
    fc.assert(
      fc.property(
        fc.constantFrom(...ALL_MESSAGES),
        fc.array(mutation, { maxLength: 8 }),
        fc.nat(),
        (message, mutations, cut) => {
          const parts = partsOf(message);
          const bytes = parts[0]!;
          for (const { at, value } of mutations) bytes[at % bytes.length] = value;
          parts[0] = cut % 4 === 0 ? bytes.slice(0, cut % (bytes.length + 1)) : bytes;
          try {
            assemble(parts);
          } catch (error) {
            expect(error).toBeInstanceOf(ProtocolError);
          }
        },
      ),
      { numRuns: 5000 },
    );
  });
});
