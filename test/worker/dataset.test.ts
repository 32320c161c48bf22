import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { createMembership } from '../../coordinator/members/membership.ts';
import { DATASET_FILES, DATASET_SHA256 } from '../../protocol/data/dataset.ts';
import type { DatasetBytes } from '../../protocol/data/dataset.ts';
import { cacheFolder, readDatasetFiles } from '../../protocol/data/dataset-files.ts';
import { connectToCoordinator } from '../../worker/connection/client.ts';
import { loadDataset } from '../../worker/dataset.ts';
import { receiveKind } from '../../protocol/wire/transport.ts';
import { SAMPLE_MESSAGES } from '../helpers/messages.ts';
import { never, startTestServer } from '../helpers/sockets.ts';
import { FASHION_MNIST_PLACE, readFashionMnist } from '../helpers/fashion-mnist.ts';
import { temporaryFolder } from '../helpers/folder.ts';

let bytes: DatasetBytes;

beforeAll(async () => {
  bytes = await readFashionMnist();
});
beforeEach(() => {
  vi.stubEnv('XDG_CACHE_HOME', temporaryFolder());
});
afterEach(() => {
  vi.unstubAllEnvs();
});

/** A worker's connection to a coordinator that has the files, after the welcome. */
async function joined(datasetBytes: DatasetBytes) {
  const membership = createMembership({ welcome: SAMPLE_MESSAGES.welcome, datasetBytes, log: () => {} });
  const server = await startTestServer((transport) => void membership.admit(transport));
  const transport = await connectToCoordinator(server.joinUrl, never());
  onTestFinished(async () => {
    transport.close();
    await server.close();
  });
  transport.send({ kind: 'hello', name: 'bare' });
  return { transport, welcome: await receiveKind(transport, 10_000, 'welcome') };
}

describe('a worker without the files', () => {
  test('receives them from the coordinator, whole, and keeps them in its cache', async () => {
    const { transport, welcome } = await joined(bytes);
    const lines: string[] = [];
    const dataset = await loadDataset(welcome, transport, { places: [], log: (line) => lines.push(line) });
    expect(dataset.train.numSamples).toBe(60_000);
    expect(Buffer.compare(dataset.train.images, bytes['train-images-idx3-ubyte'].subarray(16))).toBe(0);
    expect(lines).toEqual([
      `Fashion-MNIST is not on this machine: receiving it from the coordinator into ${cacheFolder()!}`,
    ]);
    const cached = await readDatasetFiles([{ folder: cacheFolder()!, origin: 'the cache', isExplicit: true }]);
    expect(cached).toBeDefined();
  });

  test('refuses bytes that are not the files, and keeps none of them', async () => {
    const labels = bytes['train-labels-idx1-ubyte'].slice();
    labels[20]! ^= 1;
    const { transport, welcome } = await joined({ ...bytes, 'train-labels-idx1-ubyte': labels });
    await expect(loadDataset(welcome, transport, { places: [], log: () => {} })).rejects.toThrow(
      `expected sha256 ${DATASET_SHA256['train-labels-idx1-ubyte']}`,
    );
    expect(existsSync(join(cacheFolder()!, 'train-labels-idx1-ubyte'))).toBe(false);
  });

  test('trains all the same when its cache cannot be written', async () => {
    const blocked = join(temporaryFolder(), 'file');
    writeFileSync(blocked, '');
    vi.stubEnv('XDG_CACHE_HOME', blocked);
    const { transport, welcome } = await joined(bytes);
    const lines: string[] = [];
    const dataset = await loadDataset(welcome, transport, { places: [], log: (line) => lines.push(line) });
    expect(dataset.evaluation.numSamples).toBe(10_000);
    expect(lines.length).toBe(1 + DATASET_FILES.length);
  });

  test('asks for nothing when a place has them', async () => {
    const { transport, welcome } = await joined(bytes);
    await loadDataset(welcome, transport, { places: [FASHION_MNIST_PLACE], log: () => {} });
    expect(transport.bytesReceived).toBeLessThan(4096);
  });
});

test('a run with validation has training samples for its evaluation; more than there are is refused', async () => {
  const { transport, welcome } = await joined(bytes);
  const places = [FASHION_MNIST_PLACE];
  const held = { ...welcome, numTrainSamples: 900, numTestSamples: 0, numValidationSamples: 100 };
  const { train, evaluation } = await loadDataset(held, transport, { places, log: () => {} });
  expect([train.numSamples, evaluation.numSamples]).toEqual([900, 100]);
  expect(evaluation.labels).toEqual(bytes['train-labels-idx1-ubyte'].subarray(8 + 900, 8 + 1000));
  const beyond = { ...held, numValidationSamples: 60_000 };
  await expect(loadDataset(beyond, transport, { places, log: () => {} })).rejects.toThrow(
    'samples 900 to 60900 were asked for of 60000',
  );
});

test('a run with other files than the worker knows is refused', async () => {
  const { transport, welcome } = await joined(bytes);
  const other = { ...welcome, dataset: { ...welcome.dataset, 't10k-labels-idx1-ubyte': '0'.repeat(64) } };
  await expect(loadDataset(other, transport, { places: [], log: () => {} })).rejects.toMatchObject({
    code: 'ERR_DATASET_MISMATCH',
  });
});

test('a request for what is no dataset file is refused, and the connection ended', async () => {
  const { transport } = await joined(bytes);
  transport.send({ kind: 'datasetRequest', file: '../../etc/passwd' });
  await expect(receiveKind(transport, 10_000, 'datasetChunk')).rejects.toMatchObject({
    code: 'ERR_UNEXPECTED_MESSAGE',
  });
});
