/**
 * The block that a terminal shows of a running run: where it stands, a row a worker, a verdict. Pure: from what is known
 * to lines of a given width. `terminal.ts` decides when it is drawn.
 */
import type { WorkerEvent } from './reported-event.ts';
import type { EpochSoFar, Progress, WorkerSoFar } from './reporter.ts';
import { cutTo, fitLine, formatDuration, formatMs, wrapText } from './text.ts';

/** More workers than this are not all shown; then the slowest few are. */
const MOST_ROWS = 8;
const SLOWEST_FEW = 5;
/** Lines besides the workers' rows: two of progress, two of the verdict, one that counts the rest, the cursor's. */
const OTHER_LINES = 6;
/** A step that takes longer than this is told apart: the figures are those of the step before. */
const LONG_STEP_SECONDS = 5;

export type WorkerState = 'at work' | 'late' | 'lost';

const NO_WORK = { workerSamples: 0, workerSteps: 0, workerStepSeconds: 0, workerComputeSeconds: 0 };

/** What has become of the workers of a run. */
export class WorkerStates {
  readonly #states = new Map<string, { readonly name: string; readonly state: WorkerState }>();

  add({ change, id, name }: WorkerEvent): void {
    this.#states.set(id, { name, state: change === 'joined' ? 'at work' : change });
  }

  of({ id }: Pick<WorkerSoFar, 'id'>): WorkerState {
    return this.#states.get(id)?.state ?? 'at work';
  }

