/** The bytes of a file as they are read, decompressed where it is a gzip file. */
import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { ConfigError, describeError } from '../../../protocol/errors.ts';
import { describeSystemError, isSystemError } from '../../../protocol/system-errors.ts';

const PIECE_BYTES = 256 * 1024;

/** Throws `ConfigError` naming the file when it cannot be read or decompressed. */
export async function* readPieces(path: string, pieceBytes = PIECE_BYTES): AsyncGenerator<Uint8Array> {
  const file = createReadStream(path, { highWaterMark: pieceBytes });
  const isCompressed = path.endsWith('.gz');
  // A file cut short ends early: the one who counts its bytes says so, better than the decompressor.
  const stream = isCompressed ? file.pipe(createGunzip({ chunkSize: PIECE_BYTES })) : file;
  if (isCompressed) file.on('error', (error) => stream.destroy(error));
  try {
    for await (const piece of stream) yield piece as Uint8Array;
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    if (isSystemError(error)) throw new ConfigError(describeSystemError(path, 'read', error), { cause: error });
    throw new ConfigError(`${path}: a damaged gzip file (${describeError(error)}): fetch or write it anew`);
  } finally {
    file.destroy();
    stream.destroy();
  }
}
