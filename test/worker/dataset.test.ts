import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { createMembership } from '../../coordinator/members/membership.ts';
import type { ServedDataset } from '../../coordinator/members/admission.ts';
import { bytesOf, memoryBytes } from '../../protocol/data/byte-source.ts';
import { toCanonical } from '../../protocol/data/canonical.ts';
import type { CanonicalDataset } from '../../protocol/data/canonical.ts';
import { cachedPath, datasetCacheFolder } from '../../protocol/data/dataset-cache.ts';
import { imagesOf } from '../../protocol/data/dataset.ts';
import type { SampleSet } from '../../protocol/data/dataset.ts';
import { canonicalFashionMnist } from '../../protocol/data/fashion-mnist.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { connectToCoordinator } from '../../worker/connection/client.ts';
import { loadDataset } from '../../worker/dataset.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import { receiveKind } from '../../protocol/wire/transport.ts';
import { SAMPLE_MESSAGES } from '../helpers/messages.ts';
import { never, startTestServer } from '../helpers/sockets.ts';
import { FASHION_MNIST_PLACE, readFashionMnist } from '../helpers/fashion-mnist.ts';
import { temporaryFolder } from '../helpers/folder.ts';

let fashionMnist: CanonicalDataset<SampleSet>;

beforeAll(async () => {
  fashionMnist = canonicalFashionMnist(await readFashionMnist());
});
beforeEach(() => {
  vi.stubEnv('XDG_CACHE_HOME', temporaryFolder());
});
afterEach(() => {
  vi.unstubAllEnvs();
});

/** A worker's connection to a coordinator that has the dataset, after the welcome. */
async function joined(dataset: Omit<ServedDataset, 'name'>) {
  const { welcome } = SAMPLE_MESSAGES;
  const served = { sha256: dataset.sha256, bytes: dataset.bytes, name: 'fashion-mnist' };
  const membership = createMembership({ welcome, dataset: served, log: () => {} });
  const server = await startTestServer((transport) => void membership.admit(transport));
  const transport = await connectToCoordinator(server.joinUrl, never());
  onTestFinished(async () => {
    transport.close();
    await server.close();
  });
  transport.send({ kind: 'hello', name: 'bare' });
  return { transport, welcome: await receiveKind(transport, 10_000, 'welcome') };
}

