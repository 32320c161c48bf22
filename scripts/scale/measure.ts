/** Carries out the runs of a plan, in rounds: a slow spell of the machine is then spread over all points. */
import { countOf } from '../../protocol/counts.ts';
import { allReduceIn } from '../network/distributed-run.ts';
import { isSameRun, pointsOf } from './plan.ts';
import type { ScalePoint } from './plan.ts';
import type { ScalePlace } from './places.ts';
import { measuredEpochs } from './record.ts';
import type { ScaleRecord, ScaleRun } from './record.ts';

/** Of each step at most: the slowest that was seen is a third of it, on emulated links of 100 Mbit/s. */
const DEADLINE_SECONDS_A_STEP = 10;

export interface MeasureOptions {
  readonly place: ScalePlace;
  /** What the plan does not say: flags of the data for the coordinator and for workers here, and of the engine. */
  readonly dataFlags: readonly string[];
  readonly workerDataFlags: readonly string[];
  readonly engineFlags: readonly string[];
  readonly numTestSamples: number;
  readonly environment: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
  /** Awaited after each run. */
  readonly onRun: (run: ScaleRun) => Promise<void>;
}

/** Rejects as `trainAcross` does. */
export async function measureScaling(record: Omit<ScaleRecord, 'runs'>, options: MeasureOptions): Promise<void> {
  const { plan, numTrainSamples } = record;
  const points = pointsOf(plan, numTrainSamples).filter(
    (point, i, all) => all.findIndex((other) => isSameRun(other, point)) === i,
  );
  const numRuns = points.length * plan.repeat;
  let numDone = 0;
  for (let repetition = 1; repetition <= plan.repeat; repetition++) {
    // Turned around in every second round: what grows slower or faster with time then does so for all alike.
    for (const point of repetition % 2 === 1 ? points : [...points].reverse()) {
      const run = { repetition, ...(await carryOut(record, point, options)) };
      numDone++;
      const rates = run.epochs.map(({ samplesPerSecond }) => samplesPerSecond);
      const rate = Math.round(Math.max(...rates)).toLocaleString('en');
      const batch = `${countOf(point.globalBatch, 'sample')} a step`;
      options.say(`run ${numDone} of ${numRuns}: ${countOf(point.numWorkers, 'worker')}, ${batch}: ${rate} samples/s`);
      await options.onRun(run);
    }
  }
}

async function carryOut(
  { plan }: Omit<ScaleRecord, 'runs'>,
  { numWorkers, globalBatch, stepsPerEpoch }: ScalePoint,
  options: MeasureOptions,
): Promise<Omit<ScaleRun, 'repetition'>> {
  const { dataFlags, workerDataFlags, engineFlags, numTestSamples, environment, signal } = options;
  const flags = {
    ...{ model: plan.model, epochs: plan.epochs, 'global-batch': globalBatch, microbatches: plan.microbatches },
    ...{ 'train-samples': globalBatch * stepsPerEpoch, 'test-samples': numTestSamples },
    ...{ 'all-reduce': plan.allReduce, wire: plan.wire, 'keep-checkpoints': 1 },
  };
  const coordinatorFlags = [
    ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ...['--no-report', '--no-tensorboard', '--no-dashboard', '--quiet', ...dataFlags],
  ];
  const deadlineSeconds = DEADLINE_SECONDS_A_STEP * plan.epochs * stepsPerEpoch;
  const run = { numWorkers, coordinatorFlags, workerDataFlags, engineFlags, deadlineSeconds, environment };
  const { epochs, log, parametersSha256 } = await options.place.train(run, signal);
  const allReduce = allReduceIn(log).startsWith('ring') ? 'ring' : 'star';
  return { numWorkers, globalBatch, allReduce, parametersSha256, epochs: measuredEpochs(epochs) };
}
