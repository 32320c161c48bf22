/**
 * ViewBuilder: makes a `RunView` of what a run's reporter is told. The live dashboard feeds it with a run, and a page over
 * a folder feeds it with the records there: so both show the same.
 *
 * A step only adds to sums. What a view needs besides is made when a view is asked for.
 */
import type { EpochRecord, Progress, Reporter } from '../reporting/reporter.ts';
import { StepSums } from '../reporting/step-sums.ts';
import { verdictOf } from '../reporting/verdict.ts';
import type { RunConfig } from '../run-config.ts';
import { createEventLog } from './event-log.ts';
import type { EventView, EpochView, ProgressView, RunHead, RunNow, RunState, RunView } from './run-view.ts';
import { createSeries } from './series.ts';
import { createWorkerRows } from './worker-rows.ts';
import { referenceOf } from './homework-curves.ts';

/** What is known of a run before it begins. */
export type RunFacts = Pick<RunHead, 'name' | 'startedAt' | 'command' | 'environment'>;

export interface ViewBuilder {
  readonly reporter: Reporter;
  /** The view as of now. What has not changed since the last call are the same objects. */
  view(): RunView;
  /** What the reporter is not told: where the run stands, a line among the events, epochs with a confusion matrix. */
  setState(state: RunState): void;
  say(text: string, tone?: EventView['tone'], at?: string): void;
  /** An epoch that this process has only the record of: it counts its time and bytes as if it had been there. */
  recordedEpoch(record: EpochRecord): void;
  addConfusion(epoch: number): void;
  /** The configuration, where it is known before the run begins. */
  configure(config: RunConfig, facts?: Partial<RunFacts>): void;
}

/** Until an epoch has taken this long, the verdict is that of the epoch before. */
const LEAST_SECONDS = 1;

