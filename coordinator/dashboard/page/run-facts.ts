/** What the page says of a run in words and rows: its state, its figures, its configuration. */
import { countOf } from '../../../protocol/counts.ts';
import type { RunConfig } from '../../run-config.ts';
import type { RunState, RunView } from '../run-view.ts';
import { formatBytes, formatCount, formatMs, formatNumber, formatPercent } from './format.ts';

const ENDED: readonly RunState[] = ['completed', 'failed', 'interrupted', 'stopped'];

/** Whether nothing more is to be expected of the run. */
export const hasEnded = (state: RunState): boolean => ENDED.includes(state);

const STATES: Readonly<Record<RunState, string>> = {
  preparing: 'preparing',
  running: 'running',
  pausing: 'pausing after this step',
  paused: 'paused',
  stopping: 'stopping after this epoch',
  completed: 'completed',
  failed: 'failed',
  interrupted: 'interrupted',
  stopped: 'stopped: nothing tells how it ended',
};

export const stateText = (state: RunState): string => STATES[state];

/** Part of the run that is done, 0 to 1. */
export function partDone({ now, epochs, head }: RunView): number {
  if (now.state === 'completed') return 1;
  const { progress } = now;
  if (progress) return (progress.epoch - 1 + progress.stepInEpoch / progress.stepsPerEpoch) / progress.epochs;
  return head.config && head.config.epochs > 0 ? epochs.length / head.config.epochs : 0;
}

export interface Figure {
  readonly label: string;
  readonly value: string;
  /** What the value is of, or what it is compared with. */
  readonly note: string;
}

/** The figures that one looks at first; a figure that the run cannot have is not among them. */
export function keyFigures({ head, now, epochs, series }: RunView): readonly Figure[] {
  const { progress } = now;
  const last = epochs.at(-1);
  const point = series.at(-1);
  const isLive = progress !== undefined && !hasEnded(now.state);
  const ofEpoch = isLive ? `epoch ${progress.epoch} so far` : last ? `epoch ${last.epoch}` : '';
  const source = isLive ? progress : last;
  const figures: Figure[] = [
    { label: 'Training loss', value: formatNumber(source?.loss), note: ofEpoch },
    { label: 'Training accuracy', value: formatPercent(source?.trainAccuracy), note: ofEpoch },
  ];
  const evaluated = epochs.filter(({ evaluationAccuracy }) => evaluationAccuracy !== null);
  const newest = evaluated.at(-1);
  if (newest || epochs.length === 0) {
    const best = evaluated.reduce((a, b) => (b.evaluationAccuracy! > a.evaluationAccuracy! ? b : a), evaluated[0]!);
    figures.push({
      label: head.evaluates === 'test' ? 'Test accuracy' : 'Validation accuracy',
      value: formatPercent(newest?.evaluationAccuracy),
      note: newest ? `best ${formatPercent(best.evaluationAccuracy)}, epoch ${best.epoch}` : 'after the first epoch',
    });
  }
  figures.push(
    { label: 'Throughput', value: formatCount(source?.samplesPerSecond), note: 'samples per second' },
    {
      label: 'Step',
      value: formatMs(point?.stepMs),
      note: point ? `compute ${formatPercent(point.computePartMs / point.stepMs, 0)}` : '',
    },
    {
      label: 'To workers',
      value: formatBytes(now.bytesSent),
      note: point ? `${formatBytes(point.bytesSent)} a step` : '',
    },
    {
      label: 'From workers',
      value: formatBytes(now.bytesReceived),
      note: point ? `${formatBytes(point.bytesReceived)} a step` : '',
    },
  );
  return figures;
}

/** The configuration as rows of a table: what it is called, and its value in words. Defaults that do nothing are omitted. */
export function configurationRows(config: RunConfig): readonly (readonly [name: string, value: string])[] {
  const { model, dataset, optimizer, schedule, augmentation, initFrom } = config;
  const rows: (readonly [string, string | undefined])[] = [
    ['Model', `${model.name}: ${countOf(model.layers.length, 'layer')}, input ${model.input.join('×')}`],
    [
      'Dataset',
      dataset && `${dataset.name}: ${dataset.shape.join('×')}, ${countOf(dataset.classes.length, 'class', 'classes')}`,
    ],
    ['Epochs', String(config.epochs)],
    ['Workers at the start', String(config.workers)],
    ['Global batch', countOf(config.globalBatch, 'sample')],
    ['Microbatches', String(config.microbatches)],
    ['Accumulated batches', config.accumulate > 1 ? String(config.accumulate) : undefined],
    ['Local steps', config.localSteps > 1 ? String(config.localSteps) : undefined],
    ['Optimizer', describe(optimizer, UNUSED[optimizer.name])],
    ['Schedule', describe(schedule, UNUSED[schedule.name])],
    ['All-reduce', config.allReduce],
    ['Wire format', config.wire],
    ['Shares', config.shares],
    ['Seed', String(config.seed)],
    ['Training samples', known(config.trainSamples, formatCount)],
    ['Test samples', known(config.testSamples, formatCount)],
    ['Validation samples', known(config.validationSamples, formatCount)],
    ['Label smoothing', known(config.labelSmoothing, String)],
    ['Augmentation', augmentation && describe(augmentation)],
    ['Initial model', initFrom?.source],
    ['Stops at step', known(config.maxSteps, formatCount)],
    ['Step timeout', `${config.stepTimeoutSeconds} s`],
  ];
  return rows.filter((row): row is readonly [string, string] => row[1] !== undefined && row[1] !== '');
}

const known = (value: number | undefined, format: (value: number) => string): string | undefined =>
  value === undefined ? undefined : format(value);

const MOMENTS = ['beta1', 'beta2', 'epsilon'];
/** Fields of optimizers and schedules that these do not use. */
const UNUSED: Readonly<Record<RunConfig['optimizer']['name'] | RunConfig['schedule']['name'], readonly string[]>> = {
  sgd: MOMENTS,
  adam: ['momentum', 'nesterov'],
  adamw: ['momentum', 'nesterov'],
  constant: ['decayEpochs', 'decayFactor', 'finalFactor'],
  step: ['finalFactor'],
  cosine: ['decayEpochs', 'decayFactor'],
};

/** "sgd, momentum 0.9, nesterov": fields of 0, false and undefined are omitted. */
function describe(
  fields: Readonly<Record<string, string | number | boolean | undefined>>,
  unused: readonly string[] = [],
): string {
  const parts = Object.entries(fields).flatMap(([name, value]) => {
    if (value === undefined || value === 0 || value === false || unused.includes(name)) return [];
    if (name === 'name') return [`${value}`];
    const words = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
    return value === true ? [words] : [`${words} ${value}`];
  });
  return parts.join(', ');
}
