/** Runs in turn, each in a process of its own, and what is made of them: deaths of workers, stalls by checkpoints. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { countOf } from '../../../protocol/counts.ts';
import { internalError } from '../../../protocol/errors.ts';
import { MODELS } from '../../../protocol/state/models.ts';
import type { ModelName } from '../../../protocol/state/models.ts';
import { uniformFloats } from '../../../protocol/data/random.ts';
import { MEMORY_ENVIRONMENT } from '../../../worker/machine/memory.ts';
import { createProcessGroup } from '../../network/processes.ts';
import { DEFAULT_RECIPE } from '../../flags/recipe.ts';
import { quantile, summarise, summariseRatios } from '../../tables/statistics.ts';
import type { Summary } from '../../tables/statistics.ts';
import { analyseDeath, analyseStalls, meanStepsMs, trainingSeconds } from './analysis.ts';
import type { Death } from './analysis.ts';
import type { Fault, FaultsJob, RunTrace } from './job.ts';

const RUN_PROGRAM = fileURLToPath(new URL('../../../dist/scripts/bench/faults/run-process.js', import.meta.url));

/** The run in which workers die: one that computes the same bits whatever happens, in short steps. */
const DEATH_JOB = { model: MODELS['conv-pool'], numWorkers: 3, microbatches: 8, epochs: 8 } as const;

const TRAIN_SAMPLES = 60_000;

/** Steps of whole batches in an epoch. */
const STEPS_PER_EPOCH = Math.floor(TRAIN_SAMPLES / DEFAULT_RECIPE.globalBatch);

/** Evaluation is not measured. */
const TEST_SAMPLES = 256;

/** Epochs of a run that is timed for its checkpoints: some seconds each. */
const STALL_EPOCHS: Readonly<Partial<Record<ModelName, number>>> = { dense: 8, conv: 3, 'conv-pool': 8 };

export interface DeathRow {
  readonly signal: Fault['signal'];
  /** In milliseconds, over the runs. */
  readonly figures: Readonly<Record<keyof Death, Summary>>;
  /** All steps of the run / of the quiet run beside it, in seconds: the difference. */
  readonly overQuietSeconds: Summary;
  readonly quietSeconds: Summary;
}

export interface StallRow {
  readonly model: string;
  readonly every: number;
  /** Mean duration of a step, median of the epochs, with checkpoints and without. */
  readonly stepMs: Summary;
  readonly withoutMs: Summary;
  /** With / without, within pairs of runs. */
  readonly ratio: Summary;
  /** Within the runs that have checkpoints: of one checkpoint, and as a part of the steps between two. */
  readonly stallMs: Summary;
  readonly share: Summary;
}

export interface MeasureOptions {
  readonly dataFolder: string;
  readonly pairs: number;
  readonly log: (line: string) => void;
}

/** Each round has a quiet run and one for each signal, in another order every time. All must end with the same bits. */
export async function measureDeaths(signals: readonly Fault['signal'][], options: MeasureOptions): Promise<DeathRow[]> {
  const { dataFolder, pairs, log } = options;
  const random = uniformFloats(1);
  const quiet: RunTrace[] = [];
  const faulty = signals.map((): RunTrace[] => []);
  for (let round = 0; round < pairs; round++) {
    const order = rotate([undefined, ...signals], round);
    for (const signal of order) {
      log(`death of a worker, round ${round + 1}: ${signal ?? 'quiet'}`);
      // In the middle of the second epoch or so, at any instant of a step.
      const afterStep = Math.floor(STEPS_PER_EPOCH * (1.3 + 0.4 * random()));
      const fault = signal && { signal, afterStep, delayMs: 10 * random() };
      const trace = await traceRun({ ...DEATH_JOB, dataFolder, ...(fault && { fault }) });
      (signal ? faulty[signals.indexOf(signal)]! : quiet).push(trace);
    }
  }
  const hashes = new Set([...quiet, ...faulty.flat()].map(({ parametersSha256 }) => parametersSha256));
  if (hashes.size > 1) throw internalError(`runs that ended with other parameters than others: ${[...hashes].join()}`);
  return signals.map((signal, i) => toDeathRow(signal, faulty[i]!, quiet));
}

function toDeathRow(signal: Fault['signal'], traces: readonly RunTrace[], quiet: readonly RunTrace[]): DeathRow {
  const deaths = traces.map(analyseDeath);
  const over = (name: keyof Death) => summarise(deaths.map((death) => death[name]));
  return {
    signal,
    figures: {
      ...{ lostMs: over('lostMs'), foundMs: over('foundMs'), awayMs: over('awayMs') },
      ...{ beforeMs: over('beforeMs'), afterMs: over('afterMs'), replacedMs: over('replacedMs') },
    },
    overQuietSeconds: summarise(traces.map((trace, i) => trainingSeconds(trace) - trainingSeconds(quiet[i]!))),
    quietSeconds: summarise(quiet.map(trainingSeconds)),
  };
}

/** Pairs of runs with two workers, with a checkpoint every `every` steps and without any but those at epochs' ends. */
export async function measureStalls(model: ModelName, every: number, options: MeasureOptions): Promise<StallRow> {
  const { dataFolder, pairs, log } = options;
  const job = { model: MODELS[model], numWorkers: 2, microbatches: 2, epochs: STALL_EPOCHS[model] ?? 4, dataFolder };
  const withThem: RunTrace[] = [];
  const without: RunTrace[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    log(`${model}, a checkpoint every ${countOf(every, 'step')}: pair ${pair + 1}`);
    for (const hasThem of rotate([true, false], pair)) {
      const trace = await traceRun({ ...job, ...(hasThem && { checkpointEvery: every }) });
      (hasThem ? withThem : without).push(trace);
    }
  }
  const stepOf = (trace: RunTrace) => quantile(meanStepsMs(trace), 0.5);
  const stalls = withThem.map((trace) => analyseStalls(trace, every));
  return {
    model,
    every,
    stepMs: summarise(withThem.map(stepOf)),
    withoutMs: summarise(without.map(stepOf)),
    ratio: summariseRatios(
      withThem.map((trace, i) => ({ numerator: stepOf(trace), denominator: stepOf(without[i]!) })),
    ),
    stallMs: summarise(stalls.map(({ stallMs }) => stallMs)),
    share: summarise(stalls.map(({ share }) => share)),
  };
}

/** One run in a process of its own. Nothing is left of it. */
async function traceRun(job: Omit<FaultsJob, 'runDir' | 'engine' | 'trainSamples' | 'testSamples'>): Promise<RunTrace> {
  const folder = mkdtempSync(join(tmpdir(), 'gradsock-faults-'));
  const group = createProcessGroup({ ...MEMORY_ENVIRONMENT, ...process.env });
  try {
    const samples = { trainSamples: TRAIN_SAMPLES, testSamples: TEST_SAMPLES };
    const whole: FaultsJob = { ...job, ...samples, engine: 'native', runDir: join(folder, 'run') };
    const run = group.start('the run', [process.execPath, RUN_PROGRAM, JSON.stringify(whole)]);
    const trace = (await run.message) as RunTrace;
    await run.ended;
    return trace;
  } finally {
    await group.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function rotate<T>(items: readonly T[], by: number): T[] {
  const at = by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}
