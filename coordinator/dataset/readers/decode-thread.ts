/** What a thread that decodes images runs: files are read and decoded as they are asked for, a batch at a time. */
import { readFileSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { ConfigError, describeError } from '../../../protocol/errors.ts';
import { describeSystemError, isSystemError } from '../../../protocol/system-errors.ts';
import { decodeImage } from './decode-image.ts';
import type { DecodedImage } from './decode-image.ts';
import type { ImageSize } from './reader.ts';

export interface DecodeRequest {
  readonly paths: readonly string[];
  readonly resize: ImageSize | undefined;
}

export type DecodeReply = { readonly images: readonly DecodedImage[] } | { readonly error: string };

parentPort!.on('message', ({ paths, resize }: DecodeRequest) => {
  let reply: DecodeReply;
  try {
    reply = { images: paths.map((path) => decodeImage(path, readImageFile(path), resize)) };
  } catch (error) {
    reply = { error: error instanceof ConfigError ? error.message : describeError(error) };
  }
  const buffers = 'images' in reply ? reply.images.map(({ planes }) => planes.buffer) : [];
  parentPort!.postMessage(reply, [...new Set(buffers)]);
});

function readImageFile(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw new ConfigError(describeSystemError(path, 'read', error), { cause: error });
  }
}
