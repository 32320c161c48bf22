/**
 * The options of the library. What a flag of the program says has the flag's name in camel case here, its checks and its
 * default: `--global-batch` is `globalBatch`. `docs/reference/cli.md` describes each.
 */
import type { EngineFlags, RunFlags } from '../flags/run-flags.ts';
import type { ModelSpec } from '../../protocol/state/model-spec.ts';
import type { RunCallbacks } from './events.ts';
import type { DataInMemory } from './samples.ts';

/** `undefined` counts as not given. */
type Optional<T> = { readonly [K in keyof T]?: T[K] | undefined };

/** Where gradients are computed. */
export type EngineOptions = Optional<EngineFlags>;

/** What decides the outcome of a run, and where its files are. */
export interface RunOptions
  extends
    Optional<Omit<RunFlags, 'model' | 'data' | 'runDir' | 'quiet' | 'json' | 'progressInterval' | 'modelSpec'>>,
    RunCallbacks {
  /** A model by its name, the path of a ModelSpec in FILE.json, or the ModelSpec itself. Default: conv-pool. */
  readonly model?: string | ModelSpec | undefined;
  /** A dataset by its name, the path of one, or samples in memory. Default: fashion-mnist. */
  readonly data?: string | DataInMemory | undefined;
  /**
   * The folder in which the run is recorded: checkpoints, models, records. `true`: a new folder below runs/, as the program
   * makes it. Default: the run leaves nothing behind.
   */
  readonly runDir?: string | boolean | undefined;
  /** The command line that asks for the run, for its `config.json`. Default: none is recorded. */
  readonly command?: string | undefined;
}

/** How many workers a run has, and where they join it. */
export interface PortOptions {
  /** How many workers to begin with. Default: `workers`. */
  readonly minWorkers?: number | undefined;
  /** The most workers that compute at the same time. Default: as many as a step has microbatches. */
  readonly maxWorkers?: number | undefined;
  /** Name or address by which workers reach it. Default: this machine's addresses. */
  readonly advertise?: string | undefined;
  /** http:// or https:// URL at which people reach the dashboard. Default: an address of this machine. */
  readonly publicUrl?: string | undefined;
  /** File for the URL and the token, removed at the end. */
  readonly joinFile?: string | undefined;
  /** Announce the run on this network by mDNS, under this name; empty: that of the run directory. Default: it is not. */
  readonly discover?: string | undefined;
  /** What workers must prove to know; `false`: nothing, with a loopback address only. Default: a fresh token. */
  readonly token?: string | false | undefined;
  /** File with the token. */
  readonly tokenFile?: string | undefined;
  /** Longest wait for workers, in seconds. Default: 600. */
  readonly joinTimeout?: number | undefined;
  /** Whether workers that wait for a run which was completed before are told so, for some seconds. Default: false. */
  readonly farewell?: boolean | undefined;
  /** Whether a page on the same port shows the run; its address comes as the event `dashboard`. Default: false. */
  readonly dashboard?: boolean | undefined;
  /** Files in PEM: the certificate with its chain, and its key. Default: no encryption. */
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
}

export interface TrainOptions extends RunOptions, EngineOptions, PortOptions {
  /**
   * Local worker processes; `auto`: one per core, 2 to 4, or as many as the run that is resumed has. Default: none, this
   * process computes the gradients itself.
   */
  readonly workers?: number | 'auto' | undefined;
  /** HOST:PORT at which workers of other machines join the local ones; needs `workers`. Default: none join. */
  readonly listen?: string | undefined;
  /** What a local worker process is called, by its number from 0. Default: local-1, local-2, ... */
  readonly nameWorker?: ((index: number) => string) | undefined;
}

export interface CoordinatorOptions extends RunOptions, PortOptions {
  /** How many workers to wait for. Default: 2. */
  readonly workers?: number | undefined;
  /** HOST:PORT at which workers join; port 0 takes any free one. Default: 127.0.0.1:7878. */
  readonly listen?: string | undefined;
}

export interface WorkerOptions extends EngineOptions, Pick<RunCallbacks, 'logger' | 'signal'> {
  /**
   * The run to join: ws://HOST:PORT or wss://, with or without the token after a #; or several URLs of its coordinator, all
   * of which are tried. Give this or `joinFile`.
   */
  readonly url?: string | readonly string[] | undefined;
  /** File with the URLs and the token, as a coordinator writes it. It may come later, and change. */
  readonly joinFile?: string | undefined;
  /** The run's token, where the URL has none; `false`: none may be there. Default: a run without one is joined. */
  readonly token?: string | false | undefined;
  /** File with the token. */
  readonly tokenFile?: string | undefined;
  /** For people. Default: host and process id. */
  readonly name?: string | undefined;
  /** Folder of Fashion-MNIST's files. Default: the usual places are searched. */
  readonly dataDir?: string | undefined;
  /** Whether a dataset that is received is kept in the user's cache. Default: true. */
  readonly keepData?: boolean | undefined;
  /** Longest wait for a coordinator that is not there yet, in seconds. Default: 600. */
  readonly wait?: number | undefined;
  /** Longest wait for a coordinator that was lost, in seconds. Default: 60. */
  readonly reconnect?: number | undefined;
  /** Range from which the worker takes a port for another worker of a ring: "7900-7909". Default: any free port. */
  readonly peerPorts?: string | undefined;
  /** Whom to trust at a wss:// URL: an authority in PEM, or the sha256 of the coordinator's certificate. */
  readonly tlsCa?: string | undefined;
  readonly tlsFingerprint?: string | undefined;
  /** Told, in lines for people, how the run goes for this worker. */
  readonly onProgress?: ((line: string) => void) | undefined;
  /** Told how the run ended, where its coordinator says so, before `finished` settles. */
  readonly onOutcome?: ((outcome: 'completed' | 'interrupted' | 'failed') => void) | undefined;
}

export interface ModelOptions extends EngineOptions {
  /** Of a run: its most accurate model, not its last. Default: false. */
  readonly best?: boolean | undefined;
}

export interface EvaluateOptions extends Optional<Pick<RunFlags, 'dataDir' | 'resize' | 'testFraction'>> {
  /** Default: test. */
  readonly split?: 'test' | 'train' | 'validation' | undefined;
  /** How many of the samples with the largest losses to name. Default: 10. */
  readonly worst?: number | undefined;
  /** Told how many of how many samples are done. */
  readonly onProgress?: ((numDone: number, numSamples: number) => void) | undefined;
  /** Told of data that is fetched or set aside. */
  readonly logger?: RunCallbacks['logger'];
}
