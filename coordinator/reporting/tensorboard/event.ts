/**
 * The events that TensorBoard reads: each a protobuf message in a TFRecord's frame. It writes no file.
 *
 * Field numbers: event.proto and summary.proto of TensorBoard
 * (https://github.com/tensorflow/tensorboard/tree/2.21.0/tensorboard/compat/proto).
 * Frame: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
 */
import { bytesField, doubleField, floatField, intField, message, textField } from '../../../protocol/protobuf.ts';
import { crc32c } from '../../crc32.ts';

/** SessionLog's status START. */
const SESSION_START = 1n;

/** Summary.Image's colour space. */
const RGB = 3n;

/** The first event of a file: from version 2 on, TensorBoard heeds {@link sessionStartEvent}. `seconds`: since 1970. */
export function fileVersionEvent(seconds: number): Uint8Array {
  return message(doubleField(1, seconds), textField(3, 'brain.Event:2'));
}

/** The run goes on at step `step`: TensorBoard drops what earlier files have from that step on. */
export function sessionStartEvent(seconds: number, step: number): Uint8Array {
  return message(
    doubleField(1, seconds),
    intField(2, BigInt(step)),
    bytesField(7, message(intField(1, SESSION_START))),
  );
}

/** A point of each curve in `scalars`, by its tag. The format has float32, to which the values are rounded. */
export function scalarsEvent(seconds: number, step: number, scalars: Readonly<Record<string, number>>): Uint8Array {
  const values = Object.entries(scalars).map(([tag, value]) =>
    bytesField(1, message(textField(1, tag), floatField(2, value))),
  );
  return message(doubleField(1, seconds), intField(2, BigInt(step)), bytesField(5, message(...values)));
}

/**
 * An image under a tag, which TensorBoard shows by step. `png`: a PNG file of `side` x `side` pixels in RGB. What is to show it
 * need not be said: TensorBoard takes a value with an image for its plugin of images.
 */
export function imageEvent(
  seconds: number,
  step: number,
  tag: string,
  { png, side }: { readonly png: Uint8Array; readonly side: number },
): Uint8Array {
  const image = message(intField(1, BigInt(side)), intField(2, BigInt(side)), intField(3, RGB), bytesField(4, png));
  const value = bytesField(1, message(textField(1, tag), bytesField(4, image)));
  return message(doubleField(1, seconds), intField(2, BigInt(step)), bytesField(5, value));
}

/** A TFRecord: length as uint64, its checksum, the data, its checksum; all numbers little-endian. */
export function frameRecord(data: Uint8Array): Uint8Array {
  const frame = Buffer.alloc(8 + 4 + data.length + 4);
  frame.writeBigUInt64LE(BigInt(data.length));
  frame.writeUInt32LE(maskedCrc(frame.subarray(0, 8)), 8);
  frame.set(data, 12);
  frame.writeUInt32LE(maskedCrc(data), 12 + data.length);
  return frame;
}

/** Rotated right by 15 bits, plus a constant: the checksum of data that holds checksums is a weak one. */
function maskedCrc(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
