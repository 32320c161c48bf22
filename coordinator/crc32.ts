/**
 * CRC-32C (Castagnoli), the checksum of TFRecord files: reflected, polynomial 0x1EDC6F41, begins and ends inverted.
 *
 * Source: RFC 3720, appendix B.4. The table is that of one byte at a time.
 */

/** The polynomial with its bits in reverse. */
const REVERSED_POLYNOMIAL = 0x82f63b78;

/** What each value of the lowest byte adds, once it is shifted out. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? REVERSED_POLYNOMIAL : 0);
  return remainder;
});

/** The checksum, from 0 to 2^32 - 1. */
export function crc32c(bytes: Uint8Array): number {
  let remainder = 0xffffffff;
  for (const byte of bytes) remainder = (remainder >>> 8) ^ TABLE[(remainder ^ byte) & 0xff]!;
  return ~remainder >>> 0;
}
