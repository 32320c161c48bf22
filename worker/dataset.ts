/** How a worker comes by its samples: from this machine if they are here, else from the coordinator, once. */
import { createHash } from 'node:crypto';
import { countOf } from '../protocol/counts.ts';
import { ConfigError, describeError, ProtocolError } from '../protocol/errors.ts';
import { fileBytes, memoryBytes } from '../protocol/data/byte-source.ts';
import { openCanonical } from '../protocol/data/canonical.ts';
import type { CanonicalDataset } from '../protocol/data/canonical.ts';
import { cachedPath, openCached, writeCached } from '../protocol/data/dataset-cache.ts';
import { holdSamples, selectSplits } from '../protocol/data/dataset.ts';
import type { Dataset } from '../protocol/data/dataset.ts';
import { FASHION_MNIST_SHA256 } from '../protocol/data/fashion-mnist.ts';
import { openDatasetFiles } from '../protocol/data/fashion-mnist-files.ts';
import type { DatasetPlace } from '../protocol/data/fashion-mnist-files.ts';
import { LIMITS } from '../protocol/wire/limits.ts';
import type { MessageOf } from '../protocol/wire/messages.ts';
import { receiveKind } from '../protocol/wire/transport.ts';
import type { Transport } from '../protocol/wire/transport.ts';

export interface LoadOptions {
  /** Where this machine may have the files of Fashion-MNIST. */
  readonly places: readonly DatasetPlace[];
  readonly log: (line: string) => void;
  /** Keeps what is received; `nowhere`: it is held in memory alone. Default: in the user's cache. */
  readonly keep?: Keep | 'nowhere';
}

/**
 * Has `write` hand on the bytes of the dataset with that sha256, piece by piece, and returns the path of the file that
 * then holds them. Rejects with `ConfigError` when they cannot be kept.
 */
export type Keep = (
  sha256: string,
  write: (append: (piece: Uint8Array) => Promise<void>) => Promise<void>,
) => Promise<string>;

const keepInCache: Keep = (sha256, write) => writeCached(sha256, (file) => write((piece) => file.writeFile(piece)));

/**
 * The samples of the run that was joined: of Fashion-MNIST from the first of `places` that has its files; of any dataset
 * from the user's cache, else received, verified and kept there.
 *
 * Rejects with ERR_DATASET_MISMATCH when what was received is not what the run was said to train on, or does not fit its
 * model; with `ConfigError` when a copy on this machine is damaged.
 */
export async function loadDataset(
  welcome: MessageOf<'welcome'>,
  transport: Transport,
  { places, log, keep = keepInCache }: LoadOptions,
): Promise<Dataset> {
  const { dataset, model } = welcome;
  const canonical =
    (await fashionMnistFrom(places, dataset.sha256)) ??
    (await openCached(dataset.sha256, log)) ??
    (await receiveDataset(dataset, transport, { log, keep }));
  const { shape, classes } = canonical;
  if (shape.join() !== model.input.join() || classes.length !== model.numClasses) {
    const has = `images of [${shape.join(', ')}] in ${countOf(classes.length, 'class', 'classes')}`;
    const takes = `[${model.input.join(', ')}] in ${model.numClasses}`;
    throw new ProtocolError('ERR_DATASET_MISMATCH', `${dataset.name} has ${has}, the model takes ${takes}`);
  }
  return holdSamples(selectSplits(canonical.splits, welcome), shape);
}

async function fashionMnistFrom(
  places: readonly DatasetPlace[],
  sha256: string,
): Promise<CanonicalDataset | undefined> {
  if (sha256 !== FASHION_MNIST_SHA256) return undefined;
  return openDatasetFiles(places);
}

type NamedDataset = MessageOf<'welcome'>['dataset'];

/** Into the user's cache, from which it is then read; into memory where it is not to be kept, or cannot be. */
async function receiveDataset(
  dataset: NamedDataset,
  transport: Transport,
  { log, keep }: { readonly log: (line: string) => void; readonly keep: Keep | 'nowhere' },
): Promise<CanonicalDataset> {
  const { name, sha256, totalBytes } = dataset;
  const path = keep === 'nowhere' ? undefined : cachedPath(sha256);
  const into = path === undefined ? '' : ` into ${path}`;
  log(`${name} is not on this machine: receiving it from the coordinator${into}`);
  if (keep !== 'nowhere') {
    try {
      const kept = await keep(sha256, async (append) => {
        for await (const piece of receiveBytes(dataset, transport)) await append(piece);
      });
      return openCanonical(fileBytes(kept), sha256, kept);
    } catch (error) {
      // What came from the coordinator was wrong, or did not come.
      if (!(error instanceof ConfigError)) throw error;
      log(`${describeError(error)}; this run goes on without keeping it`);
    }
  }
  if (totalBytes > LIMITS.maxPayloadBytes) {
    throw new ConfigError(
      `${name}: ${countOf(totalBytes, 'byte')} are too many to be held in memory, at most ${LIMITS.maxPayloadBytes}: ` +
        'let them be kept: set $XDG_CACHE_HOME to a folder with room for them',
    );
  }
  const bytes = new Uint8Array(totalBytes);
  let at = 0;
  for await (const piece of receiveBytes(dataset, transport)) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return openCanonical(memoryBytes([bytes]), sha256, `${name} from ${transport.peer}`);
}

/**
 * All bytes, in order, a few megabytes at a time, each to be used before the next one is asked for. Throws
 * ERR_DATASET_MISMATCH after the last one when they do not have the dataset's sha256.
 */
async function* receiveBytes(
  { name, sha256, totalBytes }: NamedDataset,
  transport: Transport,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const hash = createHash('sha256');
  for (let rangeAt = 0; rangeAt < totalBytes; rangeAt += LIMITS.datasetRangeBytes) {
    const end = Math.min(rangeAt + LIMITS.datasetRangeBytes, totalBytes);
    transport.send({ kind: 'datasetRequest', offsetBytes: rangeAt, numBytes: end - rangeAt });
    let at = rangeAt;
    const connection = { hasFailed: false };
    const next = async () => {
      connection.hasFailed = true;
      const { offsetBytes, payload } = await receiveKind(transport, LIMITS.prepareMs, 'datasetChunk');
      if (offsetBytes !== at || payload.length === 0 || at + payload.length > end) {
        const piece = `${countOf(payload.length, 'byte')} of ${name} at ${offsetBytes}`;
        throw new ProtocolError('ERR_SHAPE_MISMATCH', `${piece}, expected at most ${end - at} at ${at}`);
      }
      connection.hasFailed = false;
      at += payload.length;
      return payload;
    };
    try {
      while (at < end) {
        const piece = await next();
        hash.update(piece);
        yield piece;
      }
    } finally {
      // A caller that stops here, because a disk is full, must find nothing of this range on the connection afterwards.
      while (at < end && !connection.hasFailed) await next();
    }
  }
  const found = hash.digest('hex');
  if (found === sha256) return;
  const text = `${name} from ${transport.peer}: expected sha256 ${sha256}, got ${found}`;
  throw new ProtocolError('ERR_DATASET_MISMATCH', `${text}: run \`gradsock data verify\` there`);
}
