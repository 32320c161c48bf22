/** One training run across the hosts of a place, or on one alone, and the epochs' records that it leaves. */
import { PROGRAM } from '../../network/built-file.ts';
import { allReduceIn, recordRun, trainAcross as trainWith } from '../../network/distributed-run.ts';
import type { Place } from '../../network/place.ts';
import type { EpochFigures } from '../../network/records.ts';

/** Enough that every part of an epoch happens; evaluation is not measured. */
const TEST_SAMPLES = '256';

export interface TrainingRun {
  readonly model: string;
  readonly numWorkers: number;
  readonly wire: string;
  readonly batchPerWorker: number;
  readonly stepsPerEpoch: number;
  readonly epochs: number;
  /** Where the dataset is. */
  readonly dataDir: string;
  /** More flags for `gradsock coordinator`. */
  readonly extra: readonly string[];
  /** How long all its steps may take together. */
  readonly deadlineSeconds: number;
}

/** Trains, and returns what the coordinator recorded of each epoch. Rejects as `trainAcross` of `distributed-run.ts`. */
export async function trainAcross(place: Place, run: TrainingRun, signal: AbortSignal): Promise<EpochFigures[]> {
  const { numWorkers, wire, extra, dataDir, deadlineSeconds } = run;
  const coordinatorFlags = [...flagsOf(run), '--wire', wire, ...extra];
  const workerFlags = ['--data-dir', dataDir];
  const { epochs, log } = await trainWith(
    place,
    { numWorkers, coordinatorFlags, workerFlags, deadlineSeconds },
    signal,
  );
  if (extra.includes('ring')) checkRing(log);
  return epochs;
}

/** Throws when the run fell back to the star: what was measured is then not what was asked for. */
function checkRing(log: string): void {
  const found = allReduceIn(log);
  if (!found.startsWith('ring')) throw new Error(`expected a ring, got ${found}`);
}

/** The same steps by one worker in one process, without a network: the baseline. */
export async function trainAlone(run: TrainingRun, signal: AbortSignal): Promise<EpochFigures[]> {
  const { deadlineSeconds } = run;
  const { epochs } = await recordRun({ deadlineSeconds, signal }, (group, runDir) => {
    const command = [process.execPath, PROGRAM, 'baseline', ...flagsOf(run), '--run-dir', runDir];
    return group.start('baseline', command).ended;
  });
  return epochs;
}

function flagsOf({ model, numWorkers, batchPerWorker, stepsPerEpoch, epochs, dataDir }: TrainingRun): string[] {
  const globalBatch = numWorkers * batchPerWorker;
  return [
    ...['--model', model, '--epochs', String(epochs)],
    ...['--global-batch', String(globalBatch), '--train-samples', String(globalBatch * stepsPerEpoch)],
    ...['--test-samples', TEST_SAMPLES, '--data-dir', dataDir, '--quiet'],
  ];
}