  /** Those that are late or lost, and not among `workers`: they had no part in the epoch yet. */
  awayBeside(workers: readonly Pick<WorkerSoFar, 'id'>[]): readonly WorkerSoFar[] {
    const isAway = (id: string, state: WorkerState) => state !== 'at work' && !workers.some((one) => one.id === id);
    return [...this.#states]
      .filter(([id, { state }]) => isAway(id, state))
      .map(([id, { name }]) => ({ id, name, engine: '', ...NO_WORK }));
  }

  /** Whether one of its name has come in its place: a process that was started again has another id. */
  isReplaced({ id, name }: Pick<WorkerSoFar, 'id' | 'name'>): boolean {
    if (this.of({ id }) !== 'lost') return false;
    return [...this.#states].some(([other, one]) => other !== id && one.name === name && one.state === 'at work');
  }
}

export interface BlockFacts {
  /** What the run does besides steps; undefined while it takes steps. */
  readonly doing: string | undefined;
  readonly progress: Progress | undefined;
  /** Since the last step. */
  readonly idleSeconds: number;
  readonly soFar: EpochSoFar | undefined;
  readonly states: WorkerStates;
  readonly verdict: string | undefined;
}

/** Lines of at most `columns` characters; about as many as go into `rows`. */
export function liveBlock(facts: BlockFacts, columns: number, rows: number): string {
  const { doing, progress, idleSeconds, soFar, states, verdict } = facts;
  const head = doing === undefined && progress ? progressLines(progress, idleSeconds, columns) : [doing ?? ''];
  const taking = soFar?.workers ?? [];
  const workers = [...taking, ...states.awayBeside(taking)].filter((worker) => !states.isReplaced(worker));
  const table = workers.length > 1 ? workerRows(workers, states, columns, rows - OTHER_LINES) : [];
  const judged = verdict === undefined ? [] : [fitVerdict(verdict, columns)];
  return [...head.map((line) => wrapText(line, columns)), ...table, ...judged].join('\n');
}

/** Where the run stands, in one line of `columns` characters. */
export function progressLine(progress: Progress, columns = Infinity): string {
  const [where, left] = placeOf(progress);
  return fitLine([...where, ...figuresOf(progress), left], columns);
}

/** The progress of the run: one line where the terminal is wide enough, else two. */
function progressLines(progress: Progress, idleSeconds: number, columns: number): string[] {
  const isLong = idleSeconds >= LONG_STEP_SECONDS;
  const idle = isLong ? [{ text: `this step: ${formatDuration(idleSeconds)} so far`, order: 5 }] : [];
  const [where, left] = placeOf(progress);
  const whole = fitLine([...where, ...figuresOf(progress), left, ...idle], Infinity);
  if (whole.length <= columns) return [whole];
  return [fitLine([...where, left, ...idle], columns), fitLine(figuresOf(progress), columns)];
}

const placeOf = ({ epoch, epochs, stepInEpoch, stepsPerEpoch, runSecondsLeft }: Progress) =>
  [
    [{ text: `epoch ${epoch}/${epochs}` }, { text: `step ${stepInEpoch}/${stepsPerEpoch}`, order: 1 }],
    { text: `run: ${formatDuration(runSecondsLeft)} left` },
  ] as const;

const figuresOf = ({ loss, trainAccuracy, samplesPerSecond }: Progress) => [
  { text: `loss ${loss.toFixed(4)}`, order: 2 },
  { text: `train acc ${trainAccuracy.toFixed(3)}`, order: 3 },
  { text: `${Math.round(samplesPerSecond)} samples/s`, order: 4 },
];

/** Rows in the order of joining; of many workers the slowest few, those that are late or lost first. */
function workerRows(
  workers: readonly WorkerSoFar[],
  states: WorkerStates,
  columns: number,
  mostRows: number,
): string[] {
  const allSamples = workers.reduce((sum, { workerSamples }) => sum + workerSamples, 0);
  const most = Math.max(1, Math.min(MOST_ROWS, mostRows));
  const isCut = workers.length > most;
  const shown = isCut ? slowestOf(workers, states).slice(0, Math.min(SLOWEST_FEW, most)) : workers;
  const cells = shown.map((worker) => cellsOf(worker, states.of(worker), allSamples));
  const rest = isCut ? [`  and ${workers.length - shown.length} more`] : [];
  return [...layOut(cells, columns), ...rest];
}

function slowestOf(workers: readonly WorkerSoFar[], states: WorkerStates): readonly WorkerSoFar[] {
  const isAway = (worker: WorkerSoFar) => (states.of(worker) === 'at work' ? 0 : 1);
  return [...workers].sort((a, b) => isAway(b) - isAway(a) || stepSecondsOf(b) - stepSecondsOf(a));
}

const stepSecondsOf = ({ workerStepSeconds, workerSteps }: WorkerSoFar) =>
  workerSteps === 0 ? 0 : workerStepSeconds / workerSteps;

/** A cell of a row; columns of the highest `order` give way first, those without one never. */
interface Cell {
  readonly text: string;
  readonly order?: number;
  readonly isNumber?: boolean;
}

function cellsOf(worker: WorkerSoFar, state: WorkerState, allSamples: number): Cell[] {
  const { name, engine, workerSamples, workerSteps, workerComputeSeconds } = worker;
  const share = allSamples === 0 ? 0 : workerSamples / allSamples;
  const inMs = (what: string, seconds: number) =>
    workerSteps === 0 ? '' : `${what} ${formatMs((1000 * seconds) / workerSteps)}`;
  return [
    { text: name },
    { text: engine, order: 4 },
    { text: `${Math.round(100 * share)} %`, order: 2, isNumber: true },
    { text: inMs('step', worker.workerStepSeconds), order: 1, isNumber: true },
    { text: inMs('compute', workerComputeSeconds), order: 3, isNumber: true },
    { text: state },
  ];
}

/** Rows as lines, their columns one below the other, as many columns as fit. Names are cut where that is not enough. */
function layOut(rows: readonly Cell[][], columns: number): string[] {
  const widths = rows[0]!.map((_, at) => Math.max(...rows.map((row) => row[at]!.text.length)));
  let kept = widths.map((_, at) => at);
  const widthOf = () => kept.reduce((sum, at) => sum + 2 + widths[at]!, 0);
  const orderOf = (at: number) => rows[0]![at]!.order ?? 0;
  while (widthOf() > columns) {
    const last = Math.max(...kept.map(orderOf));
    if (last === 0) break;
    kept = kept.filter((at) => orderOf(at) !== last);
  }
  const excess = widthOf() - columns;
  if (excess > 0) widths[0] = Math.max(1, widths[0]! - excess);
  return rows.map((row) => {
    const texts = kept.map((at) => pad(row[at]!, widths[at]!));
    return texts
      .map((text) => `  ${text}`)
      .join('')
      .trimEnd();
  });
}

const pad = ({ text, isNumber = false }: Cell, width: number) =>
  isNumber ? text.padStart(width) : cutTo(text, width).padEnd(width);

/** In two lines at most: where it is longer, without the advice. */
function fitVerdict(verdict: string, columns: number): string {
  const whole = wrapText(verdict, columns);
  return whole.split('\n').length <= 2 ? whole : wrapText(verdict.split('; ')[0]!, columns);
}
