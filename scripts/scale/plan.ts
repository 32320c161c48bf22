/** The plan of a scaling measurement: which runs are carried out, in which order. */
import { countOf } from '../../protocol/counts.ts';
import type { WireFormat } from '../../protocol/vectors/encoding.ts';
import { ConfigError } from '../../protocol/errors.ts';
import type { AllReduceChoice } from '../../coordinator/run-config.ts';

/**
 * - strong: the global batch stays, so a worker has less of it the more workers there are
 * - weak: every worker has a batch of the same size, so the global batch grows with the workers
 */
export const SCALINGS = ['strong', 'weak'] as const;
export type Scaling = (typeof SCALINGS)[number];

/** With fewer, a step's time would be mostly the beginning and the end of its epoch. */
const FEWEST_STEPS = 3;

export interface ScalePlan {
  readonly model: string;
  readonly data: string;
  readonly scalings: readonly Scaling[];
  /** In ascending order. */
  readonly workers: readonly number[];
  /** Samples a step: of strong scaling, and of one worker in weak scaling. */
  readonly globalBatch: number;
  /** The same for every run: the sum of a step's gradients then has the same bits on any number of workers. */
  readonly microbatches: number;
  /** Of an epoch. */
  readonly steps: number;
  /** Of a run; the first warms up and is not measured. */
  readonly epochs: number;
  /** Runs of each point. */
  readonly repeat: number;
  readonly allReduce: AllReduceChoice;
  readonly wire: WireFormat;
}

/** One number of workers in one kind of scaling. */
export interface ScalePoint {
  readonly scaling: Scaling;
  readonly numWorkers: number;
  readonly globalBatch: number;
  readonly stepsPerEpoch: number;
}

/** Throws `ConfigError` for sizes that do not fit each other, or the data. */
export function checkPlan(plan: ScalePlan, numTrainSamples: number): void {
  const { workers, globalBatch, microbatches, epochs } = plan;
  const most = workers.at(-1)!;
  if (microbatches < most) {
    const found = `cannot feed ${countOf(most, 'worker')}`;
    throw new ConfigError(`--microbatches ${microbatches} ${found}: use ${most} or more, or fewer --workers-list`);
  }
  if (globalBatch < microbatches) {
    const found = `cannot feed ${countOf(microbatches, 'microbatch', 'microbatches')}`;
    throw new ConfigError(`--global-batch ${globalBatch} ${found}: use ${microbatches} or more`);
  }
  if (plan.steps < FEWEST_STEPS) throw new ConfigError(`--steps ${plan.steps}: expected ${FEWEST_STEPS} or more`);
  if (epochs < 2) throw new ConfigError(`--epochs ${epochs}: the first epoch warms up: use 2 or more`);
  for (const { scaling, numWorkers, globalBatch: batch, stepsPerEpoch } of pointsOf(plan, numTrainSamples)) {
    if (stepsPerEpoch >= FEWEST_STEPS) continue;
    const found = `${scaling} scaling with ${countOf(numWorkers, 'worker')} has ${countOf(batch, 'sample')} a step`;
    throw new ConfigError(
      `--global-batch ${globalBatch}: ${found}, which ${numTrainSamples} training samples allow ${countOf(stepsPerEpoch, 'time')}, ` +
        `expected ${FEWEST_STEPS}: use ${Math.floor((globalBatch * numTrainSamples) / (batch * FEWEST_STEPS))} or less`,
    );
  }
}

/**
 * Every point once, in the order of the table. Weak scaling with one worker is strong scaling with one worker, where both
 * are asked for: it is measured once, as the first point of each.
 *
 * An epoch has fewer steps than planned where the data has no more.
 */
export function pointsOf(plan: ScalePlan, numTrainSamples: number): ScalePoint[] {
  return plan.scalings.flatMap((scaling) =>
    plan.workers.map((numWorkers) => {
      const globalBatch = plan.globalBatch * (scaling === 'weak' ? numWorkers : 1);
      const stepsPerEpoch = Math.min(plan.steps, Math.floor(numTrainSamples / globalBatch));
      return { scaling, numWorkers, globalBatch, stepsPerEpoch };
    }),
  );
}

/** Two points that ask for the same run. */
type RunSize = Pick<ScalePoint, 'numWorkers' | 'globalBatch'>;
export const isSameRun = (a: RunSize, b: RunSize): boolean =>
  a.numWorkers === b.numWorkers && a.globalBatch === b.globalBatch;

/** 1, 2, 4, ... up to `most`, and `most`. */
export function doublings(most: number): number[] {
  const powers = Array.from({ length: Math.floor(Math.log2(most)) + 1 }, (_, i) => 2 ** i);
  return [...new Set([...powers, most])];
}
