/**
 * The cost model's line through what was measured. Of the model's constants the network's are known or taken for none,
 * computing is measured with the fewest workers, and handling is fitted: the one number that brings the line nearest to all
 * points.
 */
import { PIECE_VALUES } from '../../worker/ring/pieces.ts';
import { predictStep } from '../network/cost-model.ts';
import type { StepCost } from '../network/cost-model.ts';
import { UNLIMITED } from '../network/link.ts';
import type { ScalePoint, Scaling } from './plan.ts';
import type { ScaleRecord, ScaleRun } from './record.ts';

export interface ModelLine {
  /** Fitted: packing, copying and summing a payload up and one down, at both ends together. */
  readonly handlingMs: number;
  /** The largest distance of the line from a measured step, in parts of that. */
  readonly largestError: number;
  predict(point: ScalePoint): StepCost;
}

/** What is used of a measured point. */
interface Measured extends ScalePoint {
  readonly allReduce: ScaleRun['allReduce'];
  readonly stepMs: number;
  readonly computeMs: number;
  readonly applyMs: number;
}

const BYTES_A_VALUE = { f32: 4, bf16: 2, f16: 2, int8: 1 } as const;
/** Halvings of the interval in which the fitted number lies: to a billionth of the longest step. */
const FIT_STEPS = 60;

/** `measured`: one point or more, the one with the fewest workers first. */
export function fitModel(record: ScaleRecord, measured: readonly Measured[]): ModelLine {
  const predictWith = (handlingMs: number) => (point: ScalePoint) =>
    predictStep({
      ...{ numWorkers: point.numWorkers, stepsPerEpoch: point.stepsPerEpoch, doesOneTravel: true },
      ...networkOf(record, kindOf(point, measured), point.numWorkers),
      computeMs: computeMsOf(point, measured, record.place.sharedCores),
      // By the byte: a ring's hops carry an Nth of the payload each.
      handling: { fixedMs: 0, msPerByte: handlingMs / record.payloadBytes },
    });
  const errorsWith = (handlingMs: number) =>
    measured.map((point) => predictWith(handlingMs)(point).stepMs / point.stepMs - 1);
  const longestMs = Math.max(...measured.map(({ stepMs }) => stepMs));
  const handlingMs = leastAt(0, longestMs, (ms) => errorsWith(ms).reduce((sum, error) => sum + error ** 2, 0));
  const largestError = Math.max(...errorsWith(handlingMs).map(Math.abs));
  return { handlingMs, largestError, predict: predictWith(handlingMs) };
}

/** Of a point that was not measured: the way that most workers took. */
function kindOf({ numWorkers }: ScalePoint, measured: readonly Measured[]): ScaleRun['allReduce'] {
  const same = measured.find((point) => point.numWorkers === numWorkers);
  return (same ?? measured.reduce((a, b) => (b.numWorkers > a.numWorkers ? b : a))).allReduce;
}

function networkOf(record: ScaleRecord, algorithm: ScaleRun['allReduce'], numWorkers: number) {
  const { place, payloadBytes, plan } = record;
  const numValues = payloadBytes / BYTES_A_VALUE[plan.wire];
  return {
    ...{ algorithm, payloadBytes, link: place.link ?? UNLIMITED, cores: place.sharedCores ?? ('own' as const) },
    ...(!place.delaysPeers && { peerRoundTripMs: 0 }),
    buckets: algorithm === 'star' ? record.buckets : Math.ceil(numValues / numWorkers / PIECE_VALUES),
  };
}

/**
 * Of a worker with a core that no other uses: the gradient of its samples, by the time of a sample with the fewest workers
 * of the same scaling, and the update.
 */
function computeMsOf(
  { scaling, numWorkers, globalBatch }: ScalePoint,
  measured: readonly Measured[],
  cores: number | null,
): number {
  const first = firstOf(measured, scaling);
  const turns = Math.max(1, cores === null ? 1 : first.numWorkers / cores);
  const msOfSample = first.computeMs / turns / (first.globalBatch / first.numWorkers);
  return msOfSample * (globalBatch / numWorkers) + first.applyMs / turns;
}

const firstOf = (measured: readonly Measured[], scaling: Scaling): Measured =>
  measured.find((point) => point.scaling === scaling) ?? measured[0]!;

/** Where a function with one minimum has it, by golden sections. Source: Kiefer, Sequential minimax search, 1953. */
function leastAt(low: number, high: number, f: (x: number) => number): number {
  const ratio = (Math.sqrt(5) - 1) / 2;
  let [a, b] = [low, high];
  for (let i = 0; i < FIT_STEPS; i++) {
    const [left, right] = [b - ratio * (b - a), a + ratio * (b - a)];
    if (f(left) <= f(right)) b = right;
    else a = left;
  }
  // The border itself, where the minimum lies there.
  return f(low) <= f((a + b) / 2) ? low : (a + b) / 2;
}
