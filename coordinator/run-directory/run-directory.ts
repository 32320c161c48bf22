/**
 * The run directory: what a run leaves behind. Whole files are replaced atomically; lines are appended, and on the disk
 * before a checkpoint can count on them. What cannot be written rejects with `StorageError`. While the run lasts its
 * process has the directory to itself: see `run-lock.ts`.
 */
import { existsSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pino } from 'pino';
import type { Logger } from 'pino';
import { describeSystemError } from '../../protocol/system-errors.ts';
import { readJsonFile } from '../../protocol/text-files.ts';
import { syncFolder, writeFileAtomically } from '../../protocol/atomic-file.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import { encodeModelFile } from '../../protocol/state/model-file.ts';
import type { ModelFacts } from '../../protocol/state/model-file.ts';
import type { AllReduceKind } from '../run-config.ts';
import type { Confusion } from '../reporting/confusion.ts';
import type { EpochRecord, RunResult } from '../reporting/reporter.ts';
import type { RunConfig } from '../run-config.ts';
import { CONFUSION_FOLDER, writeConfusion } from './confusion-files.ts';
import type { RunLock } from './run-lock.ts';
import { storing } from './storage-error.ts';

export type ModelFileName = 'model.safetensors' | 'best.safetensors';

/** What a run is recorded by as it goes. */
export interface RunRecord {
  /** The run directory; undefined of a run that leaves nothing behind. */
  readonly path: string | undefined;
  /** For the run's checkpoints; made with the first of them. Undefined of a run that leaves nothing behind. */
  readonly checkpointFolder: string | undefined;
  readonly runId: string;
  readonly logger: Logger;
  /** Adds to the configuration what the run begins with, which `auto` may not choose again when it is resumed. */
  recordAllReduce(begunWith: AllReduceKind): Promise<void>;
  appendEpoch(record: EpochRecord): Promise<void>;
  /** The epoch's file in `confusion/`, made or replaced. */
  writeConfusion(confusion: Confusion): Promise<void>;
  /** To `steps.jsonl`: records of steps, one a line. */
  appendSteps(lines: readonly string[]): Promise<void>;
  /** `model.safetensors`, or of the epoch that is the best so far `best.safetensors`, of the replica as it is now. */
  writeModel(replica: Replica, facts: ModelFacts, name?: ModelFileName): Promise<void>;
  writeResult(result: RunResult): Promise<void>;
  /** What writes into the directory by itself asks before: rejects with `StorageError` once the lock is lost. */
  confirm(): Promise<void>;
}

export interface RunDirectory extends RunRecord {
  readonly path: string;
  readonly checkpointFolder: string;
  writeConfig(config: RunConfig, origin: object): Promise<void>;
  /** Of a run that is made longer: how many epochs it has now, and had before. */
  recordEpochs(epochs: number, earlierEpochs: readonly number[]): Promise<void>;
}

/**
 * The directory of a run that has one; `warn` is told, once, of a log that cannot be written, which ends no run. Once the
 * lock is lost nothing is written any more, nor to the log.
 */
export function openRunDirectory(
  folder: string,
  runId: string,
  warn: (line: string) => void,
  lock?: Pick<RunLock, 'confirm' | 'lost'>,
): RunDirectory {
  const file = (name: string) => join(folder, name);
  const logger = openLog(file('log.jsonl'), warn);
  lock?.lost.addEventListener('abort', () => (logger.level = 'silent'));
  const confirm = async () => lock?.confirm();
  const json = (value: object) => `${JSON.stringify(value, undefined, 2)}\n`;
  const replace = (name: string, content: string | Uint8Array) =>
    storing(file(name), async () => {
      await confirm();
      await writeFileAtomically(file(name), content);
    });
  const append = (name: string, lines: readonly string[]) =>
    storing(file(name), async () => {
      await confirm();
      await appendLines(file(name), lines);
    });
  const addToConfig = async (fields: object) => {
    const recorded = readJsonFile(file('config.json'), file('config.json')) as object;
    await replace('config.json', json({ ...recorded, ...fields }));
  };
  return {
    path: folder,
    checkpointFolder: file('checkpoints'),
    runId,
    logger,
    writeConfig: (config, origin) => replace('config.json', json({ runId, ...config, ...origin })),
    recordAllReduce: (begunWith) => addToConfig({ begunWith }),
    recordEpochs: (epochs, earlierEpochs) => addToConfig({ epochs, earlierEpochs }),
    confirm,
    appendEpoch: (record) => append('epochs.jsonl', [JSON.stringify(record)]),
    writeConfusion: (confusion) =>
      storing(file(CONFUSION_FOLDER), async () => {
        await confirm();
        await writeConfusion(folder, confusion);
      }),
    appendSteps: (lines) => append('steps.jsonl', lines),
    writeModel: (replica, facts, name = 'model.safetensors') => replace(name, encodeModelFile(replica, facts)),
    writeResult: (result) => replace('result.json', json(result)),
  };
}

function openLog(path: string, warn: (line: string) => void): Logger {
  let hasWarned = false;
  const warnOnce = (error: unknown) => {
    if (!hasWarned) warn(`warning: ${describeSystemError(path, 'written', error)}`);
    hasWarned = true;
  };
  try {
    const destination = pino.destination({ dest: path, sync: true });
    destination.on('error', warnOnce);
    return pino({ base: null }, destination);
  } catch (error) {
    warnOnce(error);
    return pino({ base: null, enabled: false });
  }
}

/** The lines are on the disk, whole, or the file is as it was; its name too, when they are the first. */
export async function appendLines(path: string, lines: readonly string[]): Promise<void> {
  const isNew = !existsSync(path);
  const file = await open(path, 'a');
  try {
    const { size } = await file.stat();
    try {
      await file.writeFile(lines.map((line) => `${line}\n`).join(''));
      await file.datasync();
    } catch (error) {
      // Where even this fails, resuming cuts off what is torn.
      await (isNew ? rm(path, { force: true }) : file.truncate(size)).catch(() => {});
      throw error;
    }
  } finally {
    await file.close();
  }
  if (isNew) await syncFolder(dirname(path));
}
