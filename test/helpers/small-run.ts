/** Whole runs in this process, with a run directory: one worker, a tiny model, and few made-up samples. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { carryOutRun } from '../../coordinator/main.ts';
import type { DatasetSource } from '../../coordinator/dataset/dataset-source.ts';
import type { EpochRecord, RunResult } from '../../coordinator/reporting/reporter.ts';
import type { StepRecord } from '../../coordinator/reporting/step-record.ts';
import type { RunConfig } from '../../coordinator/run-config.ts';
import { readRecordedRun } from '../../coordinator/run-directory/resume.ts';
import type { RunOptions } from '../../coordinator/run-options.ts';
import { toCanonical } from '../../protocol/data/canonical.ts';
import { FASHION_MNIST_CLASSES, FASHION_MNIST_SHAPE } from '../../protocol/data/fashion-mnist.ts';
import { memoryTransportPair } from '../../protocol/wire/transport.ts';
import { plainVectorMath } from '../../protocol/vectors/vector-math.ts';
import { createReferenceEngine } from '../../worker/engines/reference/reference-engine.ts';
import { runWorkerSession } from '../../worker/session.ts';
import { madeUpSamples, runConfig } from './cluster.ts';
import { never } from './sockets.ts';

/** Batches of 8 samples, in 2 microbatches. */
const config = runConfig({ globalBatch: 8, microbatches: 2, epochs: 2 });

export interface SmallRunOptions extends Partial<
  Pick<
    RunOptions,
    | 'checkpointSettings'
    | 'control'
    | 'dataset'
    | 'isUnrecorded'
    | 'recordSteps'
    | 'reporter'
    | 'signal'
    | 'subscribers'
    | 'summonWorkers'
    | 'trace'
  >
> {
  /** Default: 2. */
  readonly stepsPerEpoch?: number;
  readonly changes?: Partial<RunConfig>;
  readonly createEngine?: typeof createReferenceEngine;
}

/** What a user does: begins the run, or resumes the one that is there. */
export function beginOrResume(runDir: string, options: SmallRunOptions = {}): Promise<RunResult> {
  const { stepsPerEpoch = 2, changes, createEngine = createReferenceEngine, ...others } = options;
  const resumed = existsSync(join(runDir, 'config.json')) ? readRecordedRun(runDir) : undefined;
  return carryOutRun({
    config: { ...config, ...changes },
    origin: {},
    runDir,
    dataset: madeUpSource(8 * stepsPerEpoch),
    resumed,
    checkpointSettings: { every: 1, keep: 1 },
    vectorMath: plainVectorMath,
    signal: never(),
    reporter: { line: () => {} },
    warn: () => {},
    summonWorkers({ membership, replica, samples }) {
      const [coordinatorEnd, workerEnd] = memoryTransportPair();
      void membership.admit(coordinatorEnd);
      const session = runWorkerSession(workerEnd, {
        name: 'worker',
        sharedReplica: replica,
        loadDataset: () => Promise.resolve(samples),
        createEngine: (engineOptions) => createEngine({ ...engineOptions, threads: 1 }),
      });
      const ended = session.then(
        () => {},
        () => {},
      );
      return Promise.resolve({ stop: () => ended });
    },
    ...others,
  });
}

/** As many made-up samples to train on, and 8 to evaluate. */
export const madeUpSource = (numTrainSamples: number): DatasetSource => ({
  name: 'made up',
  source: 'made up',
  shape: FASHION_MNIST_SHAPE,
  classes: FASHION_MNIST_CLASSES,
  numTrainSamples,
  open: () =>
    toCanonical({
      shape: FASHION_MNIST_SHAPE,
      classes: FASHION_MNIST_CLASSES,
      train: madeUpSamples(numTrainSamples, 1),
      test: madeUpSamples(8, 2),
    }),
});

const linesOf = (path: string): unknown[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);

/** The records of a run, of which there is one or more; throws where a line is torn. */
export const epochRecordsOf = (runDir: string) => linesOf(join(runDir, 'epochs.jsonl')) as EpochRecord[];
export const stepRecordsOf = (runDir: string) => linesOf(join(runDir, 'steps.jsonl')) as StepRecord[];
