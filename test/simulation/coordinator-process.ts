/** A simulated coordinator: the product's, from gathering the workers to the last checkpoint, on a simulated disk. */
import { memoryBytes } from '../../protocol/data/byte-source.ts';
import { setMaxListeners } from 'node:events';
import { createStar } from '../../coordinator/all-reduce/star/star.ts';
import { createElasticRing } from '../../coordinator/all-reduce/ring/elastic-ring.ts';
import type { AllReduceKind } from '../../coordinator/run-config.ts';
import type { EstablishOptions } from '../../coordinator/all-reduce/establish.ts';
import type { Fleet } from '../../coordinator/members/fleet.ts';
import type { RunControl } from '../../coordinator/run-control.ts';
import { trainWithWorkers } from '../../coordinator/train-with-workers.ts';
import type { Membership } from '../../coordinator/members/membership.ts';
import type { Confusion } from '../../coordinator/reporting/confusion.ts';
import type { EpochRecord } from '../../coordinator/reporting/reporter.ts';
import { BEGINNING, restoreRun } from '../../coordinator/run-directory/resume.ts';
import { createRunCheckpoints } from '../../coordinator/run-directory/run-checkpoints.ts';
import { lastStepOf } from '../../coordinator/run-config.ts';
import type { RunConfig } from '../../coordinator/run-config.ts';
import { appendLines } from '../../coordinator/run-directory/run-directory.ts';
import type { LockedRunDirectory } from '../../coordinator/run-directory/locked-run-directory.ts';
import { storing } from '../../coordinator/run-directory/storage-error.ts';
import { writeFileAtomically } from '../../protocol/atomic-file.ts';
import type { Dataset } from '../../protocol/data/dataset.ts';
import { planModel } from '../../protocol/state/model-spec.ts';
import { createReplica } from '../../protocol/state/replica.ts';
import type { Replica } from '../../protocol/state/replica.ts';
import { fastestVectorMath } from '../../worker/machine/vector-math.ts';

export const RUN_FOLDER = '/run';
export const RECORDS = `${RUN_FOLDER}/epochs.jsonl`;

export interface CoordinatorLife {
  readonly config: RunConfig;
  readonly dataset: Dataset;
  readonly numBuckets: number;
  readonly checkpointEvery: number | undefined;
  /** Whether the run was begun before. */
  readonly isResumed: boolean;
  /** The all-reduce that it began with, if it came as far. */
  readonly begunWith: AllReduceKind | undefined;
  onBegun(kind: AllReduceKind): void;
  /** Has workers reach it, until the function that is returned is called. */
  listen(membership: Membership): () => void;
  say(line: string): void;
  onProgress(): void;
  onConfusion(confusion: Confusion): void;
  readonly control: RunControl;
  readonly signal: AbortSignal;
}

/** The fastest that is there; all have the same bits. */
export const VECTOR_MATH = fastestVectorMath();

export interface RunEnd {
  readonly status: 'completed' | 'interrupted';
  readonly replica: Replica;
}

/** Resolves when the run has ended as it should, and its state is on the disk. */
export async function liveAsCoordinator(life: CoordinatorLife): Promise<RunEnd> {
  const { config, dataset } = life;
  const say = (line: string) => life.say(line);
  setMaxListeners(0, life.signal);
  const replica = createReplica(planModel(config.model), config.optimizer, config.seed, VECTOR_MATH);
  const directory = directoryOf(life);
  const from = life.isResumed ? await restoreRun(directory, config, replica, { say, warn: say }) : BEGINNING;
  const checkpoints = createRunCheckpoints({
    config,
    settings: { every: life.checkpointEvery, keep: 2 },
    directory,
    replica,
    from,
    seconds: () => performance.now() / 1000,
    waitingSeconds: () => 0,
    say,
  });
  let status: RunEnd['status'] = 'completed';
  if (replica.step < lastStepOf(config, dataset.train.numSamples)) {
    status = await trainWithWorkers({
      config,
      origin: {},
      checkpointSettings: { keep: 2 },
      vectorMath: VECTOR_MATH,
      signal: life.signal,
      control: life.control,
      reporter: { line: say, onProgress: () => life.onProgress() },
      warn: say,
      begunWith: life.begunWith,
      summonWorkers({ membership }) {
        const stop = life.listen(membership);
        return Promise.resolve({
          stop() {
            stop();
            return Promise.resolve();
          },
        });
      },
      served: { name: 'numbered', sha256: '0'.repeat(64), bytes: memoryBytes([new Uint8Array(1)]) },
      samples: dataset,
      replica,
      directory,
      checkpoints,
      waiting: { forFirstMs: 0, forAnyMs: () => 0 },
      progress: { epochs: from.epochsDone, testAccuracy: from.testAccuracy },
      establish: (options) => establish(options, life.numBuckets),
    });
  }
  return { status, replica };
}

async function establish(options: EstablishOptions, numBuckets: number) {
  const { config, fleet, replica, exchange, allocateAverage, say } = options;
  const stepTimeoutMs = config.stepTimeoutSeconds * 1000;
  const { wire } = config;
  const makeStar = (serve?: Fleet['serve']) =>
    createStar(fleet, replica, { stepTimeoutMs, wire, exchange, allocateAverage, serve, say, numBuckets }, VECTOR_MATH);
  if (config.allReduce === 'star') return { allReduce: makeStar(), kind: 'star' } as const;
  return {
    allReduce: await createElasticRing({ fleet, replica, stepTimeoutMs, makeStar, say }),
    kind: 'ring',
  } as const;
}

/** Not locked: processes of one run follow one another here. */
function directoryOf(life: CoordinatorLife): LockedRunDirectory {
  const quiet = () => {};
  return {
    path: RUN_FOLDER,
    checkpointFolder: `${RUN_FOLDER}/checkpoints`,
    runId: 'simulated',
    logger: { info: quiet, warn: quiet, error: quiet } as never,
    writeConfig: () => Promise.resolve(),
    recordEpochs: () => Promise.resolve(),
    recordAllReduce(kind) {
      life.onBegun(kind);
      return Promise.resolve();
    },
    appendEpoch: (record: EpochRecord) => storing(RECORDS, () => appendLines(RECORDS, [JSON.stringify(record)])),
    writeConfusion(confusion) {
      life.onConfusion(confusion);
      return Promise.resolve();
    },
    appendSteps: () => Promise.resolve(),
    writeModel: ({ step }, _, name = 'model.safetensors') => {
      const path = `${RUN_FOLDER}/${name}`;
      return storing(path, () => writeFileAtomically(path, `step ${step}`));
    },
    writeResult: () => Promise.resolve(),
    confirm: () => Promise.resolve(),
    lost: new AbortController().signal,
    renewIfDue() {},
    release: () => Promise.resolve(),
    discard: () => Promise.resolve(),
  };
}
