/** What a caller of the library is told of a run, and how the run's own reporter tells it. */
import type { ControlState, WorkerEvent } from '../../coordinator/reporting/reported-event.ts';
import type {
  EpochRecord,
  Progress,
  Reporter,
  RunResult,
  WorkingMember,
} from '../../coordinator/reporting/reporter.ts';
import type { RunConfig } from '../../coordinator/run-config.ts';

/** Where lines for people go. A level that is missing is silent. Default: both are. */
export interface Logger {
  /** What goes as it should. Without it, local worker processes say no more than warnings. */
  readonly info?: ((line: string) => void) | undefined;
  /** What is out of the ordinary. */
  readonly warn?: ((line: string) => void) | undefined;
}

/** Where a coordinator listens. */
export interface Listening {
  /** For a worker: "ws://HOST:PORT/#TOKEN". Who knows it can join. */
  readonly joinUrl: string;
  /** All addresses by which workers may reach it, without the token, the likeliest first. */
  readonly urls: readonly [string, ...string[]];
  readonly port: number;
  /** How many workers the run waits for. */
  readonly numWorkers: number;
  /** What workers must prove to know; undefined of a run that lets everyone in. */
  readonly token: string | undefined;
  /** Made for this run just now: nobody else knows it yet. */
  readonly isTokenFresh: boolean;
  /** sha256 of the certificate that is served, where one is. */
  readonly fingerprint: string | undefined;
}

/** `runDir`: the run directory; undefined of a run that leaves nothing behind. */
export type RunEvent =
  /** The options are checked and the data is found; nothing is made yet. From here on the signal ends the run in order. */
  | { readonly kind: 'prepared' }
  /** A coordinator takes workers. */
  | ({ readonly kind: 'listening'; readonly runDir: string | undefined } & Listening)
  /**
   * A page shows the run: its address, and the key that it asks for where other machines reach it. A link that ends in
   * "#view=KEY" opens the page with the key.
   */
  | { readonly kind: 'dashboard'; readonly url: string; readonly viewKey: string | undefined }
  /** What the run does from here on, besides steps: "waiting for workers: 1 of 2 are ready". */
  | { readonly kind: 'phase'; readonly doing: string }
  /** The first step is about to begin. */
  | {
      readonly kind: 'started';
      readonly config: RunConfig;
      readonly workers: readonly WorkingMember[];
      readonly runDir: string | undefined;
      /** Steps that the run has taken before, where it is resumed. */
      readonly stepsDone: number;
    }
  /** A worker has joined the run, is late, or was lost. */
  | ({ readonly kind: 'worker' } & WorkerEvent)
  /** A person has paused the run, had it go on, or had it end after its epoch. */
  | { readonly kind: 'control'; readonly state: ControlState }
  | { readonly kind: 'ended'; readonly result: RunResult; readonly runDir: string | undefined }
  /** The run was refused before it began, or ended by an internal error: the call rejects. No other event follows. */
  | { readonly kind: 'refused' };

/**
 * What a run calls back. Calls come in order, each before the run goes on: they should be quick. What one throws ends the
 * run, and the call rejects with it.
 */
export interface RunCallbacks {
  /** After each epoch, with the record that `epochs.jsonl` has. */
  readonly onEpoch?: ((record: EpochRecord) => void) | undefined;
  /** After each step, with where the epoch stands. */
  readonly onStep?: ((progress: Progress) => void) | undefined;
  readonly onEvent?: ((event: RunEvent) => void) | undefined;
  readonly logger?: Logger | undefined;
  /**
   * Aborted: the run ends after the step at hand, as by Ctrl-C, and after 3 s without it. Its checkpoint is written where it
   * has a run directory, and its result says `interrupted`. Before the data is read the call rejects with the signal's reason.
   */
  readonly signal?: AbortSignal | undefined;
}

/** The reporter of a run that calls these back. */
export function reporterOf({ onEpoch, onStep, onEvent, logger }: RunCallbacks): Reporter & {
  readonly line: (text: string) => void;
} {
  return {
    line: (text) => logger?.info?.(text),
    onPhase: (doing) => onEvent?.({ kind: 'phase', doing }),
    onStart(config, members, runDir, stepsDone) {
      const workers = members.map(({ name, engine, device, threads }) => ({ name, engine, device, threads }));
      onEvent?.({ kind: 'started', config, workers, runDir, stepsDone });
    },
    onProgress: (progress) => onStep?.(progress),
    onEvent(event) {
      if (event.kind === 'worker' || event.kind === 'control') onEvent?.(event);
    },
    onEpoch: (record) => onEpoch?.(record),
    onEnd: (result, runDir) => onEvent?.({ kind: 'ended', result, runDir }),
    onRefused: () => onEvent?.({ kind: 'refused' }),
  };
}
