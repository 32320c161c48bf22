/** Many image files as one array: threads decode them, and this one puts them together and checks that they fit. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { ImageShape } from '../../../protocol/data/dataset.ts';
import { ConfigError } from '../../../protocol/errors.ts';
import type { DecodedImage } from './decode-image.ts';
import type { DecodeReply, DecodeRequest } from './decode-thread.ts';
import { threadFlags } from '../../../protocol/thread-flags.ts';
import type { ReadOptions } from './reader.ts';

const ENTRY = new URL(import.meta.url.endsWith('.ts') ? './from-sources.mjs' : './decode-thread.js', import.meta.url);

/** Files a request: enough that messages cost nothing, few enough that threads end together. */
const BATCH = 64;
/** More threads than this wait for the disk and for this one. */
const MOST_THREADS = 8;
/** Between two lines that say how far it has come. */
const PROGRESS_MS = 5000;

export interface DecodedImages {
  readonly shape: ImageShape;
  /** [paths.length, ...shape] */
  readonly images: Uint8Array<ArrayBuffer>;
}

/**
 * Decodes `paths`, in their order. All become grey where all are, else all red, green and blue. Throws `ConfigError` for a
 * file that cannot be read or decoded, and for images of different sizes without `resize`.
 */
export async function decodeImages(
  paths: readonly string[],
  { resize, log }: Pick<ReadOptions, 'resize' | 'log'>,
): Promise<DecodedImages> {
  const collection = createCollection(paths);
  /** Batches that came before one that is still being decoded, by their first image. */
  const decoded = new Map<number, readonly DecodedImage[]>();
  let nextBatch = 0;
  let numDecoded = 0;
  let toldMs = performance.now();
  const numBatches = Math.ceil(paths.length / BATCH);

  const work = async (thread: Worker) => {
    while (nextBatch < numBatches) {
      const first = BATCH * nextBatch++;
      const images = await decodeBatch(thread, { paths: paths.slice(first, first + BATCH), resize });
      decoded.set(first, images);
      // In their order, so that of two that do not fit it is always the same two that are named.
      for (let next = decoded.get(numDecoded); next; next = decoded.get(numDecoded)) {
        decoded.delete(numDecoded);
        for (const [i, image] of next.entries()) collection.add(numDecoded + i, image);
        numDecoded += next.length;
      }
      if (performance.now() - toldMs < PROGRESS_MS) continue;
      toldMs = performance.now();
      log(`reading images: ${numDecoded} of ${paths.length}`);
    }
  };

  const numThreads = Math.min(availableParallelism(), MOST_THREADS, numBatches);
  const threads = Array.from(
    { length: numThreads },
    () => new Worker(ENTRY, { ...threadFlags(), name: 'decode images' }),
  );
  try {
    await Promise.all(threads.map(work));
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()));
  }
  return collection.finish();
}

function decodeBatch(thread: Worker, request: DecodeRequest): Promise<readonly DecodedImage[]> {
  return new Promise((resolve, reject) => {
    const onMessage = (reply: DecodeReply) => {
      stop();
      if ('error' in reply) reject(new ConfigError(reply.error));
      else resolve(reply.images);
    };
    const onError = (error: Error) => {
      stop();
      reject(error);
    };
    const onExit = (code: number) => onError(new Error(`a thread that decodes images ended with ${code}`));
    const stop = () => thread.off('message', onMessage).off('error', onError).off('exit', onExit);
    thread.on('message', onMessage).on('error', onError).on('exit', onExit);
    thread.postMessage(request);
  });
}

/** Images of one size, put where they belong as they come. */
function createCollection(paths: readonly string[]) {
  let size: { readonly path: string; readonly height: number; readonly width: number } | undefined;
  let channels: 1 | 3 = 1;
  let images = new Uint8Array(0);

  const planeBytes = () => size!.height * size!.width;
  /** Grey images become three equal planes. */
  const toColour = () => {
    const grey = images;
    const plane = planeBytes();
    images = new Uint8Array(3 * grey.length);
    for (let at = 0; at < grey.length; at += plane) {
      const one = grey.subarray(at, at + plane);
      for (let channel = 0; channel < 3; channel++) images.set(one, 3 * at + channel * plane);
    }
    channels = 3;
  };

  return {
    add(index: number, image: DecodedImage) {
      const { height, width, planes } = image;
      const path = paths[index]!;
      if (!size) {
        size = { path, height, width };
        channels = image.channels;
        images = new Uint8Array(paths.length * channels * planeBytes());
      }
      if (height !== size.height || width !== size.width) {
        throw new ConfigError(
          `images of two sizes: ${size.path} has ${size.height}x${size.width} pixels, ${path} has ${height}x${width} (height x ` +
            'width): give --resize HxW, which brings all to one size',
        );
      }
      if (image.channels > channels) toColour();
      const at = index * channels * planeBytes();
      for (let channel = 0; channel < channels; channel += image.channels) {
        images.set(planes, at + channel * planeBytes());
      }
    },
    finish: (): DecodedImages => ({ shape: [channels, size!.height, size!.width], images }),
  };
}
