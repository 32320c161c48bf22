/**
 * CRC-32 of gzip: reflected, polynomial 0x04C11DB7, begins and ends inverted. Source: RFC 1952, 8. The table is that of one byte
 * at a time.
 */

/** The polynomial with its bits in reverse. */
const REVERSED_POLYNOMIAL = 0xedb88320;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? REVERSED_POLYNOMIAL : 0);
  return remainder;
});

/** The checksum, from 0 to 2^32 - 1, of what has the checksum `before`, and `bytes` after it. */
export function crc32(bytes: Uint8Array, before = 0): number {
  let remainder = ~before;
  for (const byte of bytes) remainder = (remainder >>> 8) ^ TABLE[(remainder ^ byte) & 0xff]!;
  return ~remainder >>> 0;
}
