/** How a worker comes by its samples: from this machine if they are here, else from the coordinator, once. */
import { ProtocolError } from '../protocol/errors.ts';
import { DATASET_FILES, DATASET_SHA256, parseDataset, verifyDatasetFile } from '../protocol/data/dataset.ts';
import type { Dataset, DatasetBytes, DatasetFile } from '../protocol/data/dataset.ts';
import { cacheFolder, keepDatasetFile, readDatasetFiles } from '../protocol/data/dataset-files.ts';
import type { DatasetPlace } from '../protocol/data/dataset-files.ts';
import { LIMITS } from '../protocol/wire/limits.ts';
import type { MessageOf } from '../protocol/wire/messages.ts';
import { receiveKind } from '../protocol/wire/transport.ts';
import type { Transport } from '../protocol/wire/transport.ts';

/**
 * The run's dataset: from the first of `places` that has it, else received, verified and kept in the user's cache.
 *
 * Rejects with ERR_DATASET_MISMATCH when the run uses other files than this program knows, with `ConfigError` when a
 * copy on this machine is damaged.
 */
export async function loadDataset(
  welcome: MessageOf<'welcome'>,
  transport: Transport,
  { places, log }: { places: readonly DatasetPlace[]; log: (line: string) => void },
): Promise<Dataset> {
  for (const file of DATASET_FILES) {
    if (welcome.dataset[file] !== DATASET_SHA256[file]) {
      throw new ProtocolError('ERR_DATASET_MISMATCH', `the run uses another ${file} than this worker knows`);
    }
  }
  const bytes = (await readDatasetFiles(places)) ?? (await receiveFiles(transport, log));
  return parseDataset(bytes, welcome);
}

async function receiveFiles(transport: Transport, log: (line: string) => void): Promise<DatasetBytes> {
  const folder = cacheFolder();
  const into = folder === undefined ? '' : ` into ${folder}`;
  log(`Fashion-MNIST is not on this machine: receiving it from the coordinator${into}`);
  const files: Partial<Record<DatasetFile, Uint8Array<ArrayBuffer>>> = {};
  for (const file of DATASET_FILES) {
    const bytes = await receiveFile(transport, file);
    verifyDatasetFile(file, bytes, `${file} from ${transport.peer}`, 'run `gradsock data verify` there');
    files[file] = bytes;
    await keepDatasetFile(folder, file, bytes, log);
  }
  return files as DatasetBytes;
}

async function receiveFile(transport: Transport, file: DatasetFile): Promise<Uint8Array<ArrayBuffer>> {
  transport.send({ kind: 'datasetRequest', file });
  let bytes: Uint8Array<ArrayBuffer> | undefined;
  for (let received = 0; bytes === undefined || received < bytes.length;) {
    const chunk = await receiveKind(transport, LIMITS.prepareMs, 'datasetChunk');
    const { offsetBytes, totalBytes, payload } = chunk;
    bytes ??= new Uint8Array(Math.min(totalBytes, LIMITS.maxPayloadBytes));
    const fits = totalBytes === bytes.length && offsetBytes + payload.length <= totalBytes && payload.length > 0;
    if (chunk.file !== file || offsetBytes !== received || !fits) {
      throw new ProtocolError('ERR_SHAPE_MISMATCH', `a piece of ${chunk.file} at ${offsetBytes}, expected ${file}`);
    }
    bytes.set(payload, offsetBytes);
    received += payload.length;
  }
  return bytes;
}
