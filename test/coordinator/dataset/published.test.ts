/** Known datasets: their files are fetched once, verified, and read in the forms that publishers have. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { zipSync } from 'fflate';
import { pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { KNOWN_DATASETS } from '../../../coordinator/dataset/known-datasets.ts';
import type { KnownDataset } from '../../../coordinator/dataset/known-datasets.ts';
import { fetchPublished, openPublished } from '../../../coordinator/dataset/published.ts';
import { imagesOf } from '../../../protocol/data/dataset.ts';
import { idxFile, makeData, writeCifar10, writeIdxFolder } from '../../helpers/data-files.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

let cache: string;

beforeEach(() => {
  cache = temporaryFolder();
  vi.stubEnv('XDG_CACHE_HOME', cache);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

type Files = Readonly<Record<string, Uint8Array>>;

/** A dataset of these files, and who fetches them. */
function published(files: Files, form: KnownDataset['form'], data: ReturnType<typeof makeData>) {
  const asked: string[] = [];
  const dataset: KnownDataset = {
    name: 'made-up',
    about: 'made up',
    shape: data.shape,
    classes: data.classes,
    numTrainSamples: data.train.numSamples,
    form,
    files: Object.entries(files).map(([name, bytes]) => ({
      name,
      urls: [`https://publisher.invalid/${name}`],
      sha256: createHash('sha256').update(bytes).digest('hex'),
      numBytes: bytes.length,
    })),
  };
  const fetchFile = ({ name }: { readonly name: string }) => {
    asked.push(name);
    return Promise.resolve(files[name]!);
  };
  return { dataset, asked, options: { log: () => {}, fetchFile } };
}

const grey = makeData([1, 6, 6], 3, [12, 6]);
const colour = makeData([3, 32, 32], 2, [6, 4]);

function idxFiles(): Files {
  const folder = writeIdxFolder(temporaryFolder(), grey, true);
  const names = readdirSync(folder).filter((name) => name.endsWith('.gz'));
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name))]));
}

test('the table names each file once, with its publishers and sum', () => {
  for (const { files, classes, name } of KNOWN_DATASETS) {
    expect(new Set(classes).size, name).toBe(classes.length);
    for (const { urls, sha256 } of files) {
      expect(sha256).toMatch(/^[0-9a-f]{64}$/);
      for (const url of urls) expect(new URL(url).protocol).toBe('https:');
    }
  }
});

describe('a known dataset', () => {
  test('is fetched once, then found in the cache', async () => {
    const { dataset, asked, options } = published(idxFiles(), { kind: 'idx' }, grey);
    const first = await openPublished(dataset, options);
    expect(asked).toEqual(dataset.files.map(({ name }) => name));
    expect(imagesOf(first.splits.test, 0, 6)).toEqual(grey.test.images);
    const second = await openPublished(dataset, options);
    expect(second.sha256).toBe(first.sha256);
    expect(asked.length).toBe(4);
  });

  test('as a zip whose images lie on their side and whose labels count from 1', async () => {
    const [, height, width] = grey.shape;
    const turned = (images: Uint8Array) =>
      images.map((_, at) => {
        const [image, row, column] = [Math.floor(at / 36), Math.floor((at % 36) / width), at % width];
        return images[image * height * width + column * width + row]!;
      });
    const files = Object.fromEntries(
      [['train', grey.train] as const, ['test', grey.test] as const].flatMap(([split, set]) => [
        [`gzip/made-up-${split}-images-idx3-ubyte.gz`, gzipSync(idxFile([set.numSamples, 6, 6], turned(set.images)))],
        [
          `gzip/made-up-${split}-labels-idx1-ubyte.gz`,
          gzipSync(
            idxFile(
              [set.numSamples],
              Uint8Array.from(set.labels, (label) => label + 1),
            ),
          ),
        ],
        [`gzip/another-${split}-images-idx3-ubyte.gz`, gzipSync(idxFile([1, 2, 2], new Uint8Array(4)))],
      ]),
    );
    const form = { kind: 'idx', prefix: 'made-up-', firstLabel: 1, isTransposed: true } as const;
    const { dataset, options } = published({ 'all.zip': zipSync(files) }, form, grey);
    const { splits, classes } = await openPublished(dataset, options);
    expect(imagesOf(splits.train, 0, 12)).toEqual(grey.train.images);
    expect(splits.train.labels).toEqual(grey.train.labels);
    expect(classes).toEqual(grey.classes);
  });

  test("as a .tar.gz of CIFAR-10's files", async () => {
    const folder = writeCifar10(temporaryFolder(), colour);
    const archive = pack();
    for (const name of readdirSync(folder)) archive.entry({ name: `cifar/${name}` }, readFileSync(join(folder, name)));
    archive.finalize();
    const pieces: Uint8Array[] = [];
    for await (const piece of archive) pieces.push(piece as Uint8Array);
    const { dataset, options } = published(
      { 'all.tar.gz': gzipSync(Buffer.concat(pieces)) },
      { kind: 'cifar10' },
      colour,
    );
    const { splits } = await openPublished(dataset, options);
    expect(imagesOf(splits.train, 0, 6)).toEqual(colour.train.images);
  });

  test('that was altered in the cache is refused and kept', async () => {
    const { dataset, options } = published(idxFiles(), { kind: 'idx' }, grey);
    const path = join(cache, 'gradsock', 'made-up', dataset.files[0]!.name);
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, 'mine');
    await expect(openPublished(dataset, options)).rejects.toThrow(
      new RegExp(
        `^${path}: expected the published file, \\d+ bytes with sha256 .*, got 4 bytes with .*: it is never replaced`,
      ),
    );
    expect(readFileSync(path, 'utf8')).toBe('mine');
  });

  test('that cannot be fetched is refused with the reason and the cure', async () => {
    const { dataset } = published(idxFiles(), { kind: 'idx' }, grey);
    const offline = () => Promise.reject(new Error('there is no network'));
    await expect(openPublished(dataset, { log: () => {}, fetchFile: offline })).rejects.toThrow(
      `made-up: ${dataset.files[0]!.name} could not be fetched: there is no network: put it into a folder and name that by --data-dir`,
    );
  });

  test('in a folder of the user is read there; a run writes nothing into it, only fetching does', async () => {
    const { dataset, asked, options } = published(idxFiles(), { kind: 'idx' }, grey);
    const dataDir = temporaryFolder();
    await expect(openPublished(dataset, { ...options, dataDir })).rejects.toThrow(
      `not found: expected the published files of made-up: run \`gradsock data fetch made-up --data-dir ${dataDir}\``,
    );
    expect(readdirSync(dataDir)).toEqual([]);
    expect(await fetchPublished(dataset, { ...options, dataDir, isFetch: true })).toBe(dataDir);
    expect(readdirSync(dataDir).length).toBe(4);
    expect((await openPublished(dataset, { ...options, dataDir })).splits.train.numSamples).toBe(12);
    expect(asked.length).toBe(4);
    expect(existsSync(join(cache, 'gradsock', 'made-up'))).toBe(false);
  });
});
