/**
 * The canonical form of a dataset: one file's bytes, the same whatever it was read from, and their sha256 its identity.
 *
 * It is a safetensors file (see `state/safetensors.ts`), which other programs open too:
 *
 *     train.images        U8 [N, channels, height, width]
 *     train.labels        [N], indices of classes: U8 for at most 256 classes, U16 for more
 *     validation.images, validation.labels     where the publishers have such samples
 *     test.images, test.labels
 *     __metadata__        {"format": "gradsock-dataset-1", "classes": a JSON array of names}
 *
 * in this order, without gaps; but labels of two bytes come before all images, so that they lie at even places, which
 * programs that map the file need. The name of the dataset is not in it: the same samples are the same dataset.
 */
import { z } from 'zod';
import { countOf } from '../counts.ts';
import { ConfigError, describeError, internalError } from '../errors.ts';
import { bytesOf, joinedBytes, memoryBytes, sha256OfBytes } from './byte-source.ts';
import type { ByteSource } from './byte-source.ts';
import { imageBytesOf } from './dataset.ts';
import type { ImageRows, ImageShape, Samples, SampleSet, Splits } from './dataset.ts';
import { bytesOfLabels, labelBytesOf, labelsFromBytes, MAX_CLASSES } from './labels.ts';
import type { Labels } from './labels.ts';

const FORMAT = 'gradsock-dataset-1';
const SPLITS = ['train', 'validation', 'test'] as const;
const LENGTH_BYTES = 8;
/** A header names six tensors and the classes: 256 bytes for each of the most classes that there may be. */
const MAX_HEADER_BYTES = 16 * 2 ** 20;
const ITEM_BYTES = { U8: 1, U16: 2 } as const;
type Dtype = keyof typeof ITEM_BYTES;

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
    labels: memoryBytes([bytesOfLabels(labels)]),
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

/**
 * The bytes of the canonical form around those of the splits, which stay where they are. Throws `ConfigError` when the names
 * of the classes are too long.
 */
export function canonicalBytes({ shape, classes, ...sets }: DatasetParts): ByteSource {
  const entries: Record<string, unknown> = {
    __metadata__: { format: FORMAT, classes: JSON.stringify(classes) },
  };
  const parts: ByteSource[] = [];
  let offset = 0;
  const add = (name: string, dtype: Dtype, tensorShape: readonly number[], values: ByteSource) => {
    const end = offset + values.byteLength;
    const numBytes = tensorShape.reduce((a, b) => a * b, ITEM_BYTES[dtype]);
    if (values.byteLength !== numBytes) {
      throw internalError(`${name}: ${countOf(values.byteLength, 'byte')}, expected ${numBytes}`);
    }
    entries[name] = { dtype, shape: tensorShape, data_offsets: [offset, end] };
    offset = end;
    parts.push(values);
  };
  const there = SPLITS.flatMap((split) => (sets[split] ? [[split, sets[split]] as const] : []));
  const addImages = ([split, { images, numSamples }]: (typeof there)[number]) =>
    add(`${split}.images`, 'U8', [numSamples, ...shape], images);
  const labelType = labelTypeOf(classes);
  const addLabels = ([split, { labels, numSamples }]: (typeof there)[number]) =>
    add(`${split}.labels`, labelType, [numSamples], labels);
  if (labelType === 'U8') {
    for (const split of there) {
      addImages(split);
      addLabels(split);
    }
  } else {
    there.forEach(addLabels);
    there.forEach(addImages);
  }
  const json = Buffer.from(JSON.stringify(entries));
  const header = new Uint8Array(LENGTH_BYTES + Math.ceil(json.length / 8) * 8).fill(0x20);
  if (header.length - LENGTH_BYTES > MAX_HEADER_BYTES) {
    throw new ConfigError(
      `the names of ${countOf(classes.length, 'class', 'classes')} take ${countOf(json.length, 'byte')}, expected at most ` +
        `${MAX_HEADER_BYTES}: shorten them`,
    );
  }
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - LENGTH_BYTES), true);
  header.set(json, LENGTH_BYTES);
  return joinedBytes([memoryBytes([header]), ...parts]);
}

function labelTypeOf(classes: readonly string[]): Dtype {
  return labelBytesOf(classes.length) === 1 ? 'U8' : 'U16';
}

const size = z
  .int()
  .min(1)
  .max(2 ** 31);
const imagesSchema = z.tuple([z.int().min(0), size, size, size]);
const tensorSchema = z.strictObject({
  dtype: z.enum(['U8', 'U16']),
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
    const read = (split: (typeof SPLITS)[number]) => readSplit(split, { bytes, tensors, dataAt, classes });
    const [train, test, validation] = [read('train'), read('test'), read('validation')];
    if (!train || !test) throw new Error('it has no training or no test samples');
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
    const numBytes = tensor.shape.reduce((a, b) => a * b, ITEM_BYTES[tensor.dtype]);
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
  readonly classes: readonly string[];
}

function readSplit(
  split: (typeof SPLITS)[number],
  { bytes, tensors, dataAt, classes }: SplitPlace,
): { shape: ImageShape; samples: Samples } | undefined {
  const [pixels, labels] = [tensors.get(`${split}.images`), tensors.get(`${split}.labels`)];
  if (!pixels || !labels) return undefined;
  const [numSamples, ...shape] = imagesSchema.parse(pixels.shape);
  if (labels.shape.length !== 1 || labels.shape[0] !== numSamples) {
    throw new Error(`${split} has ${numSamples} images and [${labels.shape.join(', ')}] labels`);
  }
  checkType(`${split}.images`, pixels, 'U8');
  checkType(`${split}.labels`, labels, labelTypeOf(classes));
  const [labelsAt, labelsEnd] = labels.data_offsets;
  const values = labelsFromBytes(bytesOf(bytes, dataAt + labelsAt, labelsEnd - labelsAt), classes.length);
  checkLabels(split, values, classes.length);
  const imagesAt = dataAt + pixels.data_offsets[0];
  const imageBytes = imageBytesOf(shape);
  const numBytes = numSamples * imageBytes;
  const images = bytes.view(imagesAt, numBytes);
  const samples = images
    ? { images, labels: values, numSamples }
    : { stored: storedRows(bytes, imagesAt, imageBytes), labels: values, numSamples };
  return { shape, samples };
}

function checkType(name: string, { dtype }: z.infer<typeof tensorSchema>, expected: Dtype): void {
  if (dtype !== expected) throw new Error(`${name} is ${dtype}, expected ${expected}`);
}

function checkLabels(split: string, labels: Labels, numClasses: number): void {
  const wrong = labels.findIndex((label) => label >= numClasses);
  if (wrong !== -1) throw new Error(`${split} label ${wrong} is ${labels[wrong]!} of ${numClasses} classes`);
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
