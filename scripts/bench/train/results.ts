/** What the training benchmark finds, as data: what `--json` prints and the tables are made of. */
import type { WireFormat } from '../../../protocol/vectors/encoding.ts';
import type { Conditions } from '../common/conditions.ts';
import type { PairOf, Timed, Timing } from '../common/pairs.ts';
import { summarise, summariseRatios } from '../../tables/statistics.ts';
import type { Summary } from '../../tables/statistics.ts';

/** What a row is of. */
export interface RowKey {
  readonly model: string;
  /** `baseline`: one process without sockets; against it stands PyTorch without DDP. */
  readonly numWorkers: number | 'baseline';
  readonly globalBatch: number;
  readonly wire: WireFormat | null;
}

export interface SideResult {
  readonly description: string;
  readonly stepMs: Summary;
  readonly samplesPerSecond: number;
  readonly stepsPerMeasurement: number;
  /** Minor faults a step, medians: of the process that leads, and of its worker processes all together. */
  readonly pageFaults: { readonly leader: number; readonly workers?: number };
  /** Mean training loss of the last measurement: both sides do train. */
  readonly lastLoss: number | undefined;
}

/** A step's time on both sides. */
export interface StepRow extends RowKey {
  readonly ours: SideResult;
  readonly pytorch?: SideResult;
  /** PyTorch's time of a step / ours, within each pair: above 1 ours is faster. */
  readonly speedup?: Summary;
  readonly pairsMs: readonly { readonly ours: number; readonly pytorch?: number }[];
}

/** Samples a second with workers / with one process, within each pair, of either side. */
export interface ScalingRow extends RowKey {
  readonly singleBatch: number;
  readonly ours: Summary;
  readonly ddp?: Summary;
}

export interface TrainResult {
  readonly benchmark: 'training';
  readonly conditions: Conditions & { readonly loadAverageAfter: number };
  readonly settings: {
    readonly singleBatch: number;
    readonly engine: string;
    readonly threads: 1;
    readonly pairs: number;
  };
  /** `ways`: how PyTorch ran fastest, by model and number of processes. */
  readonly pytorch: { readonly allocator: string; readonly ways: Readonly<Record<string, string>> } | null;
  readonly rows: readonly StepRow[];
  readonly scaling: readonly ScalingRow[];
  readonly notes: readonly string[];
}

export interface MeasuredSteps extends RowKey {
  readonly ours: Timed;
  readonly pytorch: Timed | undefined;
  readonly pairs: readonly PairOf[];
}

export function toStepRow({ ours, pytorch, pairs, ...key }: MeasuredSteps): StepRow {
  const ourTimings = pairs.map((pair) => pair.ours);
  const row = { ...key, ours: sideOf(ours, ourTimings, key.globalBatch) };
  if (!pytorch) return { ...row, pairsMs: ourTimings.map(({ milliseconds }) => ({ ours: milliseconds })) };
  const peers = pairs.map((pair) => pair.peer!);
  const pairsMs = pairs.map((pair) => ({ ours: pair.ours.milliseconds, pytorch: pair.peer!.milliseconds }));
  return {
    ...row,
    pytorch: sideOf(pytorch, peers, key.globalBatch),
    speedup: summariseRatios(pairsMs.map((pair) => ({ numerator: pair.pytorch, denominator: pair.ours }))),
    pairsMs,
  };
}

export interface MeasuredScaling extends RowKey {
  readonly singleBatch: number;
  /** With workers beside one process, of ours and of PyTorch's. */
  readonly ourPairs: readonly PairOf[];
  readonly ddpPairs: readonly PairOf[] | undefined;
}

export function toScalingRow({ singleBatch, ourPairs, ddpPairs, ...key }: MeasuredScaling): ScalingRow {
  const { globalBatch } = key;
  return {
    ...key,
    singleBatch,
    ours: throughputRatios(ourPairs, globalBatch, singleBatch),
    ...(ddpPairs && { ddp: throughputRatios(ddpPairs, globalBatch, singleBatch) }),
  };
}

/** (globalBatch / time with workers) / (singleBatch / time of one process) */
function throughputRatios(pairs: readonly PairOf[], globalBatch: number, singleBatch: number): Summary {
  return summariseRatios(
    pairs.map(({ ours, peer }) => ({
      numerator: globalBatch * peer!.milliseconds,
      denominator: singleBatch * ours.milliseconds,
    })),
  );
}

function sideOf({ contender, repeats }: Timed, timings: readonly Timing[], globalBatch: number): SideResult {
  const stepMs = summarise(timings.map(({ milliseconds }) => milliseconds));
  const ofWorkers = timings.flatMap(({ workerPageFaults }) => workerPageFaults ?? []);
  return {
    description: contender.description,
    stepMs,
    samplesPerSecond: (1000 * globalBatch) / stepMs.median,
    stepsPerMeasurement: repeats,
    pageFaults: {
      leader: summarise(timings.map(({ minorPageFaults }) => minorPageFaults)).median,
      ...(ofWorkers.length > 0 && { workers: summarise(ofWorkers).median }),
    },
    lastLoss: timings.at(-1)!.loss,
  };
}
