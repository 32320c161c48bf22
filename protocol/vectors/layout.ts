/** Layout: the two parts of a vector that travels. */

/** Their lengths, in values: `vector-codec.ts` encodes the first part, and leaves the second as float32. */
export interface VectorLayout {
  readonly numParameters: number;
  readonly numBuffers: number;
}
