/**
 * GrownLines: the lines of a file that grows, each once. What is there is streamed, so the size of the file does not
 * matter; a last line without an end is left until it has one.
 */
import { open, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

/** `cut`: the file was shortened or replaced, so lines that were read before are gone. No line is handed over then. */
export type Growth = 'same' | 'grown' | 'cut';

export interface GrownLines {
  /** Hands over the whole lines that came since the last call. A file that is not there has none. */
  read(take: (line: string) => void): Promise<Growth>;
}

export interface GrownLinesOptions {
  /** Of a file that is longer only its last bytes are read, from the first whole line among them. Default: all. */
  readonly lastBytes?: number;
}

/** Read at once: between pieces the process does other things. */
const PIECE_BYTES = 2 ** 18;
/** A line that is longer is no record, and is passed over. */
const MOST_LINE_BYTES = 2 ** 22;

const LINE_FEED = 10;

export function openGrownLines(path: string, { lastBytes = Infinity }: GrownLinesOptions = {}): GrownLines {
  /** The file that was read, and the position behind its last whole line. */
  let inode: number | undefined;
  let position = 0;

  return {
    async read(take) {
      const found = await stat(path).catch(() => undefined);
      if (!found?.isFile()) return inode === undefined ? 'same' : 'cut';
      if (inode !== undefined && (found.ino !== inode || found.size < position)) return 'cut';
      const isFirst = inode === undefined;
      inode = found.ino;
      if (found.size === position) return 'same';
      const file = await open(path, 'r').catch(() => undefined);
      if (!file) return 'same';
      try {
        const isInside = isFirst && found.size > lastBytes;
        const start = isInside ? found.size - lastBytes : position;
        position = await readLines(file, { start, end: found.size, isInside }, take);
      } finally {
        await file.close();
      }
      return 'grown';
    },
  };
}

interface Range {
  readonly start: number;
  readonly end: number;
  /** Whether it begins within a line, whose rest is passed over. */
  readonly isInside: boolean;
}

/** Returns where the last whole line ends. */
async function readLines(file: FileHandle, { start, end, isInside }: Range, take: (line: string) => void) {
  const piece = Buffer.alloc(Math.min(PIECE_BYTES, end - start));
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  let isPassedOver = isInside;
  let wholeUpTo = start;
  for (let at = start; at < end;) {
    const { bytesRead } = await file.read(piece, 0, Math.min(piece.length, end - at), at);
    if (bytesRead === 0) break;
    let from = 0;
    for (let feed = piece.indexOf(LINE_FEED); feed !== -1 && feed < bytesRead; feed = piece.indexOf(LINE_FEED, from)) {
      const rest = piece.subarray(from, feed);
      if (!isPassedOver) take(pending.length === 0 ? rest.toString() : Buffer.concat([...pending, rest]).toString());
      [pending, pendingBytes, isPassedOver] = [[], 0, false];
      from = feed + 1;
      wholeUpTo = at + from;
    }
    if (!isPassedOver && from < bytesRead) {
      pending.push(Buffer.from(piece.subarray(from, bytesRead)));
      pendingBytes += bytesRead - from;
      isPassedOver = pendingBytes > MOST_LINE_BYTES;
      if (isPassedOver) pending = [];
    }
    at += bytesRead;
  }
  return wholeUpTo;
}
