/**
 * The pieces of a dataset that workers are sent. Many workers may ask for a dataset at once: a piece is read once for all of
 * them, so that what waits to be sent is the dataset itself, and not a copy for each worker.
 */
import { bytesOf } from '../../protocol/data/byte-source.ts';
import type { ByteSource } from '../../protocol/data/byte-source.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';

export interface DatasetPieces {
  /** Bytes that nobody changes: workers that ask for the same ones are given the same memory. */
  at(offset: number, length: number): Uint8Array<ArrayBuffer>;
}

/** Of pieces that had to be copied, those asked for last are kept, up to `mostKeptBytes`. */
export function createDatasetPieces(bytes: ByteSource, mostKeptBytes: number = LIMITS.datasetKeptBytes): DatasetPieces {
  const kept = new Map<string, Uint8Array<ArrayBuffer>>();
  let keptBytes = 0;

  const forgetOldest = () => {
    const [key, piece] = kept.entries().next().value!;
    kept.delete(key);
    keptBytes -= piece.length;
  };

  return {
    at(offset, length) {
      const view = bytes.view(offset, length);
      if (view) return view;
      const key = `${offset}+${length}`;
      const piece = kept.get(key) ?? bytesOf(bytes, offset, length);
      // Behind all others: it was asked for last.
      if (!kept.delete(key)) keptBytes += length;
      kept.set(key, piece);
      while (keptBytes > mostKeptBytes) forgetOldest();
      return piece;
    },
  };
}
