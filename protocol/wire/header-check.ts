/**
 * Header check: whether a header is plain msgpack, before a library that can do more decodes it.
 *
 * Plain is nil, booleans, numbers, strings of sound UTF-8, arrays, and maps whose keys are strings. Msgpack's extensions
 * are not: through them a few hundred bytes could stand for gigabytes (values that refer to one another) or for
 * functions to be compiled (record definitions). It allocates nothing and reads each byte once.
 */
import { isUtf8 } from 'node:buffer';

/** Values within values. The deepest header, that of `welcome` with the layers of a model, has four. */
const MAX_HEADER_DEPTH = 8;

/** Bytes after the type byte of the numbers 0xca to 0xd3: float 32 and 64, uint 8 to 64, int 8 to 64. */
const NUMBER_BYTES = [4, 8, 1, 2, 4, 8, 1, 2, 4, 8] as const;

/** Whether `bytes` are exactly one plain value. */
export function isPlainMsgpack(bytes: Uint8Array<ArrayBuffer>): boolean {
  return endOfValue(bytes, 0, 0) === bytes.length;
}

/** Where the value at `at` ends; NaN, which no place equals or is below, where there is no plain value. */
function endOfValue(bytes: Uint8Array<ArrayBuffer>, at: number, depth: number): number {
  const type = bytes[at];
  if (type === undefined) return NaN;
  const next = at + 1;
  if (type <= 0x7f || type >= 0xe0) return next; // a small integer
  if (type <= 0x8f) return endOfEntries(bytes, next, type & 0x0f, true, depth);
  if (type <= 0x9f) return endOfEntries(bytes, next, type & 0x0f, false, depth);
  if (type <= 0xbf) return endOfString(bytes, next, type & 0x1f);
  if (type === 0xc0 || type === 0xc2 || type === 0xc3) return next; // nil, false, true
  if (type >= 0xca && type <= 0xd3) {
    const end = next + NUMBER_BYTES[type - 0xca]!;
    return end <= bytes.length ? end : NaN;
  }
  switch (type) {
    case 0xd9:
      return endOfString(bytes, next + 1, bigEndian(bytes, next, 1));
    case 0xda:
      return endOfString(bytes, next + 2, bigEndian(bytes, next, 2));
    case 0xdb:
      return endOfString(bytes, next + 4, bigEndian(bytes, next, 4));
    case 0xdc:
      return endOfEntries(bytes, next + 2, bigEndian(bytes, next, 2), false, depth);
    case 0xdd:
      return endOfEntries(bytes, next + 4, bigEndian(bytes, next, 4), false, depth);
    case 0xde:
      return endOfEntries(bytes, next + 2, bigEndian(bytes, next, 2), true, depth);
    case 0xdf:
      return endOfEntries(bytes, next + 4, bigEndian(bytes, next, 4), true, depth);
    default:
      return NaN; // bytes, extensions, and the type that is never used
  }
}

/** `count` values, in a map each after its key. */
function endOfEntries(
  bytes: Uint8Array<ArrayBuffer>,
  at: number,
  count: number,
  haveKeys: boolean,
  depth: number,
): number {
  if (!(depth < MAX_HEADER_DEPTH)) return NaN;
  let end = at;
  // Each value takes a byte at least, so a count beyond what is there ends the loop by its first missing value.
  for (let i = 0; i < count && end <= bytes.length; i++) {
    if (haveKeys) {
      if (!isString(bytes[end])) return NaN;
      end = endOfValue(bytes, end, depth + 1);
    }
    end = endOfValue(bytes, end, depth + 1);
  }
  // A count that could not be read is NaN.
  return count >= 0 ? end : NaN;
}

const isString = (type = 0): boolean => (type >= 0xa0 && type <= 0xbf) || (type >= 0xd9 && type <= 0xdb);

function endOfString(bytes: Uint8Array<ArrayBuffer>, at: number, length: number): number {
  const end = at + length;
  if (!(end <= bytes.length)) return NaN;
  // Almost all strings are ASCII: those need no call.
  for (let i = at; i < end; i++) if (bytes[i]! > 0x7f) return isUtf8(bytes.subarray(at, end)) ? end : NaN;
  return end;
}

/** An unsigned number of `width` bytes; NaN where fewer are left. */
function bigEndian(bytes: Uint8Array<ArrayBuffer>, at: number, width: number): number {
  let value = 0;
  for (let i = at; i < at + width; i++) value = 256 * value + (bytes[i] ?? NaN);
  return value;
}