export function createViewBuilder(facts: RunFacts): ViewBuilder {
  const series = createSeries();
  const rows = createWorkerRows();
  const log = createEventLog();
  let head: RunHead = { ...facts, classes: [], evaluates: 'test' };
  let state: RunState = 'preparing';
  let doing: string | undefined;
  let progress: Progress | undefined;
  let sums = new StepSums();
  let epochs: readonly EpochView[] = [];
  let confusions: readonly number[] = [];
  let result: RunNow['result'];
  let last: EpochRecord | undefined;
  /** Of the steps since the last epoch with a record. */
  const bytes = { sent: 0, received: 0 };
  let now: RunNow | undefined;

  const touch = () => (now = undefined);
  const setStepsPerEpoch = (steps: number) => {
    if (steps > (head.stepsPerEpoch ?? 0)) head = { ...head, stepsPerEpoch: steps };
  };
  const settleSteps = () => {
    if (sums.steps > 0) rows.worked(sums.workers, sums.steps);
    sums = new StepSums();
  };
  const closeEpoch = (record: EpochRecord) => {
    touch();
    [doing, last] = [undefined, record];
    epochs = [...epochs.filter(({ epoch }) => epoch < record.epoch), epochViewOf(record)];
    [bytes.sent, bytes.received] = [0, 0];
    setStepsPerEpoch(record.steps);
  };
  const configure: ViewBuilder['configure'] = (config, more = {}) => {
    touch();
    const { dataset, validationSamples, model } = config;
    const reference = referenceOf(config);
    head = {
      ...{ ...head, ...more, config },
      classes: dataset?.classes ?? Array.from({ length: model.numClasses }, (_, label) => String(label)),
      evaluates: validationSamples === undefined ? 'test' : 'validation',
      ...(reference && { reference }),
    };
  };
  const verdict = () => {
    const soFar = progress?.soFar?.();
    const spent = soFar && soFar.seconds >= LEAST_SECONDS ? soFar : (last ?? soFar);
    return spent && head.config ? verdictOf(spent, head.config) : undefined;
  };
  const nowView = (): RunNow => {
    const said = result ? last && head.config && verdictOf(last, head.config) : verdict();
    return {
      state,
      ...(doing !== undefined && { doing }),
      ...(progress && { progress: progressViewOf(progress) }),
      ...(said !== undefined && { verdict: said }),
      bytesSent: epochs.reduce((sum, { bytesSent }) => sum + bytesSent, bytes.sent),
      bytesReceived: epochs.reduce((sum, { bytesReceived }) => sum + bytesReceived, bytes.received),
      confusions,
      ...(result && { result }),
    };
  };

  return {
    reporter: {
      onStart(config) {
        configure(config);
        state = 'running';
      },
      onPhase(text) {
        touch();
        doing = text;
      },
      onProgress(at) {
        touch();
        [doing, progress] = [undefined, at];
      },
      onStep(record, contributions) {
        series.add(record);
        sums.add(record, contributions);
        bytes.sent += record.bytesSent;
        bytes.received += record.bytesReceived;
      },
      onEpoch: closeEpoch,
      onEvent(event) {
        if (event.kind === 'ready') rows.ready(event.worker, event.host, event.isBack);
        if (event.kind === 'worker') rows.changed(event);
        if (event.kind === 'control') {
          touch();
          state = event.state;
        }
        log.add(event);
      },
      onEnd(ended) {
        touch();
        [result, state, doing] = [ended, ended.status, undefined];
        const text = ended.error ? `failed: ${ended.error.message}` : ended.status;
        log.say(text, ended.error ? 'bad' : 'neutral', ended.endedAt);
      },
      onRefused() {
        touch();
        [state, doing] = ['failed', undefined];
      },
    },
    view() {
      if (progress) setStepsPerEpoch(progress.stepsPerEpoch);
      settleSteps();
      now ??= nowView();
      const points = series.points(head.stepsPerEpoch ?? 1);
      return { head, now, workers: rows.rows(), epochs, series: points, events: log.events() };
    },
    setState(changed) {
      touch();
      state = changed;
    },
    say: (text, tone, at) => log.say(text, tone, at),
    recordedEpoch(record) {
      closeEpoch(record);
      rows.recorded(record.workers, record.steps);
    },
    addConfusion(epoch) {
      touch();
      confusions = [...confusions.filter((one) => one < epoch), epoch];
    },
    configure,
  };
}

function progressViewOf(progress: Progress): ProgressView {
  const { epoch, epochs, stepInEpoch, stepsPerEpoch, loss, trainAccuracy, samplesPerSecond, runSecondsLeft } = progress;
  const step = (epoch - 1) * stepsPerEpoch + stepInEpoch;
  return { epoch, epochs, step, stepInEpoch, stepsPerEpoch, loss, trainAccuracy, samplesPerSecond, runSecondsLeft };
}

/** Fields of an epoch's record that a view has as they are. Records of older versions lack some. */
const KEPT = [
  ...['epoch', 'endedAt', 'learningRate', 'loss', 'trainAccuracy', 'seconds', 'evaluationSeconds', 'samples'],
  ...['samplesPerSecond', 'steps', 'stepsBeforeResume', 'bytesSent', 'bytesReceived', 'slowestWorker'],
  ...['slowestDelaySeconds', 'numWorkers', 'computePartSeconds', 'encodePartSeconds', 'wirePartSeconds'],
  ...['waitPartSeconds', 'reducePartSeconds', 'applyPartSeconds', 'otherPartSeconds'],
];

function epochViewOf(record: EpochRecord): EpochView {
  const kept = Object.fromEntries(Object.entries(record).filter(([name]) => KEPT.includes(name)));
  const { testLoss, testAccuracy, validationLoss, validationAccuracy } = record;
  return {
    ...(kept as unknown as EpochView),
    evaluationLoss: validationLoss ?? testLoss,
    evaluationAccuracy: validationAccuracy ?? testAccuracy,
  };
}
