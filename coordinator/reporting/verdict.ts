/**
 * A verdict in words: what an epoch's time was spent on most, what one more worker could gain, and which flags may help.
 * A pure function of the parts of the time (`step-parts.ts`) and of the workers' own figures. It is advice: nothing
 * depends on it.
 *
 * The bound follows Amdahl. With N workers, the part c of the time that is computing shrinks by N / (N + 1) with one more
 * worker of the same speed; the rest does not shrink, and communication rather grows. So one more gains at most
 *
 *     1 / (c N / (N + 1) + 1 - c)
 *
 * One process alone computes what all of them compute, one after the other, and only applies updates besides: with the
 * sum C of the workers' computing times and the time A of updates, it takes C + A, on a machine like theirs.
 */
import type { PartsInSeconds } from './flat-parts.ts';

/** What the verdict reads of an `EpochRecord` or an `EpochSoFar`. */
export interface TimeSpent extends PartsInSeconds {
  readonly seconds: number;
  readonly steps: number;
  /** Of those, steps that `seconds` does not cover. */
  readonly stepsBeforeResume?: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly slowestWorker: string;
  readonly slowestDelaySeconds: number;
  readonly workers: readonly { readonly workerComputeSeconds: number }[];
}

/** What the verdict reads of a `RunConfig`: it names no flag that the run uses to the full. */
export interface VerdictConfig {
  readonly globalBatch: number;
  readonly microbatches: number;
  readonly accumulate: number;
  readonly localSteps: number;
  readonly wire: string;
  readonly shares: string;
}

/** A part below this is no bottleneck: without it, a run would take less than a fifth less time. */
const LEAST_SHARE = 0.2;
/** What is spent on a step besides computing and waiting is overhead where it is no longer than this: bytes take longer. */
const MOST_OVERHEAD_MS = 5;
/** A worker is called the slowest when at least this part of the waiting time was spent on that worker alone. */
const LEAST_BLAME = 0.5;
/** One process is only recommended where its time is below this part: it is a bound, which no process quite reaches. */
const CLEARLY_LESS = 0.5;
/** Microbatches of each worker from which on shares by speed can follow speeds: a step of a quarter. */
const FINE_SHARES = 4;

/** One sentence. Of an epoch that has taken no time yet: undefined. */
export function verdictOf(spent: TimeSpent, config: VerdictConfig): string | undefined {
  const { seconds, workers } = spent;
  if (seconds <= 0 || workers.length === 0) return undefined;
  const shares = sharesOf(spent);
  if (workers.length === 1 && spent.bytesSent + spent.bytesReceived === 0) {
    return `one process: nothing to wait for; computing ${percent(shares.computing)}, updating ${percent(shares.updating)}`;
  }
  const overhead = overheadOf(spent, shares);
  if (overhead !== undefined) return withAdvice(overhead, [largerBatch(config), ...fewerTalks(config)], spent);
  const { computing, ...others } = shares;
  const [name, share] = Object.entries(others).reduce((a, b) => (b[1] > a[1] ? b : a));
  if (share < LEAST_SHARE)
    return `computing ${percent(computing)}: ${oneMore(spent, computing)}, with cores of its own`;
  if (name === 'waiting') return waitingVerdict(spent, share, config);
  const what = `${name} ${percent(share)}: ${oneMore(spent, computing)}`;
  if (name === 'communication')
    return withAdvice(what, [largerBatch(config), ...fewerTalks(config), ...shorterTalks(config)], spent);
  if (name === 'updating') return withAdvice(what, [largerBatch(config)], spent);
  return `${what}; the coordinator is busy with other things: checkpoints, records, another program`;
}

/** Shares of the wall time; they add up to 1. */
function sharesOf(spent: TimeSpent) {
  const { seconds } = spent;
  return {
    computing: spent.computePartSeconds / seconds,
    communication: (spent.encodePartSeconds + spent.wirePartSeconds + spent.reducePartSeconds) / seconds,
    waiting: spent.waitPartSeconds / seconds,
    updating: spent.applyPartSeconds / seconds,
    'between steps': spent.otherPartSeconds / seconds,
  };
}

/** Where steps are short, and most of their time goes to what any step costs, however few its samples. */
function overheadOf(spent: TimeSpent, shares: ReturnType<typeof sharesOf>): string | undefined {
  const { computing, waiting } = shares;
  const stepMs = (1000 * spent.seconds) / (spent.steps - (spent.stepsBeforeResume ?? 0));
  const share = 1 - computing - waiting;
  if (share < Math.max(computing, waiting) || share * stepMs > MOST_OVERHEAD_MS) return undefined;
  const times = `a step takes ${stepMs.toFixed(1)} ms and computes for ${(computing * stepMs).toFixed(1)} ms`;
  return `per-step overhead ${percent(share)}: ${times}`;
}

function waitingVerdict(spent: TimeSpent, share: number, config: VerdictConfig): string {
  const isOnesFault = spent.slowestDelaySeconds >= LEAST_BLAME * spent.waitPartSeconds;
  const who = isOnesFault ? `${spent.slowestWorker} is the slowest` : 'no worker is always the slowest';
  const what = `waiting ${percent(share)}: ${who}; equal speeds would gain at most ${times(1 / (1 - share))}`;
  return isOnesFault ? withAdvice(what, finerShares(spent, config)) : withAdvice(what, fewerTalks(config), spent);
}

/** Shares follow speeds where a worker has several microbatches. */
function finerShares({ workers }: TimeSpent, { microbatches, globalBatch, shares }: VerdictConfig): string[] {
  const fine = FINE_SHARES * workers.length;
  if (shares === 'equal') return ['--shares speed'];
  return microbatches < fine && globalBatch >= fine ? [`--microbatches ${fine}`] : [];
}

const largerBatch = ({ globalBatch }: VerdictConfig) => `--global-batch ${2 * globalBatch}`;

const fewerTalks = ({ accumulate, localSteps }: VerdictConfig): string[] =>
  accumulate > 1 || localSteps > 4 ? [] : [`--local-steps ${4 * localSteps}`];

const shorterTalks = ({ wire }: VerdictConfig): string[] => (wire === 'f32' ? ['--wire bf16'] : []);

function withAdvice(what: string, flags: readonly string[], spent?: TimeSpent): string {
  const tries = flags.length === 0 ? '' : `; try ${inWords(flags)}`;
  return `${what}${tries}${spent ? aloneFaster(spent) : ''}`;
}

/** Said where one process alone would be clearly faster than all of them together. */
function aloneFaster({ seconds, workers, applyPartSeconds }: TimeSpent): string {
  const allComputing = workers.reduce((sum, { workerComputeSeconds }) => sum + workerComputeSeconds, 0);
  const alone = (allComputing + applyPartSeconds) / seconds;
  if (workers.length === 1 || alone <= 0 || alone > CLEARLY_LESS) return '';
  return `. One process alone (gradsock baseline) may be up to ${times(1 / alone)} as fast`;
}

function oneMore({ workers }: TimeSpent, computing: number): string {
  const N = workers.length;
  const gain = 1 / ((computing * N) / (N + 1) + 1 - computing);
  return `one more worker would gain at most ${times(gain)}`;
}

const percent = (share: number) => `${Math.round(100 * share)} %`;
const times = (factor: number) => `${factor.toFixed(1)} x`;
const inWords = (flags: readonly string[]) =>
  flags.length < 2 ? flags.join('') : `${flags.slice(0, -1).join(', ')} or ${flags.at(-1)!}`;
