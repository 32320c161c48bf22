/** Reads TensorBoard's event files, by the documents of their formats alone: nothing is shared with what writes them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface ReadEvent {
  readonly seconds: number;
  readonly step: number;
  readonly fileVersion?: string;
  /** SessionLog's status: 1 is START. */
  readonly sessionStatus?: number;
  readonly scalars: readonly (readonly [tag: string, value: number])[];
  readonly images: readonly ReadImage[];
}

export interface ReadImage {
  readonly tag: string;
  readonly height: number;
  readonly width: number;
  /** 3: RGB. */
  readonly colourSpace: number;
  readonly png: Buffer;
}

/** Values by step, of each tag. */
export type Curves = Readonly<Record<string, Readonly<Record<number, number>>>>;

/** The events of each file of a folder, in the order of the files' names. Throws where a frame is torn or damaged. */
export function readEventFiles(folder: string): ReadEvent[][] {
  return readdirSync(folder)
    .sort()
    .map((name) => [...framesOf(readFileSync(join(folder, name)))].map(readEvent));
}

/** The curves as TensorBoard draws them: the start of a session takes back what is there from its step on. */
export function curvesOf(folder: string): Curves {
  const curves: Record<string, Record<number, number>> = {};
  for (const { step, sessionStatus, scalars } of readEventFiles(folder).flat()) {
    if (sessionStatus === 1) {
      for (const curve of Object.values(curves)) {
        for (const at of Object.keys(curve)) if (Number(at) >= step) Reflect.deleteProperty(curve, at);
      }
    }
    for (const [tag, value] of scalars) (curves[tag] ??= {})[step] = value;
  }
  return curves;
}

/** The image of a tag at each step that has one, as TensorBoard shows them. */
export function imagesOf(folder: string, tag: string): Map<number, ReadImage> {
  const found = new Map<number, ReadImage>();
  for (const { step, sessionStatus, images } of readEventFiles(folder).flat()) {
    if (sessionStatus === 1) for (const at of [...found.keys()]) if (at >= step) found.delete(at);
    for (const image of images) if (image.tag === tag) found.set(step, image);
  }
  return found;
}

/** CRC-32C bit by bit, the highest bit first: bytes and the result are reversed, in place of the polynomial. */
export function slowCrc32c(bytes: Uint8Array): number {
  let remainder = 0xffffffff;
  for (const byte of bytes) {
    remainder ^= reversed(byte, 8) << 24;
    for (let bit = 0; bit < 8; bit++) remainder = (remainder << 1) ^ (remainder < 0 ? 0x1edc6f41 : 0);
  }
  return ~reversed(remainder, 32) >>> 0;
}

function reversed(value: number, numBits: number): number {
  let result = 0;
  for (let bit = 0; bit < numBits; bit++) result |= ((value >>> bit) & 1) << (numBits - 1 - bit);
  return result;
}

function* framesOf(file: Buffer): Generator<Buffer> {
  for (let at = 0; at < file.length;) {
    const dataAt = at + 12;
    const data = file.subarray(dataAt, dataAt + Number(file.readBigUInt64LE(at)));
    check(file.subarray(at, at + 8), file.readUInt32LE(at + 8));
    check(data, file.readUInt32LE(dataAt + data.length));
    yield data;
    at = dataAt + data.length + 4;
  }
}

function check(bytes: Uint8Array, masked: number): void {
  const rotated = BigInt.asUintN(32, BigInt(masked) - 0xa282ead8n);
  const crc = BigInt.asUintN(32, (rotated << 15n) | (rotated >> 17n));
  if (Number(crc) !== slowCrc32c(bytes)) throw new Error(`damaged: ${Buffer.from(bytes).toString('hex')}`);
}

type Field = readonly [field: number, value: number | Buffer];

function readEvent(data: Buffer): ReadEvent {
  const fields = [...fieldsOf(data)];
  const bytesIn = (field: number) => fields.flatMap(([number, value]) => (number === field ? [value as Buffer] : []));
  const numberIn = (field: number) => fields.find(([number]) => number === field)?.[1] as number | undefined;
  const [version] = bytesIn(3);
  const [session] = bytesIn(7);
  return {
    seconds: numberIn(1)!,
    step: numberIn(2) ?? 0,
    ...(version && { fileVersion: version.toString() }),
    ...(session && { sessionStatus: [...fieldsOf(session)].find(([field]) => field === 1)![1] as number }),
    ...readValues(bytesIn(5)),
  };
}

function readValues(summaries: readonly Buffer[]): Pick<ReadEvent, 'scalars' | 'images'> {
  const scalars: (readonly [string, number])[] = [];
  const images: ReadImage[] = [];
  for (const [, value] of summaries.flatMap((summary) => [...fieldsOf(summary)])) {
    const fields = new Map(fieldsOf(value as Buffer));
    const tag = (fields.get(1) as Buffer).toString();
    const image = fields.get(4) as Buffer | undefined;
    if (image) images.push({ tag, ...readImage(image) });
    else scalars.push([tag, fields.get(2) as number]);
  }
  return { scalars, images };
}

function readImage(data: Buffer): Omit<ReadImage, 'tag'> {
  const fields = new Map(fieldsOf(data));
  const [height, width, colourSpace] = [1, 2, 3].map((field) => fields.get(field)) as [number, number, number];
  return { height, width, colourSpace, png: fields.get(4) as Buffer };
}

/** Wire types: 0 varint, 1 double, 2 bytes, 5 float. */
function* fieldsOf(data: Buffer): Generator<Field> {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = data.readUInt8(at++);
      value += (byte % 128) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < data.length) {
    const key = varint();
    const [field, wireType] = [key >>> 3, key & 7];
    if (wireType === 0) yield [field, varint()];
    else if (wireType === 1) yield [field, data.readDoubleLE((at += 8) - 8)];
    else if (wireType === 5) yield [field, data.readFloatLE((at += 4) - 4)];
    else if (wireType === 2) {
      const numBytes = varint();
      yield [field, data.subarray(at, (at += numBytes))];
    } else throw new Error(`wire type ${wireType}`);
  }
}
