/** Bytes that are read by range, wherever they are: in pieces of memory, or in a file of any size. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ConfigError } from '../errors.ts';
import { describeSystemError } from '../system-errors.ts';

export interface ByteSource {
  readonly byteLength: number;
  /** Fills `into` with the bytes from `offset` on. Throws `RangeError` beyond the end, `ConfigError` when a file fails. */
  read(into: Uint8Array, offset: number): void;
  /** The bytes themselves where they lie in one piece of memory: a view. Undefined elsewhere. */
  view(offset: number, length: number): Uint8Array<ArrayBuffer> | undefined;
  /** Gives back what it holds; reading is over. */
  close(): void;
}

/** Pieces one after another, without copying them. */
export function memoryBytes(pieces: readonly Uint8Array<ArrayBuffer>[]): ByteSource {
  return joinedBytes(
    pieces.map((piece) => ({
      byteLength: piece.length,
      read: (into, offset) => into.set(piece.subarray(offset, offset + into.length)),
      view: (offset, length) => piece.subarray(offset, offset + length),
      close: () => {},
    })),
  );
}

/** A file's, opened now. Throws `ConfigError`, which names `path`, when it cannot be. */
export function fileBytes(path: string): ByteSource {
  const failing = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      if (error instanceof RangeError) throw error;
      throw new ConfigError(describeSystemError(path, 'read', error), { cause: error });
    }
  };
  const file = failing(() => openSync(path, 'r'));
  const byteLength = failing(() => fstatSync(file).size);
  let isOpen = true;
  return {
    byteLength,
    read(into, offset) {
      checkRange(offset, into.length, byteLength);
      failing(() => {
        for (let at = 0; at < into.length;) {
          const numRead = readSync(file, into, at, Math.min(into.length - at, MAX_READ_BYTES), offset + at);
          if (numRead === 0) throw new ConfigError(`${path}: it was cut short while it was read: put it back`);
          at += numRead;
        }
      });
    },
    view: () => undefined,
    close() {
      if (isOpen) closeSync(file);
      isOpen = false;
    },
  };
}

/** What one call of the system may read. */
const MAX_READ_BYTES = 2 ** 30;

/** Hashed at once: some milliseconds, after which others have their turn. */
const HASH_PIECE_BYTES = 4 * 2 ** 20;

/** A view of the bytes or a copy of them, whichever the source can give. */
export function bytesOf(source: ByteSource, offset: number, length: number): Uint8Array<ArrayBuffer> {
  const view = source.view(offset, length);
  if (view) return view;
  const bytes = new Uint8Array(length);
  source.read(bytes, offset);
  return bytes;
}

/** sha256 of all bytes, in hex, through one small piece of memory. The event loop has its turn in between. */
export async function sha256OfBytes(source: ByteSource): Promise<string> {
  const hash = createHash('sha256');
  let piece: Uint8Array | undefined;
  for (let offset = 0; offset < source.byteLength; offset += HASH_PIECE_BYTES) {
    const length = Math.min(HASH_PIECE_BYTES, source.byteLength - offset);
    const view = source.view(offset, length);
    if (view) {
      hash.update(view);
    } else {
      piece ??= new Uint8Array(length);
      const part = piece.subarray(0, length);
      source.read(part, offset);
      hash.update(part);
    }
    await nextTurn();
  }
  return hash.digest('hex');
}

/** Sources one after another, as one. Closing it closes all. */
export function joinedBytes(sources: readonly ByteSource[]): ByteSource {
  const starts: number[] = [];
  let byteLength = 0;
  for (const source of sources) {
    starts.push(byteLength);
    byteLength += source.byteLength;
  }
  return {
    byteLength,
    read(into, offset) {
      checkRange(offset, into.length, byteLength);
      for (const [index, source] of sources.entries()) {
        const begin = Math.max(offset, starts[index]!);
        const end = Math.min(offset + into.length, starts[index]! + source.byteLength);
        if (begin < end) source.read(into.subarray(begin - offset, end - offset), begin - starts[index]!);
      }
    },
    view(offset, length) {
      checkRange(offset, length, byteLength);
      const index = starts.findLastIndex((start) => start <= offset);
      const source = sources[index];
      const begin = offset - (starts[index] ?? 0);
      return source && begin + length <= source.byteLength ? source.view(begin, length) : undefined;
    },
    close() {
      for (const source of sources) source.close();
    },
  };
}

/** The bytes of a source from `offset` on. */
export function bytesFrom(source: ByteSource, offset: number): ByteSource {
  return {
    byteLength: source.byteLength - offset,
    read: (into, at) => source.read(into, offset + at),
    view: (at, length) => source.view(offset + at, length),
    close: () => source.close(),
  };
}

function checkRange(offset: number, length: number, byteLength: number): void {
  if (offset < 0 || offset + length > byteLength) {
    throw new RangeError(`bytes ${offset} to ${offset + length} were asked for of ${byteLength}`);
  }
}
