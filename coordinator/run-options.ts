/** What a command gives to a run: its configuration, and where its workers come from. */
import type { Dataset } from '../protocol/data/dataset.ts';
import type { ModelFile } from '../protocol/state/model-file.ts';
import type { Replica } from '../protocol/state/replica.ts';
import type { VectorMath } from '../protocol/vectors/vector-math.ts';
import type { TracedSteps } from '../protocol/wire/moments.ts';
import type { SharedMemorySystem } from '../protocol/wire/shared-memory.ts';
import type { DatasetSource } from './dataset/dataset-source.ts';
import type { Membership } from './members/membership.ts';
import type { Reporter } from './reporting/reporter.ts';
import type { OpenRunOptions } from './run-directory/open-run.ts';
import type { RunControl } from './run-control.ts';
import type { CheckpointSettings } from './run-directory/run-checkpoints.ts';

/** What a source of workers may use. */
export interface SummonContext {
  /** The run's directory; undefined of a run that leaves nothing behind. */
  readonly runDir: string | undefined;
  readonly membership: Membership;
  readonly replica: Replica;
  readonly samples: Dataset;
  /** Tells that a worker that was to come will not: the run ends with this error. */
  readonly onFailure: (error: Error) => void;
}

export interface WorkerSource {
  /** Waits until all workers are gone, and ends those that stay. Called when the run is over and they are dismissed. */
  stop(): Promise<void>;
}

export interface RunOptions extends OpenRunOptions {
  readonly checkpointSettings: CheckpointSettings;
  /** Steps between records of steps, which `steps.jsonl` has. Default: no step is recorded. */
  readonly recordSteps?: number | undefined;
  /**
   * Steps of which workers tell their moments, see `Reporter.onTrace`. Default of `steps`: the first 200 that this process takes.
   * Default: none.
   */
  readonly trace?: { readonly steps?: TracedSteps | undefined } | undefined;
  /** Who hears of the run besides `reporter`, after it. Default: nobody. */
  readonly subscribers?: readonly Reporter[] | undefined;
  /** What it trains on. */
  readonly dataset: DatasetSource;
  /** For sums and updates on this side. */
  readonly vectorMath: VectorMath;
  /** For payloads to and from workers on this machine. Default: they are sent. */
  readonly sharedMemory?: SharedMemorySystem | undefined;
  /** What workers must prove to know. Default: nothing. Kept out of every file of the run directory. */
  readonly token?: string | undefined;
  /** The program's version, for those who examine the run. Default: it is not told. */
  readonly program?: string | undefined;
  /** Why its workers cannot average in a ring, if they cannot: the star is taken, with this reason. */
  readonly ringObstacle?: string | undefined;
  /**
   * Whether all workers are this program's own. Their source tells why one ended; a connection that was refused is then
   * told to the log alone.
   */
  readonly ownsWorkers?: boolean;
  /** What a worker of this name said last, of workers that the program itself has started. Default: nothing is known. */
  readonly lastLinesOf?: ((worker: string) => readonly string[]) | undefined;
  /** By which a person pauses and stops the run. Default: nobody does. */
  readonly control?: RunControl | undefined;
  /** Given the model that the run ends with, if it has one: a copy, for the caller to keep. */
  onModel?(model: ModelFile): void;
  /**
   * Makes sure of what the workers will need, such as an engine and a port, before anything of the run is made. What it
   * rejects with ends the program, and leaves nothing.
   */
  prepare?(): Promise<void>;
  summonWorkers(context: SummonContext): Promise<WorkerSource>;
}
