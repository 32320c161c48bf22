import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { obtainDataset } from '../../../coordinator/dataset/fetch.ts';
import { createFileAtomically, writeFileAtomically } from '../../../protocol/atomic-file.ts';
import { DATASET_FILES, DATASET_SHA256 } from '../../../protocol/data/fashion-mnist.ts';
import { selectSplits } from '../../../protocol/data/dataset.ts';
import { canonicalFashionMnist } from '../../../protocol/data/fashion-mnist.ts';
import { IMAGE_BYTES, selectFashionMnist } from '../../helpers/fashion-mnist.ts';
import type { DatasetBytes, DatasetFile } from '../../../protocol/data/fashion-mnist.ts';
import { datasetPlaces, readDatasetFile, readDatasetFiles } from '../../../protocol/data/fashion-mnist-files.ts';
import { linkFashionMnist, readFashionMnist } from '../../helpers/fashion-mnist.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { asOrdinaryUser, openFolder } from '../../helpers/ordinary-user.ts';

const smallFile: DatasetFile = 't10k-labels-idx1-ubyte';
let bytes: DatasetBytes;

beforeAll(async () => {
  bytes = await readFashionMnist();
});

/** A folder with the four files, all but one, which `change` may make anew. */
function folderWithout(file: DatasetFile): string {
  const folder = temporaryFolder();
  linkFashionMnist(folder, file);
  return folder;
}

const read = (folder: string) => readDatasetFiles(datasetPlaces(folder));

describe('the Fashion-MNIST files', () => {
  test('hold 60,000 and 10,000 samples of ten balanced classes', () => {
    const { train, evaluation: test } = selectFashionMnist(bytes);
    expect([train.numSamples, test.numSamples]).toEqual([60_000, 10_000]);
    expect(train.images.length).toBe(60_000 * IMAGE_BYTES);
    const counts = Array.from({ length: 10 }, (_, label) => train.labels.filter((other) => other === label).length);
    expect(counts).toEqual(Array.from({ length: 10 }, () => 6000));
  });

  test('give only their first samples when asked', () => {
    const all = selectFashionMnist(bytes);
    const some = selectFashionMnist(bytes, { trainSamples: 10, testSamples: 3 });
    expect(some.train.images).toEqual(all.train.images.subarray(0, 10 * IMAGE_BYTES));
    expect(some.evaluation.labels).toEqual(all.evaluation.labels.subarray(0, 3));
    expect(() => selectFashionMnist(bytes, { trainSamples: 60_001 })).toThrow(
      '--train-samples 60001: fashion-mnist has 60000',
    );
  });

  test('with validation give the last of the training samples for evaluation, and no test sample', () => {
    const all = selectFashionMnist(bytes);
    const { train, evaluation } = selectFashionMnist(bytes, {
      trainSamples: 1000,
      testSamples: 3,
      validationSamples: 200,
    });
    expect([train.numSamples, evaluation.numSamples]).toEqual([800, 200]);
    expect(train.labels).toEqual(all.train.labels.subarray(0, 800));
    expect(evaluation.labels).toEqual(all.train.labels.subarray(800, 1000));
    expect(Buffer.compare(evaluation.images, all.train.images.subarray(800 * IMAGE_BYTES, 1000 * IMAGE_BYTES))).toBe(0);
    const ofAll = selectFashionMnist(bytes, { validationSamples: 5000 });
    expect([ofAll.train.numSamples, ofAll.evaluation.numSamples]).toEqual([55_000, 5000]);
    expect(ofAll.evaluation.labels).toEqual(all.train.labels.subarray(55_000));
  });

  test.each([
    [{ trainSamples: 1000, validationSamples: 1000 }, '--validation 1000 of 1000 training samples: leave some'],
    [{ trainSamples: 1000, validationSamples: 1001 }, '--validation 1001 of 1000 training samples: leave some'],
    [{ validationSamples: 60_000 }, '--validation 60000 of 60000 training samples: leave some to train on'],
    [{ trainSamples: 60_001, validationSamples: 1 }, '--train-samples 60001: fashion-mnist has 60000'],
  ])('%j is refused', (selection, message) => {
    expect(() => selectFashionMnist(bytes, selection)).toThrow(message);
  });

  test.each([
    { numTrainSamples: 59_000, numValidationSamples: 1001 },
    { numTrainSamples: 60_000, numValidationSamples: 1 },
    { numTrainSamples: 60_001 },
    { numValidationSamples: 60_001 },
    { numTrainSamples: 1, numValidationSamples: Number.MAX_SAFE_INTEGER },
    { numTrainSamples: 1, numTestSamples: 10_001 },
  ])('do not have what a coordinator asks for: %j', (counts) => {
    expect(() => selectSplits(canonicalFashionMnist(bytes).splits, counts)).toThrow(
      /samples \d+ to -?\d+ were asked for of \d+/,
    );
  });

  test.each([1, 9])('are accepted compressed in any way, by the sum of what they hold (level %i)', async (level) => {
    const folder = folderWithout(smallFile);
    writeFileSync(join(folder, `${smallFile}.gz`), gzipSync(bytes[smallFile], { level }));
    const files = await read(folder);
    expect(Buffer.compare(files![smallFile], bytes[smallFile])).toBe(0);
  });

  test('are read plain where a .gz lies beside: the .gz is not even opened', async () => {
    const folder = folderWithout(smallFile);
    writeFileSync(join(folder, smallFile), bytes[smallFile]);
    writeFileSync(join(folder, `${smallFile}.gz`), 'not gzip');
    expect(await read(folder)).toBeDefined();
  });

  test('are passed over in a usual place that has not all of them yet, for the next place', async () => {
    const folder = folderWithout(smallFile);
    const usual = { folder, origin: "the user's cache", isExplicit: false };
    expect(await readDatasetFiles([usual])).toBeUndefined();
    const whole = { ...usual, folder: folderWithout(smallFile) };
    writeFileSync(join(whole.folder, smallFile), bytes[smallFile]);
    expect(await readDatasetFiles([usual, whole])).toBeDefined();
  });
});

