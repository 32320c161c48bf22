/** Reporter: something that tells about a run as it goes: lines on a terminal, records in a file. */
import type { RunConfig } from '../run-config.ts';
import type { Confusion } from './confusion.ts';
import type { PartsInSeconds } from './flat-parts.ts';
import type { Contribution } from './contributions.ts';
import type { ReportedEvent } from './reported-event.ts';
import type { StepRecord } from './step-record.ts';
import type { TracedMoments } from './trace/step-tracer.ts';

/**
 * One line of `epochs.jsonl`. Losses are means over samples, in nats; accuracies are fractions. Each name stands for one
 * thing, and `workers` alone is nested; a line also has the names of `deprecated-fields.ts`, for other programs.
 */
export interface EpochRecord extends PartsInSeconds {
  readonly epoch: number;
  /** When it ended, in ISO 8601, and the learning rate of its last step. Absent in older records. */
  readonly endedAt?: string;
  readonly learningRate?: number;
  readonly loss: number;
  readonly trainAccuracy: number;
  /** null where there is no test sample, and in a run with validation, which looks at none. */
  readonly testLoss: number | null;
  readonly testAccuracy: number | null;
  /** With validation: of the training samples that were held back. */
  readonly validationLoss?: number | null;
  readonly validationAccuracy?: number | null;
  /** Wall time of the epoch's training steps; evaluation is apart. */
  readonly seconds: number;
  readonly evaluationSeconds: number;
  readonly samples: number;
  readonly samplesPerSecond: number;
  readonly steps: number;
  /**
   * Where the run was resumed in the middle of the epoch: its steps before, which loss, accuracy, samples and steps cover
   * but times, bytes and workers do not.
   */
  readonly stepsBeforeResume?: number;
  /** Sums of parts: compute + apply; encode + wire + reduce; wait + other. */
  readonly computeSeconds: number;
  readonly communicationSeconds: number;
  readonly otherSeconds: number;
  /** To all workers and from them: frames with their payloads, also those that stayed in shared memory. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Of those: payloads that stayed in shared memory, and so were not sent. Absent in older records. */
  readonly sharedBytesSent?: number;
  readonly sharedBytesReceived?: number;
  /** Mean of a step and worker, to the worker and from it: frames with their payloads. 0 within one process. */
  readonly bytesSentPerStep: number;
  readonly bytesReceivedPerStep: number;
  /** Bytes of a vector as float32 for each byte of it in the run's wire format. */
  readonly wireRatio: number;
  /** Name of the worker that others waited for longest. */
  readonly slowestWorker: string;
  /** What it cost: the time in which all others were done, and the step waited for it alone. */
  readonly slowestDelaySeconds: number;
  /** Workers in the epoch: one entry each. */
  readonly numWorkers: number;
  readonly workers: readonly WorkerRecord[];
}

/** Of what was evaluated: held-back samples with validation, else test samples; null for none. */
export const accuracyOf = ({ validationAccuracy, testAccuracy }: EpochRecord): number | null =>
  validationAccuracy ?? testAccuracy;

/** One worker's times in an epoch, by its own clock and the coordinator's. Times of different workers overlap. */
export interface WorkerRecord {
  readonly id: string;
  readonly name: string;
  readonly engine: string;
  readonly device: string;
  readonly threads: number;
  readonly workerSamples: number;
  readonly workerComputeSeconds: number;
  readonly workerCommunicationSeconds: number;
  readonly workerWaitSeconds: number;
}

/** Where a running epoch stands. */
export interface Progress {
  readonly epoch: number;
  readonly epochs: number;
  readonly stepInEpoch: number;
  readonly stepsPerEpoch: number;
  /** Means over the epoch so far. */
  readonly loss: number;
  readonly trainAccuracy: number;
  readonly samplesPerSecond: number;
  /** To the end of the run, its evaluations among it, at the speed of this epoch and the one before. */
  readonly runSecondsLeft: number;
  /** Where its time has gone so far, and who works: made when it is asked for, as a step may take less than a millisecond. */
  readonly soFar?: () => EpochSoFar;
}

