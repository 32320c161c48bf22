/**
 * Piece codec: pieces of a step's vector as payloads of the run's wire format, and back, in memory that is used again.
 *
 * A piece has one place where it lies while it travels: for f32 the vector itself, else bytes of its own. Each worker
 * encodes each piece once a step, as the sum it passes on or as the average it has completed. With int8 what rounding
 * took away there is kept and added at the next step's encoding of the same piece: error feedback at every hop.
 *
 * It is kept when the step's average is applied, and not before: of a step that is taken again, be it that its average was
 * not finite, nothing is carried on, and what was carried into it is there once more.
 */
import { countOf } from '../../protocol/counts.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import type { VectorMath } from '../../protocol/vectors/vector-math.ts';
import type { WireFormat } from '../../protocol/vectors/encoding.ts';
import type { Piece } from './pieces.ts';

type Bytes = Uint8Array<ArrayBuffer>;
type Floats = Float32Array<ArrayBuffer>;

export interface PieceCodec {
  /** Turns to the vector of a step: what follows reads and writes it in place. */
  open(vector: Floats): void;
  /** The average is applied, and every piece was encoded: what rounding took away since `open` goes with the next step. */
  commit(): void;
  /** The values of a piece in the vector. */
  valuesOf(piece: Piece): Floats;
  /** The payload of a piece as it stands in the vector. With int8 the values are changed: feedback is added. */
  encode(piece: Piece): Bytes;
  /** As `encode`; then the vector holds what the payload decodes to, as it will everywhere. */
  settle(piece: Piece): Bytes;
  /** The values of a payload; read them before the next call. ERR_SHAPE_MISMATCH when it is of another length. */
  decode(piece: Piece, payload: Bytes): Floats;
  /** Puts what a payload decodes to into the vector, and its bytes where they lie for their way on. */
  take(piece: Piece, payload: Bytes): Bytes;
}

export function createPieceCodec(format: WireFormat, pieces: readonly Piece[], vectorMath: VectorMath): PieceCodec {
  const encoding = format === 'f32' ? undefined : vectorMath.createEncoding(format);
  const isPlain = (piece: Piece): boolean => !encoding || piece.isExact;
  const bytesOf = (piece: Piece): number => (isPlain(piece) ? 4 * piece.count : encoding!.encodedBytes(piece.count));
  const encoded = pieces.map((piece) => new Uint8Array(isPlain(piece) ? 0 : bytesOf(piece)));
  const hasFeedback = format === 'int8';
  const createResiduals = () =>
    pieces.map((piece) => new Float32Array(hasFeedback && !piece.isExact ? piece.count : 0));
  /** Of the last step that was applied, and of the one at hand. */
  let carried = createResiduals();
  let fresh = createResiduals();
  const scratch = new Float32Array(encoding ? Math.max(0, ...pieces.map(({ count }) => count)) : 0);
  let vector: Floats;

  const valuesOf = ({ first, count }: Piece): Floats => vector.subarray(first, first + count);
  const travelling = (piece: Piece): Bytes => {
    if (!isPlain(piece)) return encoded[piece.index]!;
    return new Uint8Array(vector.buffer, vector.byteOffset + 4 * piece.first, 4 * piece.count);
  };
  const decode = (piece: Piece, payload: Bytes): Floats => {
    if (payload.length !== bytesOf(piece)) {
      const message = `piece ${piece.index}: ${countOf(payload.length, 'byte')}, expected ${bytesOf(piece)} as ${format}`;
      throw new ProtocolError('ERR_SHAPE_MISMATCH', message);
    }
    if (isPlain(piece)) return new Float32Array(payload.buffer, payload.byteOffset, piece.count);
    const values = scratch.subarray(0, piece.count);
    encoding!.decode(values, payload);
    return values;
  };
  const encode = (piece: Piece): Bytes => {
    const bytes = travelling(piece);
    if (isPlain(piece)) return bytes;
    const values = valuesOf(piece);
    if (hasFeedback) vectorMath.addVectors(values, values, carried[piece.index]!);
    encoding!.encode(bytes, values);
    if (hasFeedback) vectorMath.subtractVectors(fresh[piece.index]!, values, decode(piece, bytes));
    return bytes;
  };

  return {
    open: (stepVector) => void (vector = stepVector),
    commit: () => void ([carried, fresh] = [fresh, carried]),
    valuesOf,
    encode,
    settle(piece) {
      const bytes = encode(piece);
      if (!isPlain(piece)) encoding!.decode(valuesOf(piece), bytes);
      return bytes;
    },
    decode,
    take(piece, payload) {
      const values = decode(piece, payload);
      const bytes = travelling(piece);
      bytes.set(payload);
      if (!isPlain(piece)) valuesOf(piece).set(values);
      return bytes;
    },
  };
}
