import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { fetchDataset, obtainDataset, RUN_SOURCES } from '../../../coordinator/dataset/fetch.ts';
import type { DatasetSource } from '../../../coordinator/dataset/fetch.ts';
import { debianSource, takeFromDebian } from '../../../coordinator/dataset/debian-package.ts';
import { DATASET_FILES } from '../../../protocol/data/fashion-mnist.ts';
import type { DatasetBytes, DatasetFile } from '../../../protocol/data/fashion-mnist.ts';
import { cacheFolder, datasetPlaces, storeDatasetFile } from '../../../protocol/data/fashion-mnist-files.ts';
import { FASHION_MNIST_FOLDER, linkFashionMnist, readFashionMnist } from '../../helpers/fashion-mnist.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { asOrdinaryUser, openFolder } from '../../helpers/ordinary-user.ts';

const small: DatasetFile = 't10k-labels-idx1-ubyte';
let bytes: DatasetBytes;
/** What was asked of {@link source}. */
let asked: DatasetFile[];
let lines: string[];

const log = (line: string) => void lines.push(line);
const source: DatasetSource = (file) => {
  asked.push(file);
  return Promise.resolve(bytes[file]);
};
const offline: DatasetSource = () => Promise.reject(new Error('no network'));
/** The cache alone: what Debian's package has put on this machine does not count. */
const cacheOnly = () => datasetPlaces().slice(0, 1);

beforeAll(async () => {
  bytes = await readFashionMnist();
});
beforeEach(() => {
  asked = [];
  lines = [];
  vi.stubEnv('FASHION_MNIST_DIR', '');
  vi.stubEnv('XDG_CACHE_HOME', temporaryFolder());
});
afterEach(() => {
  vi.unstubAllEnvs();
});

