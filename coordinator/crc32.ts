/**
 * The two CRC-32 that formats here have: reflected, begin and end inverted, a table of one byte at a time. That of PNG (and zip)
 * has the polynomial 0x04C11DB7; CRC-32C (Castagnoli), the checksum of TFRecord files, has 0x1EDC6F41.
 *
 * Sources: https://www.w3.org/TR/png-3/#D-CRCAppendix and RFC 3720, appendix B.4.
 */

/** The checksum of bytes, from 0 to 2^32 - 1. */
type Checksum = (bytes: Uint8Array) => number;

/** `reversedPolynomial`: with its bits in reverse. */
function createChecksum(reversedPolynomial: number): Checksum {
  /** What each value of the lowest byte adds, once it is shifted out. */
  const table = Uint32Array.from({ length: 256 }, (_, byte) => {
    let remainder = byte;
    for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? reversedPolynomial : 0);
    return remainder;
  });
  return (bytes) => {
    let remainder = 0xffffffff;
    for (const byte of bytes) remainder = (remainder >>> 8) ^ table[(remainder ^ byte) & 0xff]!;
    return ~remainder >>> 0;
  };
}

export const crc32 = createChecksum(0xedb88320);
export const crc32c = createChecksum(0x82f63b78);
