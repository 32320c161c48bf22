/** The compute benchmark, from what is asked for to its result; `compute.ts` is its command line. */
import { countOf } from '../../../protocol/counts.ts';
import { ConfigError, describeError } from '../../../protocol/errors.ts';
import { planModel } from '../../../protocol/state/model-spec.ts';
import type { ModelSpec } from '../../../protocol/state/model-spec.ts';
import { DEFAULT_RECIPE } from '../../flags/recipe.ts';
import { currentLoad, readConditions } from '../common/conditions.ts';
import type { Contender } from '../common/contender.ts';
import { absenceOf, describeChoice } from './engine-choice.ts';
import type { EngineChoice } from './engine-choice.ts';
import { trainingFlops } from './flops.ts';
import { describeAllocator, PYTORCH_CURE, startOurs, startPyTorch } from './launch.ts';
import type { Core, PyTorch } from './launch.ts';
import { measurePairs, warmUp } from '../common/pairs.ts';
import type { Timed } from '../common/pairs.ts';
import { createPeakMeter } from './peak.ts';
import { toRowResult } from './results.ts';
import type { BenchmarkResult, MeasuredRow } from './results.ts';
import { findDataFolder, pytorchJob } from '../common/samples.ts';

const { globalBatch, learningRate } = DEFAULT_RECIPE;

export interface BenchmarkOptions {
  readonly models: readonly ModelSpec[];
  readonly engines: readonly EngineChoice[];
  readonly pytorch: PyTorch | undefined;
  readonly core: Core;
  readonly pairs: number;
  /** Steps of a measurement; chosen for each contender when undefined. */
  readonly steps: number | undefined;
  readonly dataDir: string | undefined;
  /** Told what is being done. */
  readonly log: (line: string) => void;
}

/** Throws `ConfigError` when an engine asked for cannot be had, when none can, and without the samples. */
export async function runBenchmark(options: BenchmarkOptions): Promise<BenchmarkResult> {
  const { models, pytorch, core, pairs, log } = options;
  const dataFolder = await findDataFolder(options.dataDir);
  const conditions = readConditions();
  const notes = new Set<string>();
  if (!pytorch) notes.add(`without PyTorch to compare with: ${PYTORCH_CURE}`);
  const engines: EngineChoice[] = [];
  for (const choice of options.engines) {
    const absence = await absenceOf(choice);
    if (absence === undefined) engines.push(choice);
    else notes.add(`not measured: ${describeChoice(choice)}: ${absence}`);
  }
  const rows: MeasuredRow[] = [];
  const ways: string[] = [];

  log('matrix products, for the peak');
  const peakMeter = await createPeakMeter(pytorch, core);
  try {
    for (const model of models) {
      await peakMeter.measure();
      const contest = await measureModel(model, { ...options, engines, dataFolder }, notes);
      rows.push(...contest.rows);
      if (contest.way !== undefined) ways.push(`${model.name} ${contest.way}`);
    }
    const peak = await peakMeter.measure();
    if (rows.length === 0) throw new ConfigError(`no engine can be measured here: ${[...notes].join('; ')}`);
    return {
      benchmark: 'compute',
      conditions: { ...conditions, loadAverageAfter: currentLoad() },
      settings: { globalBatch, threads: 1, pairs, core: core ?? null },
      pytorch: pytorch ? describePyTorch(pytorch, rows, ways) : null,
      peak,
      rows: rows.map((row) => toRowResult(row, peak)),
      notes: [...notes],
    };
  } finally {
    await peakMeter.stop();
  }
}

/** Every engine on one model, against PyTorch: the processes live as long as this. */
async function measureModel(
  model: ModelSpec,
  { engines, pytorch, core, pairs, steps, log, dataFolder }: BenchmarkOptions & { dataFolder: string },
  notes: Set<string>,
): Promise<{ rows: MeasuredRow[]; way: string | undefined }> {
  const job = { task: 'step', model, dataFolder, globalBatch, learningRate } as const;
  const started: Contender[] = [];
  try {
    log(`${model.name}: starting`);
    for (const choice of engines) {
      const { engine, device, isRequired } = choice;
      try {
        started.push(await startOurs(describeChoice(choice), { ...job, engine, device, mayBeSlow: isRequired }, core));
      } catch (error) {
        if (isRequired) throw error;
        notes.add(`not measured: ${describeChoice(choice)}: ${describeError(error)}`);
      }
    }
    const numOurs = started.length;
    if (pytorch) started.push(await startPyTorch(pytorch, pytorchJob(model, dataFolder, globalBatch), core));

    log(`${model.name}: warming up ${started.map(({ description }) => description).join(', ')}`);
    const timed: Timed[] = [];
    for (const contender of started) timed.push(await warmUp(contender, steps));
    const ours = timed.slice(0, numOurs);
    const peer = timed[numOurs];

    log(`${model.name}: ${countOf(pairs, 'pair')}`);
    const measured = await measurePairs(ours, peer, pairs);
    const named = ({ contender: { description }, repeats }: Timed) => ({ description, repeats });
    const rows = ours.map((contender, index) => ({
      model: model.name,
      flopsPerStep: trainingFlops(planModel(model), globalBatch),
      ours: named(contender),
      pytorch: peer && named(peer),
      pairs: measured[index]!,
    }));
    return { rows, way: peer?.contender.details };
  } finally {
    await Promise.all(started.map((contender) => contender.stop()));
  }
}

function describePyTorch(pytorch: PyTorch, rows: readonly MeasuredRow[], ways: readonly string[]) {
  return {
    description: rows[0]?.pytorch?.description ?? 'PyTorch',
    allocator: describeAllocator(pytorch),
    ways: ways.join('; '),
  };
}