describe('a folder whose files are damaged is refused:', () => {
  const cure = 'it is never replaced: name another folder, or move that file away and run `gradsock data fetch`';

  test('one missing, by path, with the cure', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, smallFile), bytes[smallFile]);
    await expect(read(folder)).rejects.toThrow(
      `${join(folder, 'train-images-idx3-ubyte')} (.gz): not found in --data-dir, expected the four files of Fashion-MNIST, ` +
        `missing 3: run \`gradsock data fetch --data-dir ${folder}\`, which adds what is missing and replaces nothing`,
    );
  });

  test('all missing, where the user named the folder', async () => {
    await expect(read(temporaryFolder())).rejects.toThrow('missing 4');
    await expect(obtainDataset({ dataDir: temporaryFolder(), log: () => {} })).rejects.toThrow('missing 4');
  });

  test('one altered, with both sums and the promise that it stays', async () => {
    const folder = folderWithout(smallFile);
    const content = bytes[smallFile].slice();
    content[100]! ^= 1;
    writeFileSync(join(folder, smallFile), content);
    await expect(read(folder)).rejects.toThrow(
      new RegExp(
        `^${join(folder, smallFile)}: not Fashion-MNIST's ${smallFile}: expected sha256 ${DATASET_SHA256[smallFile]} ` +
          `uncompressed, found [0-9a-f]{64} \\(10008 bytes\\): ${cure}$`,
      ),
    );
  });

  test.each([
    ['plain', smallFile, (whole: Uint8Array) => whole.subarray(0, 5000)],
    ['gz', `${smallFile}.gz`, (whole: Uint8Array) => gzipSync(whole).subarray(0, 2000)],
  ])('one truncated (%s), with both sums', async (_form, name, truncate) => {
    const folder = folderWithout(smallFile);
    const path = join(folder, name);
    writeFileSync(path, truncate(bytes[smallFile]));
    await expect(read(folder)).rejects.toThrow(
      new RegExp(`^${path}: .*expected sha256 ${DATASET_SHA256[smallFile]} uncompressed, found [0-9a-f]{64} `),
    );
  });

  test('one that is no gzip file at all', async () => {
    const folder = folderWithout(smallFile);
    const path = join(folder, `${smallFile}.gz`);
    writeFileSync(path, 'not gzip');
    await expect(read(folder)).rejects.toThrow(
      `${path}: expected sha256 ${DATASET_SHA256[smallFile]} uncompressed, found a damaged gzip file`,
    );
  });

  test('one that is a folder, one that is a link to nowhere, a folder that is a file', async () => {
    const folder = folderWithout(smallFile);
    mkdirSync(join(folder, smallFile));
    await expect(read(folder)).rejects.toThrow(
      `${join(folder, smallFile)}: cannot be read: it is a folder, not a file (EISDIR): name a file`,
    );
    const linked = folderWithout(smallFile);
    symlinkSync('/nowhere', join(linked, smallFile));
    await expect(read(linked)).rejects.toThrow(
      `${join(linked, smallFile)}: cannot be read: there is no such file (ENOENT): check the path`,
    );
    const file = join(temporaryFolder(), 'file');
    writeFileSync(file, '');
    await expect(read(file)).rejects.toThrow('missing 4');
  });
});

describe("another user's data", () => {
  test('that may not be read is refused by path, user and cure', async () => {
    const folder = openFolder();
    const path = join(folder, smallFile);
    writeFileSync(path, bytes[smallFile], { mode: 0o600 });
    await asOrdinaryUser([path], async (uid) => {
      await expect(readDatasetFile(folder, smallFile)).rejects.toThrow(
        `${path}: cannot be read: permission denied for user ${uid} (EACCES): let that user read it (chmod, chown), or name another`,
      );
    });
  });

  test('in a folder that may not be searched is refused where the user named it, else passed over', async () => {
    const folder = openFolder();
    const closed = join(folder, 'closed');
    mkdirSync(closed, { mode: 0o600 });
    await asOrdinaryUser([closed], async (uid) => {
      const problem = `cannot be read: permission denied for user ${uid} (EACCES)`;
      await expect(read(closed)).rejects.toThrow(`${join(closed, DATASET_FILES[0]!)}: ${problem}`);
      const usual = { folder: closed, origin: "the user's cache", isExplicit: false };
      expect(await readDatasetFiles([usual])).toBeUndefined();
    });
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

  test("as a new one takes no other file's place", async () => {
    const folder = temporaryFolder();
    await createFileAtomically(join(folder, 'a'), 'first');
    await expect(createFileAtomically(join(folder, 'a'), 'second')).rejects.toThrow('EEXIST');
    expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('first');
    expect(readdirSync(folder)).toEqual(['a']);
  });
});