describe('a worker without the dataset', () => {
  test('receives it from the coordinator, whole, keeps it, and finds it there the next time', async () => {
    const { transport, welcome } = await joined(fashionMnist);
    const lines: string[] = [];
    const log = (line: string) => void lines.push(line);
    const { train } = await loadDataset(welcome, transport, { places: [], log });
    const path = cachedPath(fashionMnist.sha256)!;
    expect(train.numSamples).toBe(60_000);
    expect(Buffer.compare(imagesOf(train, 0, 60_000), fashionMnist.splits.train.images)).toBe(0);
    expect(train.labels).toEqual(fashionMnist.splits.train.labels);
    expect(lines).toEqual([`fashion-mnist is not on this machine: receiving it from the coordinator into ${path}`]);
    expect(Buffer.compare(readFileSync(path), bytesOf(fashionMnist.bytes, 0, fashionMnist.bytes.byteLength))).toBe(0);

    const again = await joined(fashionMnist);
    await loadDataset(again.welcome, again.transport, { places: [], log });
    expect(again.transport.bytesReceived).toBeLessThan(4096);
    expect(lines.length).toBe(1);
  });

  test('refuses bytes that are not the dataset, and keeps none of them', async () => {
    const bytes = bytesOf(fashionMnist.bytes, 0, fashionMnist.bytes.byteLength);
    bytes[bytes.length - 20]! ^= 1;
    const { transport, welcome } = await joined({ sha256: fashionMnist.sha256, bytes: memoryBytes([bytes]) });
    await expect(loadDataset(welcome, transport, { places: [], log: () => {} })).rejects.toMatchObject({
      code: 'ERR_DATASET_MISMATCH',
      message: expect.stringContaining(`expected sha256 ${fashionMnist.sha256}`),
    });
    expect(readdirSync(datasetCacheFolder()!)).toEqual([]);
  });

  test('trains all the same when its cache cannot be written', async () => {
    const blocked = join(temporaryFolder(), 'file');
    writeFileSync(blocked, '');
    vi.stubEnv('XDG_CACHE_HOME', blocked);
    const { transport, welcome } = await joined(fashionMnist);
    const lines: string[] = [];
    const dataset = await loadDataset(welcome, transport, { places: [], log: (line) => lines.push(line) });
    expect(dataset.evaluation.numSamples).toBe(10_000);
    expect(lines.length).toBe(2);
    expect(lines[1]).toMatch(/cannot be made: .*; this run goes on without keeping it$/);
  });

  test('receives it once more, into memory, when its disk is full halfway', async () => {
    const { transport, welcome } = await joined(fashionMnist);
    const noSpace = Object.assign(new Error('no space left'), { code: 'ENOSPC', syscall: 'write' });
    let numWritten = 0;
    const lines: string[] = [];
    const dataset = await loadDataset(welcome, transport, {
      places: [],
      log: (line) => lines.push(line),
      keep: (_, write) =>
        write(() => (++numWritten > 3 ? Promise.reject(noSpace) : Promise.resolve())).then(
          () => 'nowhere',
          () => Promise.reject(new ConfigError('the disk is full')),
        ),
    });
    expect(Buffer.compare(imagesOf(dataset.train, 0, 60_000), fashionMnist.splits.train.images)).toBe(0);
    expect(numWritten).toBe(4);
    expect(lines[1]).toBe('the disk is full; this run goes on without keeping it');
  });

  test('sets a damaged copy in its cache aside, says so, and receives it', async () => {
    const first = await joined(fashionMnist);
    await loadDataset(first.welcome, first.transport, { places: [], log: () => {} });
    const path = cachedPath(fashionMnist.sha256)!;
    const damaged = readFileSync(path);
    damaged[5000]! ^= 1;
    writeFileSync(path, damaged);
    const lines: string[] = [];
    const { transport, welcome } = await joined(fashionMnist);
    await loadDataset(welcome, transport, { places: [], log: (line) => lines.push(line) });
    expect(lines.map((line) => line.replace(/\S*\//g, ''))).toEqual([
      expect.stringMatching(/^[0-9a-f]{64}\.safetensors: expected that sha256, found .*: set aside as .*\.damaged-/),
      expect.stringMatching(/^fashion-mnist is not on this machine/),
    ]);
  });

  test('asks for nothing when a place has its files', async () => {
    const { transport, welcome } = await joined(fashionMnist);
    await loadDataset(welcome, transport, { places: [FASHION_MNIST_PLACE], log: () => {} });
    expect(transport.bytesReceived).toBeLessThan(4096);
  });
});

test('a run with validation has training samples for its evaluation; more than there are is refused', async () => {
  const { transport, welcome } = await joined(fashionMnist);
  const places = [FASHION_MNIST_PLACE];
  const held = { ...welcome, numTrainSamples: 900, numTestSamples: 0, numValidationSamples: 100 };
  const { train, evaluation } = await loadDataset(held, transport, { places, log: () => {} });
  expect([train.numSamples, evaluation.numSamples]).toEqual([900, 100]);
  expect(evaluation.labels).toEqual(fashionMnist.splits.train.labels.subarray(900, 1000));
  const beyond = { ...held, numValidationSamples: 60_000 };
  await expect(loadDataset(beyond, transport, { places, log: () => {} })).rejects.toThrow(
    'samples 900 to 60900 were asked for of 60000',
  );
});

test('a dataset whose images the model does not take is refused', async () => {
  const other = await toCanonical({
    shape: [3, 4, 5],
    classes: ['a', 'b'],
    train: { images: new Uint8Array(120), labels: Uint8Array.of(0, 1), numSamples: 2 },
    test: { images: new Uint8Array(60), labels: Uint8Array.of(0), numSamples: 1 },
  });
  const { transport, welcome } = await joined(other);
  await expect(loadDataset(welcome, transport, { places: [], log: () => {} })).rejects.toMatchObject({
    code: 'ERR_DATASET_MISMATCH',
    message: 'fashion-mnist has images of [3, 4, 5] in 2 classes, the model takes [1, 28, 28] in 10',
  });
});

test.each([
  ['a part that does not come next', { offsetBytes: 5, numBytes: 3 }],
  ['more than may be asked for at once', { offsetBytes: 0, numBytes: LIMITS.datasetRangeBytes + 1 }],
])('a request for %s is refused, and the connection ended', async (_what, request) => {
  const { transport } = await joined(fashionMnist);
  transport.send({ kind: 'datasetRequest', ...request });
  await expect(receiveKind(transport, 10_000, 'datasetChunk')).rejects.toMatchObject({
    code: 'ERR_UNEXPECTED_MESSAGE',
  });
});
