/** The small records of a run, read whole for lists and comparisons; whatever version wrote them. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openGrownLines } from '../../coordinator/dashboard/grown-lines.ts';
import { configOf, epochRecordOf, parse, resultOf } from '../../coordinator/dashboard/old-records.ts';
import type { RunCurves, RunRow } from '../../coordinator/dashboard/runs-messages.ts';
import { accuracyOf } from '../../coordinator/reporting/reporter.ts';
import type { EpochRecord, RunResult } from '../../coordinator/reporting/reporter.ts';
import type { RunConfig } from '../../coordinator/run-config.ts';

export interface RunRecords {
  /** `config.json` as it is; empty where it cannot be read. */
  readonly recorded: Readonly<Record<string, unknown>>;
  /** Undefined where it is no configuration of any version. */
  readonly config: RunConfig | undefined;
  readonly epochs: readonly EpochRecord[];
  readonly result: RunResult | undefined;
}

export async function readRunRecords(path: string): Promise<RunRecords> {
  const textOf = (name: string) => readFile(join(path, name), 'utf8').catch(() => '');
  const recorded = parse(await textOf('config.json')) ?? {};
  const epochs: EpochRecord[] = [];
  await openGrownLines(join(path, 'epochs.jsonl')).read((line) => {
    const record = epochRecordOf(line);
    if (record) epochs.push(record);
  });
  return { recorded, config: configOf(recorded), epochs, result: resultOf(parse(await textOf('result.json'))) };
}

/** `state`: as it is without a look at the lock; `stopped` where there is no result. */
export function rowOf(name: string, { recorded, config, epochs, result }: RunRecords): RunRow {
  const last = epochs.at(-1);
  const accuracies = epochs.flatMap((one) => accuracyOf(one) ?? []);
  const [samples, seconds] = [sumOf(epochs, 'samples'), sumOf(epochs, 'seconds')];
  const { optimizer, schedule } = config ?? {};
  return {
    name,
    model: config?.model.name ?? '?',
    data: config ? (config.dataset?.name ?? 'fashion-mnist') : '?',
    recipe: optimizer && schedule ? `${optimizer.name} ${schedule.learningRate} ${schedule.name}` : '?',
    state: result?.status ?? 'stopped',
    epochs: epochs.length,
    plannedEpochs: config?.epochs ?? 0,
    bestAccuracy: accuracies.length > 0 ? accuracies.reduce((a, b) => Math.max(a, b)) : null,
    lastAccuracy: last ? accuracyOf(last) : null,
    loss: last?.loss ?? null,
    seconds: result?.trainingSeconds ?? (last ? seconds + sumOf(epochs, 'evaluationSeconds') : null),
    workers: last?.numWorkers ?? config?.workers ?? 0,
    samplesPerSecond: seconds > 0 ? samples / seconds : null,
    startedAt: typeof recorded['startedAt'] === 'string' ? recorded['startedAt'] : null,
  };
}

export function curvesOf(epochs: readonly EpochRecord[]): RunCurves {
  let total = 0;
  return {
    epochs: epochs.map(({ epoch }) => epoch),
    seconds: epochs.map(({ seconds, evaluationSeconds }) => (total += seconds + evaluationSeconds)),
    loss: epochs.map(({ loss }) => loss),
    accuracy: epochs.map(accuracyOf),
  };
}

const sumOf = (epochs: readonly EpochRecord[], field: 'samples' | 'seconds' | 'evaluationSeconds'): number =>
  epochs.reduce((sum, record) => sum + record[field], 0);
