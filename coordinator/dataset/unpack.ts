/** Unpacks a published archive, zip or .tar.gz, into one folder: its files by their last names, whatever folders they were in. */
import { closeSync, createReadStream, openSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { Unzip, UnzipInflate } from 'fflate';
import { extract } from 'tar-stream';
import { countOf } from '../../protocol/counts.ts';
import { ConfigError, describeError } from '../../protocol/errors.ts';
import { readPieces } from './readers/byte-stream.ts';
import { ZIP_PIECE_BYTES } from './readers/npz.ts';

/** The largest archive has 1.8 GB of files: one that has more is none of those that are known here. */
const MAX_UNPACKED_BYTES = 4 * 2 ** 30;

/** Throws `ConfigError` naming the archive when it is damaged or unpacks to too much. */
export async function unpack(path: string, folder: string): Promise<void> {
  try {
    await (path.endsWith('.zip') ? unpackZip(path, folder) : unpackTar(path, folder));
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(`${path}: cannot be unpacked: ${describeError(error)}: fetch it anew`, { cause: error });
  }
}

/** Writes a file piece by piece. `budget` counts the bytes of all files together. */
function createWriter(path: string, budget: { left: number }) {
  const file = openSync(path, 'w');
  return {
    write(piece: Uint8Array) {
      budget.left -= piece.length;
      if (budget.left < 0) throw new Error(`more than ${countOf(MAX_UNPACKED_BYTES, 'byte')}`);
      for (let at = 0; at < piece.length;) at += writeSync(file, piece, at);
    },
    close: () => closeSync(file),
  };
}

async function unpackZip(path: string, folder: string): Promise<void> {
  const budget = { left: MAX_UNPACKED_BYTES };
  let numOpen = 0;
  let problem: Error | undefined;
  const unzip = new Unzip((member) => {
    if (member.name.endsWith('/')) return;
    const writer = createWriter(join(folder, basename(member.name)), budget);
    numOpen++;
    member.ondata = (error, piece, isLast) => {
      if (problem !== undefined) return;
      try {
        if (error) throw error;
        writer.write(piece);
        if (!isLast) return;
        writer.close();
        numOpen--;
      } catch (caught) {
        problem = caught as Error;
        writer.close();
      }
    };
    member.start();
  });
  unzip.register(UnzipInflate);
  for await (const piece of readPieces(path, ZIP_PIECE_BYTES)) {
    unzip.push(piece);
    if (problem !== undefined) throw problem;
  }
  if (numOpen > 0) throw new Error('it is cut short');
}

async function unpackTar(path: string, folder: string): Promise<void> {
  const budget = { left: MAX_UNPACKED_BYTES };
  const unpacking = extract();
  unpacking.on('entry', (header, stream, next) => {
    if (header.type !== 'file') {
      stream.resume();
      stream.on('end', next);
      return;
    }
    const writer = createWriter(join(folder, basename(header.name)), budget);
    stream.on('data', (piece) => {
      try {
        writer.write(piece as Uint8Array);
      } catch (error) {
        unpacking.destroy(error as Error);
      }
    });
    stream.on('end', next);
    stream.on('close', () => writer.close());
  });
  await pipeline(createReadStream(path), createGunzip(), unpacking);
}
