/**
 * A run in MLflow: its settings as parameters, each epoch's figures as metrics, and how it ended. A run that is resumed goes
 * on in the same MLflow run, whose id `mlflow.json` in the run directory has. A server that does not answer costs a run
 * nothing but a warning: what could not be sent is sent with the next epoch.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { writeFileAtomically } from '../../protocol/atomic-file.ts';
import type { RunConfig } from '../run-config.ts';
import { createMlflowClient } from './mlflow-client.ts';
import type { MlflowMetric, MlflowStatus } from './mlflow-client.ts';
import type { EpochRecord, Reporter, RunResult } from './reporter.ts';
import { LONGEST_REQUEST_MS, reasonOf } from './request-failure.ts';

const DEFAULT_EXPERIMENT = 'gradsock';
/** Metrics that are kept for a server that does not answer: a thousand epochs. */
const MOST_WAITING = 20_000;

const STATUS = { completed: 'FINISHED', failed: 'FAILED', interrupted: 'KILLED' } satisfies Record<
  RunResult['status'],
  MlflowStatus
>;

export interface MlflowOptions {
  /** Of the tracking server. */
  readonly uri: string;
  /** `MLFLOW_EXPERIMENT_NAME` (default: gradsock) and MLflow's variables for authentication are read. */
  readonly environment: NodeJS.ProcessEnv;
  /** Told what could not be sent. */
  readonly warn: (line: string) => void;
}

/** A subscriber that sends. Throws `ConfigError` for a URI that is none. */
export function createMlflowSubscriber({ uri, environment, warn }: MlflowOptions): Reporter {
  const client = createMlflowClient({ uri, environment, timeoutMs: LONGEST_REQUEST_MS });
  const experiment = environment['MLFLOW_EXPERIMENT_NAME'] ?? DEFAULT_EXPERIMENT;
  const host = new URL(uri).host;
  let open: (() => Promise<string>) | undefined;
  let runId: string | undefined;
  let waiting: MlflowMetric[] = [];
  let ending: { readonly status: MlflowStatus; readonly atMs: number } | undefined;
  let hasWarned = false;
  let last: Promise<void> = Promise.resolve();

  /** All that is waiting, in order: the run itself, metrics, the end. What fails is tried again at the next call. */
  const sendAll = async (): Promise<void> => {
    if (!open) return;
    runId ??= await open();
    const some = waiting;
    if (some.length > 0) await client.logMetrics(runId, some);
    waiting = waiting.slice(some.length);
    if (ending) await client.update(runId, ending.status, ending.atMs);
  };
  const send = (): void => {
    last = last.then(sendAll).catch((error: unknown) => {
      if (!hasWarned) warn(`--mlflow: ${host} has not taken this run's figures: ${reasonOf(error)}`);
      hasWarned = true;
    });
  };

  return {
    onStart(config, _members, runDir) {
      const startMs = Date.now();
      open = () => openRun(config, runDir, startMs);
      send();
    },
    onEpoch(record) {
      waiting = [...waiting, ...metricsOf(record)].slice(-MOST_WAITING);
      send();
    },
    onEnd({ status }) {
      ending = { status: STATUS[status], atMs: Date.now() };
      send();
    },
    close: () => last,
  };

  /** The run that the directory names, running again; else a new one with its parameters. */
  async function openRun(config: RunConfig, runDir: string | undefined, startMs: number): Promise<string> {
    const path = runDir === undefined ? undefined : join(runDir, 'mlflow.json');
    const known = path !== undefined && existsSync(path) ? readKnown(path) : undefined;
    if (known?.uri === withoutSecrets(uri)) {
      await client.update(known.runId, 'RUNNING');
      return known.runId;
    }
    const id = await client.createRun(experiment, basename(runDir ?? config.model.name), startMs);
    if (path !== undefined) {
      await writeFileAtomically(path, `${JSON.stringify({ uri: withoutSecrets(uri), runId: id }, undefined, 2)}\n`);
    }
    await client.logParameters(id, parametersOf(config));
    return id;
  }
}

function readKnown(path: string): { uri: string; runId: string } | undefined {
  try {
    const { uri, runId } = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    return typeof uri === 'string' && typeof runId === 'string' ? { uri, runId } : undefined;
  } catch {
    // Torn or changed: a new run is made.
    return undefined;
  }
}

function withoutSecrets(uri: string): string {
  const { origin, pathname } = new URL(uri);
  return `${origin}${pathname}`;
}

/** What decides the outcome, flat: `optimizer.learningRate`, and the model by its name. */
export function parametersOf({ model, dataset, ...settings }: RunConfig): Record<string, string> {
  const parameters: Record<string, string> = { model: model.name };
  if (dataset) Object.assign(parameters, { dataset: dataset.name, datasetSha256: dataset.sha256 });
  const add = (prefix: string, value: unknown): void => {
    if (value === undefined || value === null) return;
    if (typeof value === 'object') {
      for (const [name, inner] of Object.entries(value)) add(`${prefix}.${name}`, inner);
    } else {
      parameters[prefix] = typeof value === 'string' ? value : JSON.stringify(value);
    }
  };
  for (const [name, value] of Object.entries(settings)) add(name, value);
  return parameters;
}

/** The figures of an epoch, in the names of `epochs.jsonl`; those that are not numbers are absent. */
function metricsOf(record: EpochRecord): MlflowMetric[] {
  const timestamp = record.endedAt === undefined ? Date.now() : Date.parse(record.endedAt);
  return Object.entries(record).flatMap(([key, value]: [string, unknown]) =>
    typeof value === 'number' && Number.isFinite(value) && key !== 'epoch'
      ? [{ key, value, timestamp, step: record.epoch }]
      : [],
  );
}
