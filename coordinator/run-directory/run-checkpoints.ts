/** A run's checkpoints: when one is due, what goes into its header, and which is the best. */
import type { Replica } from '../../protocol/state/replica.ts';
import { createCheckpointWriter } from './checkpoint-writer.ts';
import type { CheckpointWriter } from './checkpoint-writer.ts';
import { outcomeSha256 } from './checkpoint.ts';
import type { EpochSums, RunPoint } from './checkpoint.ts';
import { accuracyOf } from '../reporting/reporter.ts';
import type { EpochRecord } from '../reporting/reporter.ts';
import type { RunConfig } from '../run-config.ts';
import type { RunRecord } from './run-directory.ts';
import type { StepDone } from '../trainer.ts';

export interface CheckpointSettings {
  /** Steps between checkpoints, besides the one at the end of each epoch. Default: only that one. */
  readonly every?: number | undefined;
  readonly keep: number;
}

export interface RunCheckpoints {
  /** Where the run stands by the epochs' ends that it has been told of. */
  readonly point: RunPoint;
  /** In mid-epoch: saves where one is due. Rejects with the `StorageError` of one before that could not be written. */
  stepDone(step: StepDone): Promise<void>;
  /** Whether no epoch before was as accurate. One that was left before its end is not evaluated, and not the best. */
  isBest(record: EpochRecord): boolean;
  /** Saves: the end of an epoch, or with `unfinished` where it was left. */
  epochDone(record: EpochRecord, unfinished?: EpochSums): void;
  /** All are written, or rejects with `StorageError`. */
  finish(): Promise<void>;
}

export interface RunCheckpointsOptions {
  readonly config: RunConfig;
  readonly settings: CheckpointSettings;
  readonly directory: Pick<RunRecord, 'runId' | 'checkpointFolder' | 'confirm'>;
  readonly replica: Replica;
  /** Where the run begins. */
  readonly from: RunPoint;
  /** The run's wall time so far. */
  readonly seconds: () => number;
  /** How much of it was waiting for workers, or paused. */
  readonly waitingSeconds: () => number;
  readonly say: (line: string) => void;
  /** Told of the step of each checkpoint that is on the disk. */
  readonly onWritten?: (step: number) => void;
}

/** Of a run that leaves nothing behind. */
const NO_WRITER: CheckpointWriter = { save() {}, proceed: () => Promise.resolve(), finish: () => Promise.resolve() };

export function createRunCheckpoints(options: RunCheckpointsOptions): RunCheckpoints {
  const { config, settings, directory, replica, seconds, waitingSeconds } = options;
  const { every, keep } = settings;
  const { onWritten } = options;
  const { checkpointFolder: folder, confirm } = directory;
  const writer = folder === undefined ? NO_WRITER : createCheckpointWriter({ folder, keep, confirm, onWritten });
  const about = { runId: directory.runId, model: config.model, configSha256: outcomeSha256(config) };
  let point = options.from;
  let hasSaid = false;

  const save = (changes: Partial<RunPoint>, isBest: boolean) => {
    point = {
      ...point,
      unfinished: undefined,
      ...changes,
      step: replica.step,
      seconds: seconds(),
      waitingSeconds: waitingSeconds(),
    };
    writer.save({ ...about, point }, replica.state, isBest);
  };

  const isBest = (record: EpochRecord) => (accuracyOf(record) ?? -1) > (point.bestTestAccuracy ?? -1);

  return {
    get point() {
      return point;
    },
    async stepDone({ step, numSteps, sums }) {
      const isDue = every !== undefined && Math.floor(step / every) > Math.floor((step - numSteps) / every);
      if (isDue && replica.step === step) {
        save({ unfinished: sums() }, false);
      } else if (isDue && !hasSaid) {
        hasSaid = true;
        options.say(
          `--checkpoint-every ${every}: in a ring the state is here at the end of an epoch only: saving it then`,
        );
      }
      await writer.proceed();
    },
    isBest,
    epochDone(record, unfinished) {
      const { epoch } = record;
      const testAccuracy = accuracyOf(record);
      if (unfinished) {
        save({ unfinished }, false);
        return;
      }
      const isNewBest = isBest(record);
      const best = isNewBest ? { bestTestAccuracy: testAccuracy, bestEpoch: epoch } : {};
      save({ epochsDone: epoch, testAccuracy, ...best }, isNewBest);
    },
    finish: () => writer.finish(),
  };
}
