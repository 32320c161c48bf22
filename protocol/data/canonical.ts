/**
 * The canonical form of a dataset: one file's bytes, the same whatever it was read from, and their sha256 its identity.
 *
 * It is a safetensors file (see `state/safetensors.ts`), which other programs open too:
 *
 *     train.images        U8 [N, channels, height, width]
 *     train.labels        U8 [N], indices of classes
 *     validation.images, validation.labels     where the publishers have such samples
 *     test.images, test.labels
 *     __metadata__        {"format": "gradsock-dataset-1", "classes": a JSON array of names}
 *
 * in this order, without gaps. The name of the dataset is not in it: the same samples are the same dataset.
 */
import { z } from 'zod';
import { countOf } from '../counts.ts';
import { ConfigError, describeError } from '../errors.ts';
import { bytesOf, joinedBytes, memoryBytes, sha256OfBytes } from './byte-source.ts';
import type { ByteSource } from './byte-source.ts';
import { imageBytesOf } from './dataset.ts';
import type { ImageRows, ImageShape, Samples, SampleSet, Splits } from './dataset.ts';

const FORMAT = 'gradsock-dataset-1';
const SPLITS = ['train', 'validation', 'test'] as const;
const LENGTH_BYTES = 8;
/** A header names six tensors and the classes. */
const MAX_HEADER_BYTES = 16 * 2 ** 20;
/** Labels are bytes. */
export const MAX_CLASSES = 256;
export interface CanonicalDataset<S extends Samples = Samples> {
  readonly shape: ImageShape;
  /** Names of the classes, in the order of their labels. */
  readonly classes: readonly string[];
  /** Of `bytes`, in hex. */
  readonly sha256: string;
  /** The whole file. */
  readonly bytes: ByteSource;
  readonly splits: Splits<S>;
}

/** Samples of a dataset that is still to be brought into canonical form. */
export interface RawDataset {
  readonly shape: ImageShape;
  readonly classes: readonly string[];
  readonly train: SampleSet;
  readonly test: SampleSet;
  readonly validation?: SampleSet | undefined;
}

/** The canonical form around the samples, which are not copied, with its sha256. */
export async function toCanonical(raw: RawDataset): Promise<CanonicalDataset<SampleSet>> {
  const form = canonicalForm(raw, '');
  return { ...form, sha256: await sha256OfBytes(form.bytes) };
}

/** The same for samples whose canonical form is known to have that sha256. */
export function canonicalForm(raw: RawDataset, sha256: string): CanonicalDataset<SampleSet> {
  const { shape, classes, train, test, validation } = raw;
  const inMemory = ({ images, labels, numSamples }: SampleSet): SplitBytes => ({
    images: memoryBytes([images]),
    labels: memoryBytes([labels]),
    numSamples,
  });
  const bytes = canonicalBytes({
    shape,
    classes,
    train: inMemory(train),
    test: inMemory(test),
    validation: validation && inMemory(validation),
  });
  return { shape, classes, sha256, bytes, splits: { train, test, ...(validation && { validation }) } };
}

/** The bytes of a split, wherever they are. */
interface SplitBytes {
  readonly images: ByteSource;
  readonly labels: ByteSource;
  readonly numSamples: number;
}

interface DatasetParts {
  readonly shape: ImageShape;
  readonly classes: readonly string[];
  readonly train: SplitBytes;
  readonly test: SplitBytes;
  readonly validation?: SplitBytes | undefined;
}

/** The bytes of the canonical form around those of the splits, which stay where they are. */
export function canonicalBytes({ shape, classes, ...sets }: DatasetParts): ByteSource {
  const entries: Record<string, unknown> = {
    __metadata__: { format: FORMAT, classes: JSON.stringify(classes) },
  };
  const parts: ByteSource[] = [];
  let offset = 0;
  const add = (name: string, tensorShape: readonly number[], values: ByteSource) => {
    entries[name] = { dtype: 'U8', shape: tensorShape, data_offsets: [offset, offset + values.byteLength] };
    offset += values.byteLength;
    parts.push(values);
  };
  for (const split of SPLITS) {
    const set = sets[split];
    if (!set) continue;
    add(`${split}.images`, [set.numSamples, ...shape], set.images);
    add(`${split}.labels`, [set.numSamples], set.labels);
  }
  const json = Buffer.from(JSON.stringify(entries));
  const header = new Uint8Array(LENGTH_BYTES + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - LENGTH_BYTES), true);
  header.set(json, LENGTH_BYTES);
  return joinedBytes([memoryBytes([header]), ...parts]);
}

const size = z
  .int()
  .min(1)
  .max(2 ** 31);
const imagesSchema = z.tuple([z.int().min(0), size, size, size]);
const tensorSchema = z.strictObject({
  dtype: z.literal('U8'),
  shape: z.array(z.int().min(0)).min(1).max(4),
  data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
});
const classesSchema = z.array(z.string()).min(1).max(MAX_CLASSES);
const metadataSchema = z.strictObject({ format: z.literal(FORMAT), classes: z.string() });

