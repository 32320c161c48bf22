/**
 * Writes protobuf's wire format: enough for messages whose fields their callers know by number. It reads nothing.
 *
 * Wire format: https://protobuf.dev/programming-guides/encoding/
 */

/** A message is its fields, one after the other; the result is on its own memory. */
export function message(...fields: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let numBytes = 0;
  for (const { length } of fields) numBytes += length;
  const bytes = new Uint8Array(numBytes);
  let at = 0;
  for (const field of fields) {
    bytes.set(field, at);
    at += field.length;
  }
  return bytes;
}

/** Of the types int32, int64, bool and enum. */
export function intField(field: number, value: bigint): Uint8Array {
  return message(tag(field, 0), varint(value));
}

/** Of the type bytes, and of a message inside another one. */
export function bytesField(field: number, value: Uint8Array): Uint8Array {
  return message(tag(field, 2), varint(BigInt(value.length)), value);
}

/** Of the type string. */
export function textField(field: number, value: string): Uint8Array {
  return bytesField(field, Buffer.from(value, 'utf8'));
}

/** Of the type float. */
export function floatField(field: number, value: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeFloatLE(value);
  return message(tag(field, 5), bytes);
}

/** Of the type double. */
export function doubleField(field: number, value: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeDoubleLE(value);
  return message(tag(field, 1), bytes);
}

/** A field's number and wire type: 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes. */
function tag(field: number, wireType: 0 | 1 | 2 | 5): Uint8Array {
  return varint(BigInt((field << 3) | wireType));
}

/** Most numbers in a message are this small. They are shared, and nothing writes to them. */
const ONE_BYTE: readonly Uint8Array[] = Array.from({ length: 0x80 }, (_, value) => Uint8Array.of(value));

/** Seven bits a byte, low ones first, the top bit says "more"; negative numbers as 64-bit two's complement. */
function varint(value: bigint): Uint8Array {
  let rest = BigInt.asUintN(64, value);
  if (rest <= 0x7fn) return ONE_BYTE[Number(rest)]!;
  const bytes: number[] = [];
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}
