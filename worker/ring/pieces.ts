/**
 * Pieces: how the vector of a step is cut for its way around the ring, and in which order its pieces come and go.
 *
 * The vector, [gradient | statistics x samples | loss], is cut into one chunk for each worker, and each chunk into pieces
 * that are sent one by one, so that sending, receiving and adding overlap. Chunks and ranks are numbered from 0, and wrap
 * around. Worker r sends chunk r first; what it receives, r - 1, r - 2, ... down to r + 1, it adds to its own and passes
 * on. Chunk r + 1 is then complete at worker r, which averages it and sends it around once more.
 */
import { part } from '../../protocol/data/sharding.ts';

export interface Piece {
  readonly index: number;
  /** A run of values of the vector. */
  readonly first: number;
  readonly count: number;
  /** Travels as float32 whatever the run's wire format: statistics and the loss. */
  readonly isExact: boolean;
}

export interface Sizes {
  readonly numParameters: number;
  /** Values behind the gradient. */
  readonly numExact: number;
}

/** Arrival `i` of a step: which piece it is, and whether it is a sum that travels, or an average. */
export interface ExpectedPiece {
  readonly phase: 'reduce' | 'gather';
  readonly piece: Piece;
  /** Nobody behind this worker needs it in this phase. */
  readonly isLastHop: boolean;
}

/** 256 KiB as float32: short beside a chunk of megabytes, long beside what a message costs. */
export const PIECE_VALUES = 65_536;

/** The pieces of each of `size` chunks. Those of the values behind the gradient are few, and end the last chunk. */
export function planPieces({ numParameters, numExact }: Sizes, size: number): Piece[][] {
  const gradient = { first: 0, count: numParameters };
  let numPieces = 0;
  return Array.from({ length: size }, (_, index) => {
    const chunk = part(gradient, size, index);
    const numParts = Math.ceil(chunk.count / PIECE_VALUES);
    const pieces = Array.from({ length: numParts }, (_, i) => {
      return { index: numPieces++, ...part(chunk, numParts, i), isExact: false };
    });
    const isLast = index === size - 1;
    if (!isLast || numExact === 0) return pieces;
    return [...pieces, { index: numPieces++, first: numParameters, count: numExact, isExact: true }];
  });
}

/** What the predecessor sends in a step, in order: sums of all chunks except `rank`, averages of all except one. */
export function expectedPieces(chunks: readonly Piece[][], rank: number): ExpectedPiece[] {
  const size = chunks.length;
  const rounds = Array.from({ length: size - 1 }, (_, round) => round);
  const arrivals = (phase: ExpectedPiece['phase'], offset: number) =>
    rounds.flatMap((round) => {
      const isLastHop = round === size - 2;
      return chunkAt(chunks, rank + offset - round).map((piece) => ({ phase, piece, isLastHop }));
    });
  return [...arrivals('reduce', -1), ...arrivals('gather', 0)];
}

/** Chunk number `index`, counted around the ring. */
export function chunkAt(chunks: readonly Piece[][], index: number): Piece[] {
  const size = chunks.length;
  return chunks[((index % size) + size) % size]!;
}
