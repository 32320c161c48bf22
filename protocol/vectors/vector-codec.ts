/**
 * Vector codec: [gradient | statistics] as payloads of a run's wire format, and back.
 *
 * The gradient is encoded; the few statistics of batch norms travel as float32 behind it, for they are not averaged away
 * but shown to every sample of the test set. Every sender has a codec of its own: with int8 it remembers.
 */
import { countOf } from '../counts.ts';
import { ProtocolError } from '../errors.ts';
import type { VectorLayout } from './layout.ts';
import { plainVectorMath } from './vector-math.ts';
import type { VectorMath } from './vector-math.ts';
import type { WireFormat } from './encoding.ts';

type Bytes = Uint8Array<ArrayBuffer>;
type Floats = Float32Array<ArrayBuffer>;

export interface VectorCodec {
  readonly payloadBytes: number;
  /** Throws ERR_SHAPE_MISMATCH for a payload of another length. */
  readonly check: (payload: Bytes) => void;
  /** For f32: the vector as its bytes, and the other way round, without a copy. Undefined for all other formats. */
  readonly asBytes?: (vector: Floats) => Bytes;
  readonly asVector?: (payload: Bytes) => Floats;
  /** payload [payloadBytes] <- vector. With int8 the vector is changed, see {@link withFeedback}. */
  readonly encode: (payload: Bytes, vector: Floats) => void;
  /**
   * A run of the vector from its value number `first`, an even one, as `decode` would have it; for formats in which a
   * run's bytes lie together. The payload has been checked.
   */
  readonly decodeRun?: (run: Floats, payload: Bytes, first: number) => void;
  /** vector <- payload. Throws ERR_SHAPE_MISMATCH when that is of another length. */
  readonly decode: (vector: Floats, payload: Bytes) => void;
}

export function createVectorCodec(
  format: WireFormat,
  { numParameters, numBuffers }: VectorLayout,
  vectorMath = plainVectorMath,
): VectorCodec {
  const floatBytes = Float32Array.BYTES_PER_ELEMENT;
  const encoding = format === 'f32' ? undefined : vectorMath.createEncoding(format);
  const gradientBytes = encoding?.encodedBytes(numParameters) ?? numParameters * floatBytes;
  const payloadBytes = gradientBytes + numBuffers * floatBytes;

  const check = (payload: Bytes): void => {
    if (payload.length === payloadBytes) return;
    const message = `${countOf(payload.length, 'byte')} of gradients, expected ${payloadBytes} for ${countOf(numParameters, 'parameter')}`;
    throw new ProtocolError('ERR_SHAPE_MISMATCH', `${message} as ${format} and ${numBuffers} statistics`);
  };
  const floatsAt = ({ buffer, byteOffset }: Bytes, offset: number, count: number): Floats =>
    new Float32Array(buffer, byteOffset + offset, count);
  const statisticsOf = (payload: Bytes): Floats => floatsAt(payload, gradientBytes, numBuffers);

  if (!encoding) {
    const asVector = (payload: Bytes): Floats => {
      check(payload);
      return floatsAt(payload, 0, numParameters + numBuffers);
    };
    return {
      payloadBytes,
      asBytes: ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength),
      asVector,
      check,
      encode: (payload, vector) => asVector(payload).set(vector),
      decode: (vector, payload) => vector.set(asVector(payload)),
    };
  }
  const isHalf = format === 'bf16' || format === 'f16';
  const decodeRun = (run: Floats, payload: Bytes, first: number): void => {
    const ofGradient = Math.max(0, Math.min(run.length, numParameters - first));
    const bytes = payload.subarray(2 * first, 2 * first + encoding.encodedBytes(ofGradient));
    encoding.decode(run.subarray(0, ofGradient), bytes);
    const ofStatistics = first + ofGradient - numParameters;
    const statistics = statisticsOf(payload).subarray(ofStatistics, ofStatistics + run.length - ofGradient);
    if (ofGradient < run.length) run.set(statistics, ofGradient);
  };
  const codec: VectorCodec = {
    payloadBytes,
    check,
    ...(isHalf && { decodeRun }),
    encode(payload, vector) {
      check(payload);
      encoding.encode(payload.subarray(0, gradientBytes), vector.subarray(0, numParameters));
      statisticsOf(payload).set(vector.subarray(numParameters));
    },
    decode(vector, payload) {
      check(payload);
      encoding.decode(vector.subarray(0, numParameters), payload.subarray(0, gradientBytes));
      vector.set(statisticsOf(payload), numParameters);
    },
  };
  return format === 'int8' ? withFeedback(codec, numParameters + numBuffers, vectorMath) : codec;
}

/** How many bytes float32 would take for each that the format takes. */
export function wireRatioOf(format: WireFormat, layout: VectorLayout): number {
  return createVectorCodec('f32', layout).payloadBytes / createVectorCodec(format, layout).payloadBytes;
}

/**
 * Error feedback: what rounding took away is kept and added to the next vector, so that small values, too, arrive in the
 * course of steps. Source: Seide et al., 1-Bit Stochastic Gradient Descent, 2014.
 */
function withFeedback(codec: VectorCodec, length: number, { addVectors, subtractVectors }: VectorMath): VectorCodec {
  const residual = new Float32Array(length);
  const decoded = new Float32Array(length);
  return {
    ...codec,
    encode(payload, vector) {
      addVectors(vector, vector, residual);
      codec.encode(payload, vector);
      codec.decode(decoded, payload);
      subtractVectors(residual, vector, decoded);
    },
  };
}