/** Of a running epoch; the fields mean what they mean in an `EpochRecord`. */
export interface EpochSoFar extends PartsInSeconds {
  readonly seconds: number;
  readonly steps: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly slowestWorker: string;
  readonly slowestDelaySeconds: number;
  readonly workers: readonly WorkerSoFar[];
}

export interface WorkerSoFar extends Pick<WorkerRecord, 'id' | 'name' | 'engine'> {
  readonly workerSamples: number;
  readonly workerComputeSeconds: number;
  /** From assignments to their answers, with the exchange among workers: the sum over `workerSteps` steps. */
  readonly workerStepSeconds: number;
  readonly workerSteps: number;
}

/** What `result.json` says. */
export interface RunResult {
  readonly status: 'completed' | 'failed' | 'interrupted';
  readonly steps: number;
  readonly epochs: number;
  readonly testAccuracy: number | null;
  /** With validation, in place of the test accuracy. */
  readonly validationAccuracy?: number | null;
  /** The most accurate epoch of all, and its test or validation accuracy. Absent where none was evaluated. */
  readonly bestEpoch?: number;
  readonly bestAccuracy?: number;
  /** Of the last epoch with a record: in training, and of what is evaluated. */
  readonly loss?: number;
  readonly trainAccuracy?: number;
  readonly evaluationLoss?: number | null;
  /** Names of the model and of the data. */
  readonly model?: string;
  readonly dataset?: string;
  /** In ISO 8601. */
  readonly startedAt?: string;
  readonly endedAt?: string;
  /** Wall time of the run, over all processes that it was resumed in: the next two together. */
  readonly seconds: number;
  /** Steps, evaluation and what is written. */
  readonly trainingSeconds: number;
  /** For workers to join, at the beginning and when none was left; and paused. */
  readonly waitingSeconds: number;
  /** Of a completed run: whether the model does better than a guess, see `learning.ts`. Absent where that cannot be told. */
  readonly learned?: boolean;
  readonly parametersSha256: string;
  /** Of the averages of the parameters, where a run keeps them: these are what was evaluated and what the model file holds. */
  readonly averagedParametersSha256?: string;
  readonly error?: {
    readonly code: string;
    readonly message: string;
    readonly worker?: string;
    readonly step?: number;
    /** The worker's address, as the coordinator saw it. */
    readonly host?: string;
    /** What the worker said last, and how its process ended: of workers that this program started. */
    readonly lastLines?: readonly string[];
  };
}

/** What is told of a worker; see `Member`. */
export interface WorkingMember {
  readonly name: string;
  readonly engine: string;
  readonly device: string;
  readonly threads: number;
}

/**
 * `runDir` is undefined of a run that leaves nothing behind.
 *
 * Every method is called in order and may throw: a record that cannot be written ends the run.
 */
export interface Reporter {
  /** The first step is about to begin. `stepsDone`: steps that the run has taken before, where it is resumed. */
  onStart?(config: RunConfig, members: readonly WorkingMember[], runDir: string | undefined, stepsDone: number): void;
  /** What the run does from here on, besides steps: "waiting for workers: 1 of 2 are ready". */
  onPhase?(doing: string): void;
  onProgress?(progress: Progress): void;
  /** Of every step, with local steps of every round. Records of steps are made for those alone who have this method. */
  onStep?(record: StepRecord, contributions: readonly Contribution[]): void;
  /**
   * Right before `onEpoch` of the same epoch, where the evaluation is small enough for it. Workers are asked for predictions
   * where a reporter has this method, or where the run has a directory.
   */
  onConfusion?(confusion: Confusion): void;
  /** Of every step that is traced, and of the proof after an epoch's last: who did what, and when. */
  onTrace?(moments: TracedMoments): void;
  onEpoch?(record: EpochRecord): void;
  onEnd?(result: RunResult, runDir: string | undefined): void;
  /** At any time, also before `onStart`. */
  onEvent?(event: ReportedEvent): void;
  /** The run was refused before it began, or ended by an internal error. No other call but `close` follows. */
  onRefused?(): void;
  /** The last call: waits for what the reporter still sends, within a deadline of its own. Never rejects. */
  close?(): Promise<void>;
}
