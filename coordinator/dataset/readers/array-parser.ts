/**
 * Arrays of numbers as they come off a stream: a header, then the elements, and nothing after. Memory is set aside for
 * what the header says, and touched only as far as bytes come: what unpacks to more than it claims is refused at once.
 */
import { countOf } from '../../../protocol/counts.ts';
import { ConfigError } from '../../../protocol/errors.ts';
import { MAX_DATASET_BYTES } from './reader.ts';

export interface ArrayHeader {
  readonly headerBytes: number;
  readonly shape: readonly number[];
  /** Of an element. */
  readonly itemBytes: number;
}

export interface ParsedArray<H extends ArrayHeader> {
  readonly header: H;
  /** The elements, as the file has them. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export interface ArrayParser<H extends ArrayHeader> {
  /** Throws `ConfigError` for a header that is wrong and for bytes after the last element. */
  push(chunk: Uint8Array): void;
  /** Throws `ConfigError` when elements are missing. */
  end(): ParsedArray<H>;
}

/** Longer headers than this are none. */
const MAX_HEADER_BYTES = 65_536;

/**
 * `readHeader` gets the bytes so far: it gives the header, or undefined for too few bytes, or throws. `subject`: the file,
 * for messages.
 */
export function createArrayParser<H extends ArrayHeader>(
  subject: string,
  readHeader: (bytes: Uint8Array) => H | undefined,
): ArrayParser<H> {
  let begun: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  let header: H | undefined;
  let bytes: Uint8Array<ArrayBuffer> | undefined;
  let at = 0;

  const add = (chunk: Uint8Array) => {
    if (at + chunk.length > bytes!.length) {
      const expected = `${countOf(header!.headerBytes + bytes!.length, 'byte')}, as its header says`;
      throw new ConfigError(`${subject}: bytes after the end: expected ${expected}, got more: fetch or write it anew`);
    }
    bytes!.set(chunk, at);
    at += chunk.length;
  };

  return {
    push(chunk) {
      if (header) {
        add(chunk);
        return;
      }
      const joined = new Uint8Array(begun.length + chunk.length);
      joined.set(begun);
      joined.set(chunk, begun.length);
      begun = joined;
      header = readHeader(begun);
      if (!header) {
        if (begun.length > MAX_HEADER_BYTES) throw new ConfigError(`${subject}: its header has no end`);
        return;
      }
      bytes = allocate(subject, header);
      add(begun.subarray(header.headerBytes));
      begun = new Uint8Array(0);
    },
    end() {
      if (!header || !bytes) {
        throw new ConfigError(`${subject}: truncated: ${countOf(begun.length, 'byte')}, which is not even a header`);
      }
      if (at < bytes.length) {
        const expected = countOf(header.headerBytes + bytes.length, 'byte');
        const got = countOf(header.headerBytes + at, 'byte');
        throw new ConfigError(`${subject}: truncated: expected ${expected}, got ${got}: fetch or write it anew`);
      }
      return { header, bytes };
    },
  };
}

function allocate(subject: string, { shape, itemBytes }: ArrayHeader): Uint8Array<ArrayBuffer> {
  const numBytes = shape.reduce((a, b) => a * b, itemBytes);
  if (numBytes <= MAX_DATASET_BYTES) {
    try {
      return new Uint8Array(numBytes);
    } catch {
      // More than this machine can set aside.
    }
  }
  throw new ConfigError(
    `${subject}: its header says [${shape.join(', ')}], ${countOf(numBytes, 'byte')}, more than can be read here: name the right file`,
  );
}
