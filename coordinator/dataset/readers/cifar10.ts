/**
 * CIFAR-10's binary files: records of a label and 3 planes of 32x32 bytes, red, green, blue. Source: Krizhevsky, Learning
 * multiple layers of features from tiny images, 2009, and https://www.cs.toronto.edu/~kriz/cifar.html.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { countOf } from '../../../protocol/counts.ts';
import type { RawDataset } from '../../../protocol/data/canonical.ts';
import { ConfigError } from '../../../protocol/errors.ts';
import { describeSystemError } from '../../../protocol/system-errors.ts';
import { assemble } from './reader.ts';
import type { ReadOptions, SourceSplit } from './reader.ts';

const SHAPE = [3, 32, 32] as const;
const IMAGE_BYTES = 3 * 32 * 32;
const RECORD_BYTES = 1 + IMAGE_BYTES;
const TRAINING = /^data_batch_\d+\.bin$/;
const TEST = 'test_batch.bin';

export const CIFAR10_CLASSES = [
  ...['airplane', 'automobile', 'bird', 'cat', 'deer'],
  ...['dog', 'frog', 'horse', 'ship', 'truck'],
] as const;

/** Whether a folder holds CIFAR-10's binary files. */
export function holdsCifar10(names: readonly string[]): boolean {
  return names.some((name) => TRAINING.test(name));
}

/** The dataset of a folder. Throws `ConfigError` for what is missing or not sound. */
export async function readCifar10Folder(folder: string, { testFraction }: ReadOptions): Promise<RawDataset> {
  const names = readdirSync(folder).sort();
  const batches = names.filter((name) => TRAINING.test(name));
  const train = await readBatches(folder, batches);
  const test = names.includes(TEST) ? await readBatches(folder, [TEST]) : undefined;
  return assemble(folder, { train, test }, { classes: readNames(folder), testFraction });
}

function readNames(folder: string): readonly string[] {
  const path = join(folder, 'batches.meta.txt');
  if (!existsSync(path)) return CIFAR10_CLASSES;
  return readFileSync(path, 'utf8')
    .split(/\r?\n/)
    .filter((line) => line !== '');
}

/** The samples of several files, in order. */
async function readBatches(folder: string, names: readonly string[]): Promise<SourceSplit> {
  const files = await Promise.all(names.map((name) => readRecords(join(folder, name))));
  const numSamples = files.reduce((sum, file) => sum + file.length / RECORD_BYTES, 0);
  const images = new Uint8Array(numSamples * IMAGE_BYTES);
  const labels = new Uint8Array(numSamples);
  let sample = 0;
  for (const file of files) {
    for (let at = 0; at < file.length; at += RECORD_BYTES, sample++) {
      labels[sample] = file[at]!;
      images.set(file.subarray(at + 1, at + RECORD_BYTES), sample * IMAGE_BYTES);
    }
  }
  const file = names.length === 1 ? join(folder, names[0]!) : join(folder, `${names[0]!} and the others`);
  return { imagesFile: file, labelsFile: file, shape: SHAPE, images, labels };
}

async function readRecords(path: string): Promise<Uint8Array> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw new ConfigError(describeSystemError(path, 'read', error), { cause: error });
  });
  if (bytes.length === 0 || bytes.length % RECORD_BYTES !== 0) {
    throw new ConfigError(
      `${path}: expected records of ${countOf(RECORD_BYTES, 'byte')}, a label and 3 planes of 32x32, got ` +
        `${countOf(bytes.length, 'byte')}, which is no whole number of them: fetch it anew`,
    );
  }
  return bytes;
}
