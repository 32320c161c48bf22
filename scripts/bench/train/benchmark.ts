/** The training benchmark, from what is asked for to its result; `../train.ts` is its command line. */
import type { ModelSpec } from '../../../protocol/state/model-spec.ts';
import type { WireFormat } from '../../../protocol/vectors/encoding.ts';
import { currentLoad, readConditions } from '../common/conditions.ts';
import type { Contender } from '../common/contender.ts';
import { describeAllocator, PYTORCH_CURE, startPyTorch } from '../compute/launch.ts';
import type { PyTorch } from '../compute/launch.ts';
import { measurePairs, warmUp } from '../common/pairs.ts';
import type { Timed } from '../common/pairs.ts';
import { findDataFolder, pytorchJob } from '../common/samples.ts';
import type { Contest, Contests } from './contests.ts';
import { startDdp, startLeader } from './launch.ts';
import { toScalingRow, toStepRow } from './results.ts';
import type { ScalingRow, StepRow, TrainResult } from './results.ts';
import { countOf } from '../../../protocol/counts.ts';

export interface TrainOptions {
  readonly models: readonly ModelSpec[];
  readonly sizes: Contests;
  readonly wires: readonly WireFormat[];
  /** Whether our workers share memory with their coordinator. */
  readonly sharesMemory: boolean;
  readonly engine: string;
  readonly pytorch: PyTorch | undefined;
  readonly pairs: number;
  readonly dataDir: string | undefined;
  /** Told what is being done. */
  readonly log: (line: string) => void;
}

/** Rows and choices, entered as they are found. */
interface Findings {
  readonly steps: StepRow[];
  readonly scaling: ScalingRow[];
  readonly ways: Map<string, string>;
}

/** Throws `ConfigError` when the engine asked for cannot be had, and without the samples. */
export async function runTrainBenchmark(options: TrainOptions): Promise<TrainResult> {
  const { models, sizes, engine, pytorch, pairs } = options;
  const dataFolder = await findDataFolder(options.dataDir);
  const conditions = readConditions();
  const findings: Findings = { steps: [], scaling: [], ways: new Map() };
  for (const model of models) await measureModel(model, { ...options, dataFolder }, findings);
  return {
    benchmark: 'training',
    conditions: { ...conditions, loadAverageAfter: currentLoad() },
    settings: { singleBatch: sizes.singleBatch, engine, threads: 1, pairs },
    pytorch: pytorch ? { allocator: describeAllocator(pytorch), ways: Object.fromEntries(findings.ways) } : null,
    rows: findings.steps,
    scaling: findings.scaling,
    notes: pytorch ? [] : [`without PyTorch to compare with: ${PYTORCH_CURE}`],
  };
}

interface ModelOptions extends TrainOptions {
  readonly dataFolder: string;
}

/** The one process of either side, which all others are compared with. */
interface Singles {
  readonly baseline: Timed;
  readonly plain: Timed | undefined;
}

async function measureModel(model: ModelSpec, options: ModelOptions, findings: Findings): Promise<void> {
  const { sizes, engine, pytorch, pairs, dataFolder, log } = options;
  const globalBatch = sizes.singleBatch;
  await withContenders(async (start) => {
    log(`${model.name}: one process`);
    const job = {
      model,
      engine,
      dataFolder,
      globalBatch,
      numWorkers: 'baseline',
      wire: 'f32',
      sharesMemory: false,
    } as const;
    const baseline = await start(startLeader(job));
    const plain =
      pytorch && (await start(startPyTorch(pytorch, pytorchJob(model, dataFolder, globalBatch), undefined)));
    const [measured] = await measurePairs([baseline], plain, pairs);
    const row = { model: model.name, numWorkers: 'baseline', globalBatch, wire: null } as const;
    findings.steps.push(toStepRow({ ...row, ours: baseline, pytorch: plain, pairs: measured! }));
    if (plain) findings.ways.set(`${model.name}, one process`, plain.contender.details);
    for (const contest of sizes.contests) await measureContest(model, contest, { baseline, plain }, options, findings);
  });
}

/** One number of workers, in every wire format: against DDP, and either side against its one process. */
async function measureContest(
  model: ModelSpec,
  { numWorkers, globalBatch }: Contest,
  { baseline, plain }: Singles,
  { sizes, wires, sharesMemory, engine, pytorch, pairs, dataFolder, log }: ModelOptions,
  findings: Findings,
): Promise<void> {
  log(`${model.name}: ${countOf(numWorkers, 'worker')}, ${countOf(globalBatch, 'sample')} a step`);
  await withContenders(async (start) => {
    const ours: Timed[] = [];
    for (const wire of wires) {
      const job = { model, engine, dataFolder, globalBatch, numWorkers, wire, sharesMemory };
      ours.push(await start(startLeader(job)));
    }
    const ddp = pytorch && (await start(startDdp(pytorch, pytorchJob(model, dataFolder, globalBatch), numWorkers)));
    if (ddp) findings.ways.set(`${model.name}, DDP of ${numWorkers}`, ddp.contender.details);

    // One process of PyTorch's needs no DDP: without it is how one would train there.
    const peer = numWorkers === 1 ? plain : ddp;
    const stepPairs = await measurePairs(ours, peer, pairs);
    const ourPairs = await measurePairs(ours, baseline, pairs);
    const [ddpPairs] = ddp && plain ? await measurePairs([ddp], plain, pairs) : [];
    wires.forEach((wire, i) => {
      const row = { model: model.name, numWorkers, globalBatch, wire };
      findings.steps.push(toStepRow({ ...row, ours: ours[i]!, pytorch: peer, pairs: stepPairs[i]! }));
      findings.scaling.push(toScalingRow({ ...row, singleBatch: sizes.singleBatch, ourPairs: ourPairs[i]!, ddpPairs }));
    });
  });
}

/** Runs `work` with a function that warms up what was started; ends all of them afterwards, however it ends. */
async function withContenders(
  work: (start: (starting: Promise<Contender>) => Promise<Timed>) => Promise<void>,
): Promise<void> {
  const started: Contender[] = [];
  try {
    await work(async (starting) => {
      const contender = await starting;
      started.push(contender);
      return warmUp(contender);
    });
  } finally {
    await Promise.all(started.map((contender) => contender.stop()));
  }
}
