/**
 * Writes small PNG files while a run trains: with the system's zlib, one takes 1/10 to 1/30 of the time that a library in
 * JavaScript takes. Grey or RGB with 8 bits, no filter, no interlacing.
 *
 * Format: https://www.w3.org/TR/png-3/
 */
import { deflateSync } from 'node:zlib';
import { crc32 } from './crc32.ts';

export interface Pixels {
  readonly width: number;
  readonly height: number;
  /** 1: grey; 3: red, green, blue. */
  readonly channels: 1 | 3;
  /** [height, width, channels] */
  readonly data: Uint8Array;
}

const SIGNATURE = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
const BITS = 8;
const COLOUR_TYPES = { 1: 0, 3: 2 } as const;

/** The file's bytes. */
export function encodePng({ width, height, channels, data }: Pixels): Uint8Array {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([BITS, COLOUR_TYPES[channels]], 8);
  // Each row begins with the number of its filter: 0, for none.
  const rowBytes = width * channels;
  const rows = new Uint8Array(height * (1 + rowBytes));
  for (let row = 0; row < height; row++) {
    rows.set(data.subarray(row * rowBytes, (row + 1) * rowBytes), row * (1 + rowBytes) + 1);
  }
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', new Uint8Array(0)),
  ]);
}

/** Length, type, data, and the checksum of the last two; numbers are big-endian. */
function chunk(type: string, data: Uint8Array): Buffer {
  const bytes = Buffer.alloc(4 + 4 + data.length + 4);
  bytes.writeUInt32BE(data.length, 0);
  bytes.write(type, 4, 'latin1');
  bytes.set(data, 8);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, 8 + data.length)), 8 + data.length);
  return bytes;
}
