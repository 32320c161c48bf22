/** The run directory: what a run leaves behind. Whole files are replaced atomically; lines are appended. */
import { existsSync } from 'node:fs';
import { appendFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { customAlphabet } from 'nanoid';
import { pino } from 'pino';
import type { Logger } from 'pino';
import { ConfigError, describeError } from '../protocol/errors.ts';
import { writeFileAtomically } from '../protocol/state/atomic-file.ts';
import type { Replica } from '../protocol/state/replica.ts';
import { encodeSafetensors, namedTensors } from '../protocol/state/safetensors.ts';
import type { EpochRecord, RunResult } from './reporters/reporter.ts';
import type { RunConfig } from './run-config.ts';

const shortId = customAlphabet('0123456789abcdefghjkmnpqrstvwxyz', 6);

export interface RunDirectory {
  readonly path: string;
  readonly runId: string;
  readonly logger: Logger;
  writeConfig(config: RunConfig, origin: object): Promise<void>;
  appendEpoch(record: EpochRecord): Promise<void>;
  /** `model.safetensors`, of the replica as it is now. */
  writeModel(replica: Replica): Promise<void>;
  writeResult(result: RunResult): Promise<void>;
}

/**
 * Creates the directory: `path`, or by default `runs/<date>-<model>-<id>`.
 *
 * Throws `ConfigError` when it holds a run already, so that none is ever overwritten, or cannot be made.
 */
export async function createRunDirectory(modelName: string, path?: string): Promise<RunDirectory> {
  const runId = shortId();
  const date = new Date().toISOString().slice(0, 10);
  const folder = path ?? join('runs', `${date}-${modelName}-${runId}`);
  const file = (name: string) => join(folder, name);
  if (existsSync(file('config.json'))) {
    throw new ConfigError(`--run-dir ${folder}: holds a run already: choose another folder, or remove this one`);
  }
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw new ConfigError(`--run-dir ${folder}: cannot be made: ${describeError(error)}`);
  }
  const logger = pino({ base: null }, pino.destination({ dest: file('log.jsonl'), sync: true }));
  const json = (value: object) => `${JSON.stringify(value, undefined, 2)}\n`;
  return {
    path: folder,
    runId,
    logger,
    writeConfig: (config, origin) => writeFileAtomically(file('config.json'), json({ ...config, ...origin })),
    appendEpoch: (record) => appendFile(file('epochs.jsonl'), `${JSON.stringify(record)}\n`),
    writeModel: (replica) => {
      const tensors = namedTensors(replica.plan, replica.parameters, replica.buffers);
      const metadata = { format: 'gradsock', model: JSON.stringify(replica.plan.spec), step: String(replica.step) };
      return writeFileAtomically(file('model.safetensors'), encodeSafetensors(tensors, metadata));
    },
    writeResult: (result) => writeFileAtomically(file('result.json'), json(result)),
  };
}