/**
 * The dataset that `bytes` are the canonical form of, which the caller has verified by its sha256. Images that are in a file
 * stay there; see `holdSamples`.
 *
 * Throws `ConfigError`, which begins with `subject`, when they are not sound.
 */
export function openCanonical(bytes: ByteSource, sha256: string, subject: string): CanonicalDataset {
  try {
    const { tensors, classes, dataAt } = parseHeader(bytes);
    const train = readSplit('train', { bytes, tensors, dataAt, numClasses: classes.length });
    const test = readSplit('test', { bytes, tensors, dataAt, numClasses: classes.length });
    if (!train || !test) throw new Error('it has no training or no test samples');
    const validation = readSplit('validation', { bytes, tensors, dataAt, numClasses: classes.length });
    const shapes = [train, test, ...(validation ? [validation] : [])].map(({ shape }) => shape.join());
    if (new Set(shapes).size > 1) throw new Error(`its images have several shapes: ${shapes.join(' and ')}`);
    const splits = { train: train.samples, test: test.samples, ...(validation && { validation: validation.samples }) };
    return { shape: train.shape, classes, sha256, bytes, splits };
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(`${subject}: not a dataset in canonical form: ${describeError(error)}`, { cause: error });
  }
}

type Tensors = ReadonlyMap<string, z.infer<typeof tensorSchema>>;

function parseHeader(bytes: ByteSource) {
  if (bytes.byteLength < LENGTH_BYTES) throw new Error(`${countOf(bytes.byteLength, 'byte')}, expected more`);
  const lengthBytes = bytesOf(bytes, 0, LENGTH_BYTES);
  const headerLength = Number(new DataView(lengthBytes.buffer, lengthBytes.byteOffset).getBigUint64(0, true));
  if (headerLength > Math.min(MAX_HEADER_BYTES, bytes.byteLength - LENGTH_BYTES)) {
    throw new Error(`a header of ${countOf(headerLength, 'byte')}`);
  }
  const text = new TextDecoder('utf-8', { fatal: true }).decode(bytesOf(bytes, LENGTH_BYTES, headerLength));
  const { __metadata__: metadata, ...entries } = JSON.parse(text) as Record<string, unknown>;
  const classes = classesSchema.parse(JSON.parse(metadataSchema.parse(metadata).classes));
  const dataAt = LENGTH_BYTES + headerLength;
  const tensors = new Map<string, z.infer<typeof tensorSchema>>();
  let expectedBegin = 0;
  for (const [name, entry] of Object.entries(entries)) {
    const tensor = tensorSchema.parse(entry);
    const [begin, end] = tensor.data_offsets;
    const numBytes = tensor.shape.reduce((a, b) => a * b, 1);
    if (begin !== expectedBegin || end - begin !== numBytes) throw new Error(`${name} lies at ${begin} to ${end}`);
    tensors.set(name, tensor);
    expectedBegin = end;
  }
  if (dataAt + expectedBegin !== bytes.byteLength) {
    throw new Error(`${countOf(bytes.byteLength - dataAt, 'byte')} of samples, described are ${expectedBegin}`);
  }
  return { tensors, classes, dataAt };
}

interface SplitPlace {
  readonly bytes: ByteSource;
  readonly tensors: Tensors;
  readonly dataAt: number;
  readonly numClasses: number;
}

function readSplit(
  split: (typeof SPLITS)[number],
  { bytes, tensors, dataAt, numClasses }: SplitPlace,
): { shape: ImageShape; samples: Samples } | undefined {
  const [pixels, labels] = [tensors.get(`${split}.images`), tensors.get(`${split}.labels`)];
  if (!pixels || !labels) return undefined;
  const [numSamples, ...shape] = imagesSchema.parse(pixels.shape);
  if (labels.shape.length !== 1 || labels.shape[0] !== numSamples) {
    throw new Error(`${split} has ${numSamples} images and [${labels.shape.join(', ')}] labels`);
  }
  const labelBytes = bytesOf(bytes, dataAt + labels.data_offsets[0], numSamples);
  const wrong = labelBytes.findIndex((label) => label >= numClasses);
  if (wrong !== -1) throw new Error(`${split} label ${wrong} is ${labelBytes[wrong]!} of ${numClasses} classes`);
  const imagesAt = dataAt + pixels.data_offsets[0];
  const imageBytes = imageBytesOf(shape);
  const numBytes = numSamples * imageBytes;
  const images = bytes.view(imagesAt, numBytes);
  const samples = images
    ? { images, labels: labelBytes, numSamples }
    : { stored: storedRows(bytes, imagesAt, imageBytes), labels: labelBytes, numSamples };
  return { shape, samples };
}

export function storedRows(bytes: ByteSource, imagesAt: number, imageBytes: number): ImageRows {
  return {
    gather(rows, indices) {
      for (let i = 0; i < indices.length; i++) {
        bytes.read(rows.subarray(i * imageBytes, (i + 1) * imageBytes), imagesAt + indices[i]! * imageBytes);
      }
    },
    range: (first, count) => bytesOf(bytes, imagesAt + first * imageBytes, count * imageBytes),
  };
}
