import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ProtocolError } from '../../../protocol/errors.ts';
import type { ProtocolErrorCode } from '../../../protocol/errors.ts';
import { decodeFrame, encodeFrame } from '../../../protocol/wire/frame.ts';
import type { Message } from '../../../protocol/wire/messages.ts';
import { ALL_MESSAGES, SAMPLE_MESSAGES } from '../../helpers/messages.ts';

function bytesOf(message: Message): Uint8Array<ArrayBuffer> {
  const { head, payload } = encodeFrame(message);
  const bytes = new Uint8Array(head.length + payload.length);
  bytes.set(head);
  bytes.set(payload, head.length);
  return bytes;
}

function codeOf(bytes: Uint8Array<ArrayBuffer>): ProtocolErrorCode {
  try {
    decodeFrame(bytes);
  } catch (error) {
    if (error instanceof ProtocolError) return error.code;
    throw error;
  }
  throw new Error('the frame was accepted');
}

describe('a frame', () => {
  test.each(ALL_MESSAGES)('of kind $kind decodes to the message that was encoded', (message) => {
    expect(decodeFrame(bytesOf(message))).toEqual(message);
  });

  test('has the bytes that the specification says', () => {
    const { head, payload } = encodeFrame({
      kind: 'datasetChunk',
      file: 'f',
      offsetBytes: 0,
      totalBytes: 3,
      payload: Uint8Array.of(1, 2, 3),
    });
    expect(Buffer.from(head).toString('hex')).toBe(
      '4753434b' + // magic "GSCK"
        '01' +
        '04' +
        '02' +
        '00' + // version, kind, payload type, reserved
        '23000000' +
        '03000000' + // header and payload length
        // fixmap of 3, in msgpackr's 16-bit form: "file": "f", "offsetBytes": 0, "totalBytes": 3
        'de0003' +
        'a466696c65' +
        'a166' +
        'ab6f66667365744279746573' +
        '00' +
        'aa746f74616c4279746573' +
        '03' +
        '00'.repeat(5), // up to a multiple of 8
    );
    expect([...payload]).toEqual([1, 2, 3]);
  });

  test('carries floats bit by bit, NaN and signed zero included', () => {
    const decoded = decodeFrame(bytesOf(SAMPLE_MESSAGES.gradient)) as typeof SAMPLE_MESSAGES.gradient;
    const bits = (values: Float32Array) => [...new Uint32Array(values.slice().buffer)];
    expect(bits(decoded.payload)).toEqual(bits(SAMPLE_MESSAGES.gradient.payload));
  });

  test('gives its payload as a view of itself when aligned, and rightly when not', () => {
    const bytes = bytesOf(SAMPLE_MESSAGES.update);
    const aligned = decodeFrame(bytes) as typeof SAMPLE_MESSAGES.update;
    expect(aligned.payload.buffer).toBe(bytes.buffer);
    const shifted = new Uint8Array(bytes.length + 1).subarray(1);
    shifted.set(bytes);
    expect(decodeFrame(shifted)).toEqual(SAMPLE_MESSAGES.update);
  });

  test('may carry a loss that is no number', () => {
    const sums = { lossSum: NaN, numCorrect: 0, numSamples: 1 };
    const message = { ...SAMPLE_MESSAGES.evaluation, chunks: [sums, { ...sums, lossSum: Infinity }] };
    expect(decodeFrame(bytesOf(message))).toEqual(message);
  });
});

describe('a wrong frame is refused:', () => {
  const sound = () => bytesOf(SAMPLE_MESSAGES.update);
  const patched = (offset: number, value: number) => {
    const bytes = sound();
    bytes[offset] = value;
    return bytes;
  };

  test.each<[string, Uint8Array<ArrayBuffer>, ProtocolErrorCode]>([
    ['empty', new Uint8Array(0), 'ERR_MALFORMED_FRAME'],
    ['shorter than its prefix', sound().slice(0, 15), 'ERR_MALFORMED_FRAME'],
    ['another magic', patched(0, 0x48), 'ERR_BAD_MAGIC'],
    ['another protocol version', patched(4, 2), 'ERR_VERSION_MISMATCH'],
    ['a kind that is none', patched(5, 99), 'ERR_UNKNOWN_KIND'],
    ['the payload type of another kind', patched(6, 2), 'ERR_MALFORMED_FRAME'],
    ['a reserved byte in use', patched(7, 1), 'ERR_MALFORMED_FRAME'],
    ['a header length beyond the limit', patched(10, 2), 'ERR_MALFORMED_FRAME'],
    ['a payload length beyond the frame', patched(12, 9), 'ERR_MALFORMED_FRAME'],
    ['one byte short', sound().slice(0, -1), 'ERR_MALFORMED_FRAME'],
    ['a header that is no msgpack', patched(16, 0xc1), 'ERR_MALFORMED_HEADER'],
    ['a header that is no map', patched(16, 0x01), 'ERR_MALFORMED_HEADER'],
  ])('%s', (_what, bytes, code) => {
    expect(codeOf(bytes)).toBe(code);
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
    expect(codeOf(bytesOf(message as Message))).toBe('ERR_MALFORMED_HEADER');
  });

  test('whatever bytes arrive, decoding gives a message or a coded error', () => {
    const mutation = fc.record({ at: fc.nat(), value: fc.integer({ min: 0, max: 255 }) });
    fc.assert(
      fc.property(
        fc.constantFrom(...ALL_MESSAGES),
        fc.array(mutation, { maxLength: 8 }),
        fc.nat(),
        (message, mutations, cut) => {
          const bytes = bytesOf(message);
          for (const { at, value } of mutations) bytes[at % bytes.length] = value;
          const frame = cut % 4 === 0 ? bytes.slice(0, cut % (bytes.length + 1)) : bytes;
          try {
            decodeFrame(frame);
          } catch (error) {
            expect(error).toBeInstanceOf(ProtocolError);
          }
        },
      ),
      { numRuns: 5000 },
    );
  });
});
