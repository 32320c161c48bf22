/** Gradient encoder: a worker's sums as payloads in the run's wire format, in memory that is used again. */
import type { ModelPlan } from '../protocol/state/model-spec.ts';
import type { VectorMath } from '../protocol/state/vector-math.ts';
import type { WireFormat } from '../protocol/wire/encoding.ts';
import { createVectorCodec } from '../protocol/wire/vector-codec.ts';

type Bytes = Uint8Array<ArrayBuffer>;

interface Summed {
  /** [gradient | statistics] */
  readonly values: Float32Array<ArrayBuffer>;
}

export interface GradientEncoder<Vector extends Summed> {
  /** The payload of `vector`, which belongs to the encoder from here on. */
  encode(vector: Vector): Bytes;
  /** Tells that all payloads so far have arrived: their memory may be used again. */
  arrived(): void;
}

/** `free` is called with each vector whose memory is no longer needed. */
export function createGradientEncoder<Vector extends Summed>(
  format: WireFormat,
  plan: ModelPlan,
  vectorMath: VectorMath,
  free: (vector: Vector) => void,
): GradientEncoder<Vector> {
  const codec = createVectorCodec(format, plan, vectorMath);
  const { asBytes, payloadBytes } = codec;
  if (asBytes) {
    const travelling: Vector[] = [];
    return {
      encode(vector) {
        travelling.push(vector);
        return asBytes(vector.values);
      },
      arrived() {
        travelling.splice(0).forEach(free);
      },
    };
  }

  const idle: Bytes[] = [];
  const travelling: Bytes[] = [];
  return {
    encode(vector) {
      const payload = idle.pop() ?? new Uint8Array(payloadBytes);
      codec.encode(payload, vector.values);
      free(vector);
      travelling.push(payload);
      return payload;
    },
    arrived() {
      idle.push(...travelling.splice(0));
    },
  };
}
