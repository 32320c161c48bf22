/**
 * The view of a run from its folder: of a run that has ended, one that was killed, or one that is under way, which is then
 * followed. What the files say is told to a view builder, as a run tells it: there is one way from records to a view.
 *
 * The files may be of an older version, or be written at this moment: what cannot be read counts as not there. Nothing is
 * held but what the view has, however long the records are.
 */
import { readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { confusionEpochs } from '../run-directory/confusion-files.ts';
import { lockPresence } from '../run-directory/lock-presence.ts';
import type { LockPresence } from '../run-directory/lock-presence.ts';
import type { PartsInMs, PartsInSeconds } from '../reporting/flat-parts.ts';
import type { EpochRecord, Progress, RunResult } from '../reporting/reporter.ts';
import type { StepRecord } from '../reporting/step-record.ts';
import { STEP_PARTS } from '../reporting/step-sums.ts';
import { eventOf } from './folder-log.ts';
import { openGrownLines } from './grown-lines.ts';
import { configOf, epochRecordOf, isRaw, parse, resultOf, stepRecordOf } from './old-records.ts';
import type { RunHead, RunState, RunView } from './run-view.ts';
import { createViewBuilder } from './view-builder.ts';
import type { ViewBuilder } from './view-builder.ts';

export interface FolderView {
  /** Reads what is new. One call after the other; never rejects for what the files hold. */
  refresh(): Promise<RunView>;
}

/** Of the log: more than the events that a view keeps. */
const LOG_BYTES = 2 ** 18;
/** Larger ones are not read: no run writes such a configuration or result. */
const MOST_JSON_BYTES = 2 ** 24;

/** The view of the folder as it is now. */
export function viewOfFolder(folder: string): Promise<RunView> {
  return openFolderView(folder).refresh();
}

export function openFolderView(folder: string): FolderView {
  let reading = openReading(folder);
  const refresh = async (): Promise<RunView> => {
    // A run that is resumed cuts its records off: they are read anew.
    for (let attempt = 0; attempt < 3; attempt++) {
      if (await reading.readOn()) break;
      reading = openReading(folder);
    }
    return reading.builder.view();
  };
  let last: Promise<unknown> = Promise.resolve();
  return {
    refresh() {
      const next = last.then(refresh);
      last = next.catch(() => {});
      return next;
    },
  };
}

interface Reading {
  readonly builder: ViewBuilder;
  /** Returns false where what was read before has been cut off. */
  readOn(): Promise<boolean>;
}

function openReading(folder: string): Reading {
  const file = (name: string) => join(folder, name);
  const builder = createViewBuilder({ name: basename(resolve(folder)) });
  const records = openRecords(folder, builder);
  const log = openGrownLines(file('log.jsonl'), { lastBytes: LOG_BYTES });
  let configText: string | undefined;
  let resultText: string | undefined;
  let state: RunState | undefined;

  const readConfig = async () => {
    const text = await readSmall(file('config.json'));
    if (text === undefined || text === configText) return;
    const config = configOf(parse(text));
    // Torn, or no configuration: the next look may find a whole one.
    if (!config) return;
    configText = text;
    builder.configure(config, factsOf(parse(text)!));
  };
  const readEnd = async () => {
    const text = await readSmall(file('result.json'));
    const result = resultOf(text === undefined ? undefined : parse(text));
    const found = stateOf(await lockPresence(folder), result);
    if (result && found === result.status) {
      if (text !== resultText) builder.reporter.onEnd?.(result, folder);
      resultText = text;
    } else if (found !== state) {
      builder.setState(found);
    }
    // A result that no longer counts: the run was resumed.
    const isResumed = resultText !== undefined && found !== result?.status;
    state = found;
    return !isResumed;
  };

  return {
    builder,
    async readOn() {
      await readConfig();
      const areWhole = await records.readOn();
      const isLogWhole = await log.read((line) => {
        const event = eventOf(line);
        if (event) builder.say(event.text, event.tone, event.at);
      });
      const isSame = await readEnd();
      if (state === 'running') records.showProgress();
      return areWhole && isLogWhole !== 'cut' && isSame;
    },
  };
}

/** Tells the builder what the folder of a run has of epochs, steps and confusion matrices. Rejects for nothing there. */
export async function tellRecords(folder: string, builder: ViewBuilder): Promise<void> {
  await openRecords(folder, builder).readOn();
}

function openRecords(folder: string, builder: ViewBuilder) {
  const epochLines = openGrownLines(join(folder, 'epochs.jsonl'));
  const stepLines = openGrownLines(join(folder, 'steps.jsonl'));
  const merge = createMerge(builder);
  return {
    /** Returns false where what was read before has been cut off. */
    async readOn(): Promise<boolean> {
      const { lines, isWhole } = await newLinesOf(epochLines);
      const epochs = lines.flatMap((line) => epochRecordOf(line) ?? []);
      const steps = await stepLines.read((line) => merge.step(stepRecordOf(line), epochs));
      merge.epochs(epochs);
      for (const epoch of confusionsIn(folder)) merge.confusion(epoch);
      return isWhole && steps !== 'cut';
    },
    /** Where a run stands that is under way, by its last record. */
    showProgress: () => merge.showProgress(),
  };
}

/** Steps and epochs come from two files: they are told in their order. */
function createMerge(builder: ViewBuilder) {
  let last: EpochRecord | undefined;
  let lastStep: StepRecord | undefined;
  let shown: EpochRecord | StepRecord | undefined;
  const confusions = new Set<number>();
  const close = (record: EpochRecord) => {
    // Where no steps are recorded, an epoch is one point of the series.
    if (!lastStep) builder.reporter.onStep?.(stepsOf(record), []);
    builder.recordedEpoch(record);
    last = record;
  };
  return {
    /** `waiting`: epochs that are not told yet; those that ended before the step are taken out, and told. */
    step(record: StepRecord | undefined, waiting: EpochRecord[]) {
      if (!record) return;
      while (waiting[0] && waiting[0].epoch < record.epoch) close(waiting.shift()!);
      builder.reporter.onStep?.(record, []);
      lastStep = record;
    },
    epochs: (waiting: readonly EpochRecord[]) => waiting.forEach(close),
    confusion(epoch: number) {
      if (confusions.has(epoch)) return;
      confusions.add(epoch);
      builder.addConfusion(epoch);
    },
    /** Where a run stands that is under way, by its last record. */
    showProgress() {
      const isAhead = lastStep && lastStep.epoch > (last?.epoch ?? 0);
      const newest = isAhead ? lastStep : last;
      const config = builder.view().head.config;
      if (!newest || !config || newest === shown) return;
      shown = newest;
      const stepsPerEpoch = last?.steps ?? Math.max(1, lastStep?.stepInEpoch ?? 1);
      builder.reporter.onProgress?.(progressOf(newest, { stepsPerEpoch, epochs: config.epochs, last }));
    },
  };
}

/** The steps of an epoch that are known by its record alone: as one round of them all. */
function stepsOf(record: EpochRecord): StepRecord {
  const { epoch, steps, samples, loss, trainAccuracy, numWorkers } = record;
  const parts = STEP_PARTS.map(([part, field]) => [field, 1000 * record[`${part}PartSeconds` as keyof PartsInSeconds]]);
  return {
    ...{ epoch, loss, trainAccuracy, samples, numWorkers },
    step: epoch * steps,
    stepInEpoch: steps,
    steps: Math.max(1, steps - (record.stepsBeforeResume ?? 0)),
    endedAt: record.endedAt ?? '',
    learningRate: record.learningRate ?? 0,
    stepMs: 1000 * record.seconds,
    ...(Object.fromEntries(parts) as unknown as PartsInMs),
    bytesSent: record.bytesSent,
    bytesReceived: record.bytesReceived,
    sharedBytesSent: record.sharedBytesSent ?? 0,
    sharedBytesReceived: record.sharedBytesReceived ?? 0,
  };
}

interface Place {
  readonly stepsPerEpoch: number;
  readonly epochs: number;
  readonly last: EpochRecord | undefined;
}

function progressOf(record: EpochRecord | StepRecord, { stepsPerEpoch, epochs, last }: Place): Progress {
  const stepInEpoch = 'stepInEpoch' in record ? record.stepInEpoch : stepsPerEpoch;
  const done = record.epoch - 1 + Math.min(1, stepInEpoch / stepsPerEpoch);
  const epochSeconds = last ? last.seconds + last.evaluationSeconds : stepSecondsOf(record) * stepsPerEpoch;
  return {
    epoch: record.epoch,
    epochs,
    stepInEpoch,
    stepsPerEpoch: Math.max(stepInEpoch, stepsPerEpoch),
    loss: record.loss,
    trainAccuracy: record.trainAccuracy,
    samplesPerSecond: 'samplesPerSecond' in record ? record.samplesPerSecond : rateOf(record),
    runSecondsLeft: Math.max(0, epochs - done) * epochSeconds,
  };
}

const rateOf = ({ samples, stepMs }: StepRecord): number => (stepMs > 0 ? (1000 * samples) / stepMs : 0);
const stepSecondsOf = (record: EpochRecord | StepRecord): number => ('stepMs' in record ? record.stepMs / 1000 : 0);

/** A result counts unless a process took the lock after it was written. */
export function stateOf({ state, since }: LockPresence, result: RunResult | undefined): RunState {
  const isLater = result?.endedAt !== undefined && since !== undefined && result.endedAt >= since;
  if (result && (state === 'none' || isLater)) return result.status;
  return state === 'held' ? 'running' : 'stopped';
}

/** What `config.json` has besides the configuration. */
function factsOf(
  record: Readonly<Record<string, unknown>>,
): Partial<Pick<RunHead, 'startedAt' | 'command' | 'environment'>> {
  const origin = isRaw(record['origin']) ? record['origin'] : {};
  const { command, ...others } = origin;
  const environment = Object.entries(others).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return {
    ...(typeof record['startedAt'] === 'string' && { startedAt: record['startedAt'] }),
    ...(typeof command === 'string' && { command: `gradsock ${command}` }),
    ...(environment.length > 0 && { environment: Object.fromEntries(environment) }),
  };
}

function confusionsIn(folder: string): readonly number[] {
  try {
    return confusionEpochs(folder);
  } catch {
    return [];
  }
}

async function newLinesOf(file: { read(take: (line: string) => void): Promise<string> }) {
  const lines: string[] = [];
  const growth = await file.read((line) => lines.push(line));
  return { lines, isWhole: growth !== 'cut' };
}

/** Undefined for a file that is not there, cannot be read or is too large. */
async function readSmall(path: string): Promise<string | undefined> {
  try {
    const bytes = await readFile(path);
    return bytes.length <= MOST_JSON_BYTES ? bytes.toString() : undefined;
  } catch {
    return undefined;
  }
}
