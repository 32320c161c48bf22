/**
 * The file of a trace: one JSON object, compressed as one gzip member, that is whole whenever it is looked at.
 *
 * Deflate is a sequence of blocks. Events are compressed to blocks that end at a byte (a sync flush) and refer to nothing before
 * them; the end of the JSON object is a last block, with gzip's checksum and length after it. More events are written over that
 * end, in one write together with a new one. So nothing has to be done when a run ends, in whatever way.
 * Sources: RFC 1951, 3.2; RFC 1952, 2.3.
 */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { constants, deflateRawSync } from 'node:zlib';
import { crc32 } from './crc32.ts';

export interface TraceFile {
  readonly path: string;
  /** Before compression, of the events. */
  readonly numBytes: number;
  /** Adds events, each a JSON object, and says anew what is known of the whole. Throws a system error. */
  append(events: readonly string[], otherData: object): void;
  close(): void;
}

/** Magic, deflate, no flags, no time, no extra flags, an unknown system. */
const GZIP_HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
/** Half of the time of the default, for a fifth more bytes. */
const LEVEL = 3;
const SYNC = { level: LEVEL, finishFlush: constants.Z_SYNC_FLUSH };

/** Creates `trace.json.gz` in the folder, or `trace-2.json.gz` and so on where that is there: each process has its own. */
export function createTraceFile(folder: string): TraceFile {
  const { path, file } = openNew(folder);
  /** Where the end of the object begins, in the file. */
  let endAt = 0;
  let numBytes = 0;
  let checksum = 0;
  let hasEvents = false;

  return {
    path,
    get numBytes() {
      return numBytes;
    },
    append(events, otherData) {
      const isFirst = endAt === 0;
      const head = isFirst ? '{"displayTimeUnit":"ms","traceEvents":[\n' : '';
      const separator = hasEvents && events.length > 0 ? ',\n' : '';
      const body = Buffer.from(`${head}${separator}${events.join(',\n')}`);
      const end = Buffer.from(`\n],"otherData":${JSON.stringify(otherData)}}\n`);
      const blocks = Buffer.concat([isFirst ? GZIP_HEADER : Buffer.alloc(0), deflateRawSync(body, SYNC)]);
      const bodyChecksum = crc32(body, checksum);
      const trailer = Buffer.alloc(8);
      trailer.writeUInt32LE(crc32(end, bodyChecksum), 0);
      trailer.writeUInt32LE((numBytes + body.length + end.length) % 2 ** 32, 4);
      const written = Buffer.concat([blocks, deflateRawSync(end, { level: LEVEL }), trailer]);
      for (let at = 0; at < written.length;) at += writeSync(file, written, at, written.length - at, endAt + at);
      ftruncateSync(file, endAt + written.length);
      endAt += blocks.length;
      numBytes += body.length;
      checksum = bodyChecksum;
      hasEvents ||= events.length > 0;
    },
    close() {
      closeSync(file);
    },
  };
}

function openNew(folder: string): { path: string; file: number } {
  for (let nth = 1; ; nth++) {
    const path = join(folder, nth === 1 ? 'trace.json.gz' : `trace-${nth}.json.gz`);
    try {
      return { path, file: openSync(path, 'wx') };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}
