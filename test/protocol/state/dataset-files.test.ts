import { copyFileSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { obtainDataset, selectSamples } from '../../../coordinator/dataset-fetch.ts';
import { writeFileAtomically } from '../../../protocol/state/atomic-file.ts';
import { DATASET_FILES, DATASET_SHA256, IMAGE_BYTES, parseDataset } from '../../../protocol/state/dataset.ts';
import type { DatasetBytes, DatasetFile } from '../../../protocol/state/dataset.ts';
import { datasetPlaces, locateDatasetFile, readDatasetFiles } from '../../../protocol/state/dataset-files.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

const smallFile: DatasetFile = 't10k-labels-idx1-ubyte';
let sources: Record<DatasetFile, string>;
let bytes: DatasetBytes;

beforeAll(async () => {
  const place = datasetPlaces().find(({ folder }) => locateDatasetFile(folder, smallFile))!;
  sources = Object.fromEntries(
    DATASET_FILES.map((file) => [file, locateDatasetFile(place.folder, file)!]),
  ) as typeof sources;
  bytes = (await readDatasetFiles([place]))!;
});

/** A folder with the four real files, as they are on this machine. */
function folderWithDataset(): string {
  const folder = temporaryFolder();
  for (const file of DATASET_FILES)
    copyFileSync(sources[file], join(folder, sources[file].endsWith('.gz') ? `${file}.gz` : file));
  return folder;
}

const pathIn = (folder: string, file: DatasetFile) => locateDatasetFile(folder, file)!;
const read = (folder: string) => readDatasetFiles(datasetPlaces(folder));

function plainContent(path: string): Buffer {
  const content = readFileSync(path);
  return path.endsWith('.gz') ? gunzipSync(content) : content;
}

describe('the Fashion-MNIST files', () => {
  test('hold 60,000 and 10,000 samples of ten balanced classes', () => {
    const { train, evaluation: test } = selectSamples(bytes);
    expect([train.numSamples, test.numSamples]).toEqual([60_000, 10_000]);
    expect(train.images.length).toBe(60_000 * IMAGE_BYTES);
    const counts = Array.from({ length: 10 }, (_, label) => train.labels.filter((other) => other === label).length);
    expect(counts).toEqual(Array.from({ length: 10 }, () => 6000));
  });

  test('give only their first samples when asked', () => {
    const all = selectSamples(bytes);
    const some = selectSamples(bytes, { trainSamples: 10, testSamples: 3 });
    expect(some.train.images).toEqual(all.train.images.subarray(0, 10 * IMAGE_BYTES));
    expect(some.evaluation.labels).toEqual(all.evaluation.labels.subarray(0, 3));
    expect(() => selectSamples(bytes, { trainSamples: 60_001 })).toThrow(
      '--train-samples 60001: Fashion-MNIST has 60000',
    );
  });

  test('with validation give the last of the training samples for evaluation, and no test sample', () => {
    const all = selectSamples(bytes);
    const { train, evaluation } = selectSamples(bytes, { trainSamples: 1000, testSamples: 3, validationSamples: 200 });
    expect([train.numSamples, evaluation.numSamples]).toEqual([800, 200]);
    expect(train.labels).toEqual(all.train.labels.subarray(0, 800));
    expect(evaluation.labels).toEqual(all.train.labels.subarray(800, 1000));
    expect(Buffer.compare(evaluation.images, all.train.images.subarray(800 * IMAGE_BYTES, 1000 * IMAGE_BYTES))).toBe(0);
    const ofAll = selectSamples(bytes, { validationSamples: 5000 });
    expect([ofAll.train.numSamples, ofAll.evaluation.numSamples]).toEqual([55_000, 5000]);
    expect(ofAll.evaluation.labels).toEqual(all.train.labels.subarray(55_000));
  });

  test.each([
    [{ trainSamples: 1000, validationSamples: 1000 }, '--validation 1000 of 1000 training samples: leave some'],
    [{ trainSamples: 1000, validationSamples: 1001 }, '--validation 1001 of 1000 training samples: leave some'],
    [{ validationSamples: 60_000 }, '--validation 60000 of 60000 training samples: leave some to train on'],
    [{ trainSamples: 60_001, validationSamples: 1 }, '--train-samples 60001: Fashion-MNIST has 60000'],
  ])('%j is refused', (selection, message) => {
    expect(() => selectSamples(bytes, selection)).toThrow(message);
  });

  test.each([
    { numTrainSamples: 59_000, numValidationSamples: 1001 },
    { numTrainSamples: 60_000, numValidationSamples: 1 },
    { numTrainSamples: 60_001 },
    { numValidationSamples: 60_001 },
    { numTrainSamples: 1, numValidationSamples: Number.MAX_SAFE_INTEGER },
    { numTrainSamples: 1, numTestSamples: 10_001 },
  ])('do not have what a coordinator asks for: %j', (counts) => {
    expect(() => parseDataset(bytes, counts)).toThrow(/samples \d+ to -?\d+ were asked for of \d+/);
  });

  test('are accepted compressed in any way, by the sum of what they hold', async () => {
    const folder = folderWithDataset();
    const path = pathIn(folder, smallFile);
    const content = gzipSync(plainContent(path), { level: 1 });
    writeFileSync(join(folder, `${smallFile}.gz`), content);
    expect(await read(folder)).toBeDefined();
  });
});

describe('a folder whose files are damaged is refused:', () => {
  test('one missing, by path, with the cure', async () => {
    const folder = temporaryFolder();
    copyFileSync(sources[smallFile], join(folder, sources[smallFile].endsWith('.gz') ? `${smallFile}.gz` : smallFile));
    await expect(read(folder)).rejects.toThrow(
      `${join(folder, 'train-images-idx3-ubyte')} (.gz): not found in --data-dir, expected the four files of Fashion-MNIST, ` +
        `missing 3: run \`gradsock data fetch --data-dir ${folder}\``,
    );
  });

  test('all missing, where the user named the folder', async () => {
    await expect(read(temporaryFolder())).rejects.toThrow('missing 4');
    await expect(obtainDataset({ dataDir: temporaryFolder(), log: () => {} })).rejects.toThrow('missing 4');
  });

  test('one altered, with both sums', async () => {
    const folder = folderWithDataset();
    const path = pathIn(folder, smallFile);
    const content = plainContent(path);
    content[100]! ^= 1;
    writeFileSync(path, path.endsWith('.gz') ? gzipSync(content) : content);
    await expect(read(folder)).rejects.toThrow(
      new RegExp(
        `^${path}: .*expected sha256 ${DATASET_SHA256[smallFile]} uncompressed, found [0-9a-f]{64} .*data fetch`,
      ),
    );
  });

  test.each(['plain', 'gz'])('one truncated (%s), with both sums', async (form) => {
    const folder = folderWithDataset();
    const content = plainContent(pathIn(folder, smallFile));
    const path = join(folder, form === 'gz' ? `${smallFile}.gz` : smallFile);
    writeFileSync(path, form === 'gz' ? gzipSync(content).subarray(0, 2000) : content.subarray(0, 5000));
    await expect(read(folder)).rejects.toThrow(
      new RegExp(`^${path}: .*expected sha256 ${DATASET_SHA256[smallFile]} uncompressed, found [0-9a-f]{64} `),
    );
  });

  test('one that is no gzip file at all', async () => {
    const folder = folderWithDataset();
    const path = join(folder, `${smallFile}.gz`);
    writeFileSync(path, 'not gzip');
    if (existsSync(join(folder, smallFile))) return;
    await expect(read(folder)).rejects.toThrow(
      `${path}: expected sha256 ${DATASET_SHA256[smallFile]} uncompressed, found a damaged gzip`,
    );
  });
});

describe('a file written atomically', () => {
  test('is whole, and leaves nothing beside it', async () => {
    const folder = temporaryFolder();
    await writeFileAtomically(join(folder, 'a'), 'first');
    await writeFileAtomically(join(folder, 'a'), 'second');
    expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('second');
    expect(readdirSync(folder)).toEqual(['a']);
  });

  test('that cannot be written leaves the old one and no draft', async () => {
    const folder = temporaryFolder();
    await expect(writeFileAtomically(join(folder, 'missing', 'a'), 'x')).rejects.toThrow('ENOENT');
    await expect(writeFileAtomically(folder, 'x')).rejects.toThrow();
    expect(readdirSync(folder)).toEqual([]);
  });
});
