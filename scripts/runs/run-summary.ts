/** What a run directory says of its run, in one row: read from its records alone, whatever version wrote them. */
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { readJsonFile } from '../../protocol/text-files.ts';
import { accuracyOf } from '../../coordinator/reporting/reporter.ts';
import type { EpochRecord, RunResult } from '../../coordinator/reporting/reporter.ts';
import type { RunConfig } from '../../coordinator/run-config.ts';

/** One row; null where the records say nothing. Accuracies are fractions, of what the run evaluated. */
export interface RunSummary {
  readonly run: string;
  /** Its directory. */
  readonly path: string;
  readonly model: string;
  readonly data: string;
  /** Optimizer, learning rate and schedule. */
  readonly recipe: string;
  readonly workers: number;
  /** What computed last, or was asked for. */
  readonly engine: string | null;
  /** Done, of those planned. */
  readonly epochs: number;
  readonly plannedEpochs: number;
  readonly bestEpoch: number | null;
  readonly bestAccuracy: number | null;
  readonly lastAccuracy: number | null;
  readonly lastLoss: number | null;
  /** Of steps, evaluation and writing; not of waiting for workers. */
  readonly trainingSeconds: number | null;
  /** In ISO 8601. */
  readonly startedAt: string | null;
  /** "unfinished": it runs, or was killed. */
  readonly status: RunResult['status'] | 'unfinished';
}

/** What `config.json` says, whatever version wrote it. */
export type Recorded = Partial<RunConfig> & { readonly engine?: string; readonly startedAt?: string };

/** The runs in a folder, and the folder itself if it is one, by name. Links are passed over: they name a run twice. */
export function listRuns(folder: string): RunSummary[] {
  const names = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const inside = names.map(({ name }) => join(folder, name)).sort();
  return [folder, ...inside].filter(isRun).map(summariseRun);
}

export function isRun(path: string): boolean {
  return existsSync(join(path, 'config.json')) && statSync(path).isDirectory();
}

/** Throws `ConfigError` for a configuration that cannot be read. */
export function summariseRun(path: string): RunSummary {
  const config = readRecord(path, 'config.json') as Recorded;
  const result = readRecord(path, 'result.json') as Partial<RunResult> | undefined;
  const epochs = readEpochs(path);
  const last = epochs.at(-1);
  const best = bestOf(epochs);
  const { optimizer, schedule } = config;
  const worker = last?.workers[0];
  return {
    run: basename(realpathSync(path)),
    path,
    model: config.model?.name ?? '?',
    data: config.dataset?.name ?? 'fashion-mnist',
    recipe: optimizer && schedule ? `${optimizer.name} ${schedule.learningRate} ${schedule.name}` : '?',
    workers: config.workers ?? 0,
    engine: worker ? `${worker.engine} on ${worker.device}` : (config.engine ?? null),
    epochs: epochs.length,
    plannedEpochs: config.epochs ?? 0,
    bestEpoch: best?.epoch ?? null,
    bestAccuracy: best?.accuracy ?? null,
    lastAccuracy: last ? accuracyOf(last) : null,
    lastLoss: last?.loss ?? null,
    trainingSeconds: result?.trainingSeconds ?? result?.seconds ?? (last ? secondsOf(epochs) : null),
    startedAt: config.startedAt ?? null,
    status: result?.status ?? 'unfinished',
  };
}

/** What it recorded, with the keys that say what a run computes: for comparing two. */
export function readRunConfig(path: string): Recorded {
  return readRecord(path, 'config.json') as Recorded;
}

function readRecord(path: string, name: string): object | undefined {
  const file = join(path, name);
  return existsSync(file) ? (readJsonFile(file, file) as object) : undefined;
}

/** The records of a run's epochs. Whole lines only: the last may be being written. */
export function readEpochs(path: string): EpochRecord[] {
  const file = join(path, 'epochs.jsonl');
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line) => {
      try {
        return line === '' ? [] : [JSON.parse(line) as EpochRecord];
      } catch {
        return [];
      }
    });
}

const secondsOf = (epochs: readonly EpochRecord[]): number =>
  epochs.reduce((sum, { seconds, evaluationSeconds }) => sum + seconds + evaluationSeconds, 0);

/** The first of the most accurate, as checkpoints have it. */
function bestOf(epochs: readonly EpochRecord[]): { epoch: number; accuracy: number } | undefined {
  let best: { epoch: number; accuracy: number } | undefined;
  for (const record of epochs) {
    const accuracy = accuracyOf(record);
    if (accuracy !== null && accuracy > (best?.accuracy ?? -1)) best = { epoch: record.epoch, accuracy };
  }
  return best;
}
