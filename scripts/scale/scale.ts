/** A scaling measurement from its flags to its folder. */
import { cpus } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Command } from 'commander';
import { FASHION_MNIST } from '../../coordinator/dataset/dataset-source.ts';
import { findDataset } from '../../coordinator/dataset/find-dataset.ts';
import { planModel } from '../../protocol/state/model-spec.ts';
import { bucketsOf } from '../../protocol/vectors/buckets.ts';
import { createVectorCodec } from '../../protocol/vectors/vector-codec.ts';
import { addLaunchFlags, addWorkerFlags } from '../flags/commands.ts';
import { loadModel } from '../flags/load-model.ts';
import type { EngineFlags } from '../flags/run-flags.ts';
import { copyDataset } from '../network/dataset-copy.ts';
import { packageVersion } from '../process.ts';
import { makeFolder, writeRecord } from './folder.ts';
import { measureScaling } from './measure.ts';
import { checkPlan } from './plan.ts';
import type { ScalePlan } from './plan.ts';
import type { ScalePlace } from './places.ts';
import type { ScaleRecord, ScaleRun } from './record.ts';

/** Evaluation is not measured: enough that it happens. */
const MOST_TEST_SAMPLES = 256;

export interface ScaleOptions extends EngineFlags {
  readonly plan: ScalePlan;
  readonly dataDir?: string | undefined;
  /** Makes the place when all else is checked. */
  readonly openPlace: () => ScalePlace;
  readonly folder: string;
  readonly command: string;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/**
 * Carries out all runs, and returns the record, which is in the folder too, after each run. An interruption ends it early:
 * then the record has the runs so far.
 *
 * Rejects with `ConfigError` for a plan that cannot be carried out, and with what ends a run.
 */
export async function scale(options: ScaleOptions): Promise<ScaleRecord> {
  const { plan, dataDir, folder, command, signal, say } = options;
  const source = await findDataset({ data: plan.data, dataDir, log: say });
  const { numTrainSamples } = source;
  checkPlan(plan, numTrainSamples);
  const model = planModel(loadModel(plan.model, source));
  const dataset = await source.open();
  const numTestSamples = Math.min(MOST_TEST_SAMPLES, dataset.splits.test.numSamples);
  const place = options.openPlace();
  await makeFolder(folder);
  // Unpacking the files costs each process a second.
  const copy = plan.data === FASHION_MNIST ? await copyDataset(dataDir) : undefined;
  const runs: ScaleRun[] = [];
  const record = {
    ...{ format: 1 as const, gradsock: packageVersion(), node: process.version, cpu: describeProcessors() },
    ...{ startedAt: new Date().toISOString(), command, plan, numTrainSamples, place: place.facts },
    payloadBytes: createVectorCodec(plan.wire, model).payloadBytes,
    buckets: place.isLocal ? 1 : bucketsOf(model),
  };
  const dataFlags = copy ? ['--data-dir', copy.folder] : dataDir === undefined ? [] : ['--data-dir', dataDir];
  try {
    await measureScaling(record, {
      ...{ place, numTestSamples, signal, say, environment: withoutFlags(process.env) },
      dataFlags: ['--data', plan.data, ...dataFlags],
      workerDataFlags: copy ? ['--data-dir', copy.folder] : [],
      engineFlags: engineFlags(options),
      async onRun(run) {
        runs.push(run);
        await writeRecord(folder, { ...record, runs });
      },
    });
  } catch (error) {
    // A Ctrl-C comes to `ip` too, which fails of it before this process has had its turn to see the signal.
    await nextTurn();
    if (!signal.aborted) throw error;
  } finally {
    copy?.remove();
    dataset.bytes.close();
  }
  return { ...record, runs };
}

function engineFlags({ engine, device, threads }: EngineFlags): string[] {
  return ['--engine', engine, '--threads', String(threads), ...(device === undefined ? [] : ['--device', device])];
}

function describeProcessors(): string {
  const [first] = cpus();
  return `${cpus().length} x ${first?.model.trim() ?? 'unknown'}`;
}

/** Variables that stand for flags are for the command itself: its runs have the flags that the plan gives them. */
function withoutFlags(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const commands = [addLaunchFlags(new Command()), addWorkerFlags(new Command())];
  const names = new Set(commands.flatMap(({ options }) => options.map(({ envVar }) => envVar)));
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !names.has(name)));
}
