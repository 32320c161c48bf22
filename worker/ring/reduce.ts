/**
 * Ring reduce: one worker's part in summing a vector over all workers and sharing the average: reduce-scatter, then
 * all-gather. `pieces.ts` says which piece goes when; here each arrival is worked on and passed on at once.
 *
 * Why nothing that is still being sent is written to, though every piece has one place to lie:
 * - A sum that was passed on lies still until the average of the same piece arrives. That average holds the sum, so the
 *   successor has read it.
 * - An average that was passed on lies still until the next step. The coordinator opens that one when every worker has
 *   told it that it holds all averages, so the successor has read them.
 * Source: Patarasuk and Yuan, Bandwidth optimal all-reduce algorithms for clusters of workstations, 2009.
 */
import { ProtocolError } from '../../protocol/errors.ts';
import type { VectorMath } from '../../protocol/vectors/vector-math.ts';
import type { WireFormat } from '../../protocol/vectors/encoding.ts';
import type { MessageOf } from '../../protocol/wire/messages.ts';
import { receiveKind } from '../../protocol/wire/transport.ts';
import type { RingLinks } from './links.ts';
import { createPieceCodec } from './piece-codec.ts';
import { chunkAt, expectedPieces, planPieces } from './pieces.ts';
import type { ExpectedPiece, Sizes } from './pieces.ts';

export interface RingReduceOptions extends Sizes {
  readonly links: RingLinks;
  readonly wire: WireFormat;
  readonly vectorMath: VectorMath;
  /** The longest wait for a piece. */
  readonly timeoutMs: number;
}

export interface Exchanged {
  /** Whether every value of the average is a number: the same answer at every worker, for all hold the same bits. */
  readonly isFinite: boolean;
  /** Time spent on packing and unpacking, and on adding up. */
  readonly encodeMs: number;
  readonly reduceMs: number;
}

export interface RingReduce {
  /**
   * vector [numParameters + numExact] <- sum over all workers / numSamples, in place. The caller leaves the vector as it
   * is until every worker is known to have the average. Rejects with ERR_PEER_LOST, naming the neighbour, when a link
   * breaks or something else comes than must.
   */
  average(vector: Float32Array<ArrayBuffer>, step: number, numSamples: number): Promise<Exchanged>;
  /**
   * The last average is applied. With int8 what rounding took away from it is carried on; without this the next call
   * begins where the last one began.
   */
  commit(): void;
}

export function createRingReduce(options: RingReduceOptions): RingReduce {
  const { links, wire, vectorMath, timeoutMs } = options;
  const { predecessor, successor, rank, size } = links;
  const { addVectors, divideVector } = vectorMath;
  const chunks = planPieces(options, size);
  const expected = expectedPieces(chunks, rank);
  const codec = createPieceCodec(wire, chunks.flat(), vectorMath);

  /** The next piece; it must be the one whose turn it is. */
  const receive = async ({ phase, piece }: ExpectedPiece, step: number) => {
    const message = await receiveKind(predecessor.transport, timeoutMs, 'ringChunk');
    if (message.step !== step || message.phase !== phase || message.piece !== piece.index) {
      const describe = (chunk: Pick<MessageOf<'ringChunk'>, 'step' | 'phase' | 'piece'>) =>
        `step ${chunk.step}, ${chunk.phase}, piece ${chunk.piece}`;
      const wanted = describe({ step, phase, piece: piece.index });
      throw new ProtocolError('ERR_UNEXPECTED_MESSAGE', `expected ${wanted}, got ${describe(message)}`);
    }
    return message.payload;
  };

  return {
    commit: () => codec.commit(),
    async average(vector, step, numSamples) {
      const spent = { encodeMs: 0, reduceMs: 0 };
      let isFinite = true;
      const timed = <T>(part: keyof typeof spent, work: () => T): T => {
        const startMs = performance.now();
        const result = work();
        spent[part] += performance.now() - startMs;
        return result;
      };
      const send = (phase: ExpectedPiece['phase'], piece: number, payload: Uint8Array<ArrayBuffer>) =>
        links.blaming(successor, () => successor.transport.send({ kind: 'ringChunk', step, phase, piece, payload }));

      codec.open(vector);
      for (const piece of chunkAt(chunks, rank)) {
        const bytes = timed('encodeMs', () => codec.encode(piece));
        await send('reduce', piece.index, bytes);
      }
      for (const arrival of expected) {
        const { phase, piece, isLastHop } = arrival;
        const payload = await links.blaming(predecessor, () => receive(arrival, step));
        const values = codec.valuesOf(piece);
        if (phase === 'gather') {
          const bytes = await links.blaming(predecessor, () => timed('encodeMs', () => codec.take(piece, payload)));
          predecessor.transport.recycle(payload);
          if (!isLastHop) await send('gather', piece.index, bytes);
          isFinite = timed('reduceMs', () => divideVector(values, values, 1)) && isFinite;
          continue;
        }
        const sum = await links.blaming(predecessor, () => timed('encodeMs', () => codec.decode(piece, payload)));
        timed('reduceMs', () => addVectors(values, values, sum));
        predecessor.transport.recycle(payload);
        if (!isLastHop) {
          const bytes = timed('encodeMs', () => codec.encode(piece));
          await send('reduce', piece.index, bytes);
        } else {
          timed('reduceMs', () => divideVector(values, values, numSamples));
          const bytes = timed('encodeMs', () => codec.settle(piece));
          await send('gather', piece.index, bytes);
          isFinite = timed('reduceMs', () => divideVector(values, values, 1)) && isFinite;
        }
      }
      return { isFinite, ...spent };
    },
  };
}
