/** What a scaling measurement comes to: a median for each point, its efficiency, and the cost model's line. Pure. */
import { quantile } from '../tables/statistics.ts';
import { isSameRun, pointsOf } from './plan.ts';
import type { ScalePoint, Scaling } from './plan.ts';
import { fitModel } from './model-line.ts';
import type { ModelLine } from './model-line.ts';
import type { EpochStep, ScaleRecord, ScaleRun } from './record.ts';

/** Medians over the measured epochs of all repetitions; a step's times in milliseconds. */
export interface PointFigures extends EpochStep {
  readonly numRuns: number;
  readonly allReduce: ScaleRun['allReduce'];
  /** Part of a step's time that is packing, sending and reducing. */
  readonly communicationShare: number;
  /** Of samples a second, over the measured epochs. */
  readonly lowerQuartile: number;
  readonly upperQuartile: number;
}

export interface MeasuredPoint extends ScalePoint, PointFigures {
  /** Samples a second over those of the fewest workers. */
  readonly speedUp: number;
  /** Samples a second of a worker over those of a worker among the fewest workers. */
  readonly efficiency: number;
  /** The same for each core that the workers have; undefined where they share none. */
  readonly coreEfficiency?: number;
}

/** What the cost model says of a point. */
export interface PredictedPoint extends ScalePoint {
  readonly stepMs: number;
  readonly samplesPerSecond: number;
  readonly efficiency: number;
}

export interface ScalingSummary {
  readonly scaling: Scaling;
  readonly points: readonly MeasuredPoint[];
  /** Of each measured point, and of twice as many workers. */
  readonly predicted: readonly PredictedPoint[];
  readonly outlook: PredictedPoint;
}

export interface ScaleSummary {
  readonly scalings: readonly ScalingSummary[];
  readonly model: ModelLine;
  /** Of strong scaling: the sum of the parameters after every run, where all runs have the same; else the different ones. */
  readonly parametersSha256: readonly string[];
}

/** Points without a run are left out, as after an interruption. Undefined where no point has one. */
export function summarise(record: ScaleRecord): ScaleSummary | undefined {
  const all = pointsOf(record.plan, record.numTrainSamples);
  const measured = all.flatMap((point) => {
    const runs = record.runs.filter((run) => isSameRun(run, point));
    return runs.length === 0 ? [] : [{ ...point, ...figuresOf(runs) }];
  });
  if (measured.length === 0) return undefined;
  const model = fitModel(record, measured);
  const scalings = record.plan.scalings.flatMap((scaling): ScalingSummary[] => {
    const points = measured.filter((point) => point.scaling === scaling);
    if (points.length === 0) return [];
    const [first] = points as [(typeof points)[0]];
    const efficiencyOf = (point: ScalePoint, samplesPerSecond: number) =>
      samplesPerSecond / point.numWorkers / (first.samplesPerSecond / first.numWorkers);
    const predict = (point: ScalePoint): PredictedPoint => {
      const { stepMs } = model.predict(point);
      const samplesPerSecond = (1000 * point.globalBatch) / stepMs;
      const { numWorkers, globalBatch, stepsPerEpoch } = point;
      const efficiency = efficiencyOf(point, samplesPerSecond);
      return { scaling, numWorkers, globalBatch, stepsPerEpoch, stepMs, samplesPerSecond, efficiency };
    };
    const outlook = predict(doubled(points.at(-1)!));
    return [
      {
        ...{ scaling, outlook, predicted: [...points.map(predict), outlook] },
        points: points.map((point) => ({
          ...point,
          speedUp: point.samplesPerSecond / first.samplesPerSecond,
          efficiency: efficiencyOf(point, point.samplesPerSecond),
          ...coreEfficiencyOf(point, first, record.place.sharedCores),
        })),
      },
    ];
  });
  return { scalings, model, parametersSha256: sumsOf(record) };
}

/** Twice as many workers as were measured. */
const doubled = (point: ScalePoint): ScalePoint => ({
  scaling: point.scaling,
  stepsPerEpoch: point.stepsPerEpoch,
  numWorkers: 2 * point.numWorkers,
  globalBatch: (point.scaling === 'weak' ? 2 : 1) * point.globalBatch,
});

function figuresOf(runs: readonly ScaleRun[]): PointFigures {
  const epochs = runs.flatMap((run) => run.epochs);
  const of = (value: (epoch: EpochStep) => number, fraction = 0.5) => quantile(epochs.map(value), fraction);
  return {
    numRuns: runs.length,
    allReduce: runs[0]!.allReduce,
    stepMs: of(({ stepMs }) => stepMs),
    samplesPerSecond: of(({ samplesPerSecond }) => samplesPerSecond),
    lowerQuartile: of(({ samplesPerSecond }) => samplesPerSecond, 0.25),
    upperQuartile: of(({ samplesPerSecond }) => samplesPerSecond, 0.75),
    computeMs: of(({ computeMs }) => computeMs),
    communicationMs: of(({ communicationMs }) => communicationMs),
    communicationShare: of(({ communicationMs, stepMs }) => communicationMs / stepMs),
    waitMs: of(({ waitMs }) => waitMs),
    applyMs: of(({ applyMs }) => applyMs),
    bytesSent: of(({ bytesSent }) => bytesSent),
    sharedBytes: of(({ sharedBytes }) => sharedBytes),
  };
}

/** Workers beyond the cores add none: what they can reach is what the cores can. */
function coreEfficiencyOf(
  point: ScalePoint & PointFigures,
  first: ScalePoint & PointFigures,
  cores: number | null,
): { coreEfficiency?: number } {
  if (cores === null) return {};
  const perCore = ({ numWorkers, samplesPerSecond }: ScalePoint & PointFigures) =>
    samplesPerSecond / Math.min(numWorkers, cores);
  return { coreEfficiency: perCore(point) / perCore(first) };
}

function sumsOf({ runs, plan }: ScaleRecord): string[] {
  const strong = plan.scalings.includes('strong')
    ? runs.filter(({ globalBatch }) => globalBatch === plan.globalBatch)
    : [];
  return [...new Set(strong.map(({ parametersSha256 }) => parametersSha256))];
}
