/** What the benchmark finds, as data: what `--json` prints and the tables are made of. */
import type { Conditions } from '../common/conditions.ts';
import type { PairOf } from '../common/pairs.ts';
import type { Peak } from './peak.ts';
import { quantile, summarise, summariseRatios } from '../../tables/statistics.ts';
import type { Summary } from '../../tables/statistics.ts';

/** One side of a row. */
export interface SideResult {
  readonly description: string;
  readonly stepMs: Summary;
  readonly stepsPerMeasurement: number;
  readonly gflops: number;
  readonly fractionOfPeak: number;
  /** Median part of the measured time in which the process ran: near 1 where nothing else wanted the core. */
  readonly shareOfCore: number;
  /** Mean over all measurements. */
  readonly minorPageFaultsPerStep: number;
  /** Mean training loss of the last measurement: both sides do train. */
  readonly lastLoss: number | undefined;
}

/** An engine on a model. */
export interface RowResult {
  readonly model: string;
  readonly flopsPerStep: number;
  readonly ours: SideResult;
  readonly pytorch?: SideResult;
  /** PyTorch's time of a step / ours, within each pair: above 1 ours is faster. */
  readonly speedup?: Summary;
  readonly pairsMs: readonly { readonly ours: number; readonly pytorch?: number }[];
}

export interface BenchmarkResult {
  readonly benchmark: 'compute';
  readonly conditions: Conditions & { readonly loadAverageAfter: number };
  readonly settings: {
    readonly globalBatch: number;
    readonly threads: 1;
    readonly pairs: number;
    /** All processes ran on this core; null where the scheduler placed them. */
    readonly core: number | null;
  };
  readonly pytorch: { readonly description: string; readonly allocator: string; readonly ways: string } | null;
  readonly peak: Peak;
  readonly rows: readonly RowResult[];
  /** What was not measured, and why. */
  readonly notes: readonly string[];
}

/** A row before the peak is known. */
export interface MeasuredRow {
  readonly model: string;
  readonly flopsPerStep: number;
  readonly ours: { readonly description: string; readonly repeats: number };
  readonly pytorch: { readonly description: string; readonly repeats: number } | undefined;
  readonly pairs: readonly PairOf[];
}

export function toRowResult({ model, flopsPerStep, ours, pytorch, pairs }: MeasuredRow, peak: Peak): RowResult {
  const side = (who: { description: string; repeats: number }, key: keyof PairOf): SideResult => {
    const timings = pairs.map((pair) => pair[key]!);
    const stepMs = summarise(timings.map(({ milliseconds }) => milliseconds));
    const gflops = flopsPerStep / stepMs.median / 1e6;
    return {
      description: who.description,
      stepMs,
      stepsPerMeasurement: who.repeats,
      gflops,
      fractionOfPeak: gflops / peak.gflops,
      shareOfCore: quantile(
        timings.map(({ shareOfCore }) => shareOfCore),
        0.5,
      ),
      minorPageFaultsPerStep: timings.reduce((sum, { minorPageFaults }) => sum + minorPageFaults / timings.length, 0),
      lastLoss: timings.at(-1)!.loss,
    };
  };
  const row = { model, flopsPerStep, ours: side(ours, 'ours') };
  if (!pytorch) return { ...row, pairsMs: pairs.map((pair) => ({ ours: pair.ours.milliseconds })) };
  const pairsMs = pairs.map((pair) => ({ ours: pair.ours.milliseconds, pytorch: pair.peer!.milliseconds }));
  const speedup = summariseRatios(pairsMs.map((pair) => ({ numerator: pair.pytorch, denominator: pair.ours })));
  return { ...row, pytorch: side(pytorch, 'peer'), speedup, pairsMs };
}