describe('data fetch into a folder of the user', () => {
  test.each([
    ['plain', small, (text: string) => text],
    ['compressed', `${small}.gz`, (text: string) => gzipSync(text)],
  ])('replaces no file that is not ours, %s, and fetches nothing beside it', async (_form, name, encode) => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, name), encode('handwritten digits'));
    const before = readFileSync(join(folder, name));
    await expect(fetchDataset({ dataDir: folder, log, sources: [source] })).rejects.toThrow(
      /not Fashion-MNIST's .*: it is never replaced: name another folder, or move that file away and run `gradsock data fetch`$/,
    );
    expect(readdirSync(folder)).toEqual([name]);
    expect(readFileSync(join(folder, name)).equals(before)).toBe(true);
    expect(asked).toEqual([]);
  });

  test('fetches what is missing there, and nothing else', async () => {
    const folder = temporaryFolder();
    linkFashionMnist(folder, small);
    await fetchDataset({ dataDir: folder, log, sources: [source] });
    expect(asked).toEqual([small]);
    expect(readFileSync(join(folder, small)).equals(bytes[small])).toBe(true);
    expect(lines).toEqual([`Fashion-MNIST is in ${folder}, verified`]);
  });

  test('takes $FASHION_MNIST_DIR where no other is named', async () => {
    const folder = temporaryFolder();
    vi.stubEnv('FASHION_MNIST_DIR', folder);
    await fetchDataset({ log, sources: [source] });
    expect(readdirSync(folder).sort()).toEqual([...DATASET_FILES].sort());
  });

  test('goes on with the next source where one has stopped, and keeps what the first gave', async () => {
    const folder = temporaryFolder();
    const flaky: DatasetSource = (file) => (file === small ? offline(file, log) : source(file, log));
    await expect(fetchDataset({ dataDir: folder, log, sources: [flaky, offline] })).rejects.toThrow(
      /could not be fetched:\n {2}no network\n {2}no network\nOn Debian run `apt-get install/,
    );
    const numKept = readdirSync(folder).length;
    expect(numKept).toBe(DATASET_FILES.indexOf(small));
    asked = [];
    await fetchDataset({ dataDir: folder, log, sources: [source] });
    expect(asked).toEqual(DATASET_FILES.slice(numKept));
  });

  test('says which folder it may not write, and the cure', async () => {
    const folder = openFolder();
    await asOrdinaryUser([folder], async (uid) => {
      await expect(fetchDataset({ dataDir: join(folder, 'new'), log, sources: [source] })).rejects.toThrow(
        new RegExp(`${folder}/new.*permission denied for user ${uid} \\(EACCES\\): let that user`),
      );
    });
  });
});

describe("data fetch into the user's cache", () => {
  test('sets a damaged file aside under another name, and fetches it anew', async () => {
    const folder = cacheFolder()!;
    for (const file of DATASET_FILES) await storeDatasetFile(folder, file, bytes[file]);
    writeFileSync(join(folder, small), 'damaged');
    await fetchDataset({ log, sources: [source], places: cacheOnly() });
    expect(asked).toEqual([small]);
    const aside = readdirSync(folder).find((name) => name.startsWith(`${small}.damaged-`))!;
    expect(readFileSync(join(folder, aside), 'utf8')).toBe('damaged');
    expect(lines[0]).toMatch(/^\S+: not Fashion-MNIST's .*: set aside as \S+\.damaged-/);
  });

  test('fetches nothing where this machine has the files', async () => {
    const places = [{ folder: FASHION_MNIST_FOLDER, origin: "Debian's package", isExplicit: false }];
    await fetchDataset({ log, sources: [source], places });
    expect(asked).toEqual([]);
    expect(lines).toEqual([`Fashion-MNIST is in ${FASHION_MNIST_FOLDER}, verified`]);
  });

  test('tells a user without a home folder what to set', async () => {
    vi.stubEnv('XDG_CACHE_HOME', '');
    vi.stubEnv('HOME', '');
    await expect(fetchDataset({ log, sources: [source], places: [] })).rejects.toThrow(
      'Fashion-MNIST: cannot be kept: this user has no home folder: set $HOME or $XDG_CACHE_HOME, or name a folder by --data-dir',
    );
  });
});

describe('a run without data', () => {
  test('never installs a package: it names the command that does', async () => {
    expect(RUN_SOURCES).not.toContain(takeFromDebian);
    await expect(obtainDataset({ log, sources: [offline], places: cacheOnly() })).rejects.toThrow(
      /could not be fetched:\n {2}no network\nRun `gradsock data fetch`, which as root on Debian installs the package dataset-fashion-mnist by apt-get/,
    );
  });

  test('downloads what is missing, and keeps it for the next', async () => {
    await storeDatasetFile(cacheFolder()!, small, bytes[small]);
    await obtainDataset({ log, sources: [source], places: cacheOnly() });
    expect(asked).toEqual(DATASET_FILES.filter((file) => file !== small));
    asked = [];
    await obtainDataset({ log, sources: [source], places: cacheOnly() });
    expect(asked).toEqual([]);
  });

  test('goes on with samples that cannot be kept, and says why', async () => {
    const blocked = join(temporaryFolder(), 'file');
    writeFileSync(blocked, '');
    vi.stubEnv('XDG_CACHE_HOME', blocked);
    const files = await obtainDataset({ log, sources: [source], places: cacheOnly() });
    expect(files[small]).toEqual(bytes[small]);
    expect(lines).toHaveLength(DATASET_FILES.length);
    expect(lines[0]).toContain('cannot be made: a part of the path is a file, not a folder (ENOTDIR)');
  });

  test('goes on where the user has no home folder', async () => {
    vi.stubEnv('XDG_CACHE_HOME', '');
    vi.stubEnv('HOME', '');
    expect(cacheFolder()).toBeUndefined();
    const files = await obtainDataset({ log, sources: [source], places: [] });
    expect(files[small]).toEqual(bytes[small]);
    expect(lines[0]).toContain('this user has no home folder: set $HOME or $XDG_CACHE_HOME');
  });
});

describe("Debian's package", () => {
  /** Stands for apt-get: leaves the package's files in `folder`, and a mark of each call. */
  function fakeAptGet(folder: string): string {
    const path = join(temporaryFolder(), 'apt-get');
    writeFileSync(path, `#!/bin/sh\necho "$@" >> ${folder}/calls\ncp ${FASHION_MNIST_FOLDER}/* ${folder}/\n`);
    chmodSync(path, 0o755);
    return path;
  }

  test('is installed by root, once, and said before', async () => {
    const folder = temporaryFolder();
    const isInstalled: boolean[] = [];
    const take = debianSource({ folder, aptGet: fakeAptGet(folder), uid: 0 });
    const note = (line: string) => {
      log(line);
      isInstalled.push(existsSync(join(folder, 'calls')));
    };
    for (const file of DATASET_FILES) expect((await take(file, note)).length).toBe(bytes[file].length);
    expect(lines).toEqual(["installing Debian's package dataset-fashion-mnist on this machine, with apt-get as root"]);
    expect(isInstalled).toEqual([false]);
    expect(readFileSync(join(folder, 'calls'), 'utf8')).toBe(
      'install -y --no-install-recommends dataset-fashion-mnist\n',
    );
  });

  test.each([
    ['another user', { uid: 1000, aptGet: '/bin/sh' }, 'installing it takes root'],
    ['another system', { uid: 0, aptGet: '/nowhere/apt-get' }, 'this is no Debian system'],
  ])('is not installed by %s', async (_who, system, reason) => {
    const take = debianSource({ folder: temporaryFolder(), ...system });
    await expect(take(small, log)).rejects.toThrow(`Debian's package dataset-fashion-mnist: ${reason}`);
    expect(lines).toEqual([]);
  });
});
