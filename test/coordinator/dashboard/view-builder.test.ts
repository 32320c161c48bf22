/** A view says what the run's reporter was told; updates of it lead from one view to the next. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createEventLog } from '../../../coordinator/dashboard/event-log.ts';
import { referenceOf } from '../../../coordinator/dashboard/homework-curves.ts';
import { applyUpdate, MOST_EVENTS } from '../../../coordinator/dashboard/run-view.ts';
import type { RunView, ViewUpdate } from '../../../coordinator/dashboard/run-view.ts';
import { createViewBuilder } from '../../../coordinator/dashboard/view-builder.ts';
import { updateBetween } from '../../../coordinator/dashboard/view-update.ts';
import type { Contribution } from '../../../coordinator/reporting/contributions.ts';
import type { Progress } from '../../../coordinator/reporting/reporter.ts';
import { MODELS } from '../../../protocol/state/models.ts';
import { epochRecord, runResult, stepRecord } from '../../helpers/records.ts';
import { runConfig } from '../../helpers/cluster.ts';

const WORKERS = [1, 2].map((number) => ({
  ...{ id: `w${number}`, name: `local-${number}`, engine: 'native', device: 'cpu' },
  threads: 1,
}));
const contributions: readonly Contribution[] = [
  { worker: WORKERS[0]!, samples: 192, computeMs: 3, delayMs: 0 },
  { worker: WORKERS[1]!, samples: 64, computeMs: 4, delayMs: 1 },
];
const progressAt = (step: number): Progress => ({
  epoch: Math.ceil(step / 50),
  epochs: 2,
  stepInEpoch: ((step - 1) % 50) + 1,
  stepsPerEpoch: 50,
  loss: 1,
  trainAccuracy: 0.5,
  samplesPerSecond: 100,
  runSecondsLeft: 9,
});

/** A run of two epochs; `each` is called after everything that the reporter is told. */
function tell(each: (view: () => RunView) => void): RunView {
  const builder = createViewBuilder({ name: 'run-1' });
  const { reporter } = builder;
  const said = () => {
    each(() => builder.view());
  };
  said();
  for (const worker of WORKERS) {
    reporter.onEvent!({ kind: 'ready', worker, isBack: false, host: '10.0.0.1' });
    said();
  }
  reporter.onStart!(runConfig({ epochs: 2 }), WORKERS, '/runs/run-1', 0);
  for (let step = 1; step <= 100; step++) {
    reporter.onStep!(stepRecord(step), contributions);
    reporter.onProgress!(progressAt(step));
    if (step % 50 === 0) reporter.onEpoch!(epochRecord(step / 50));
    if (step === 60) {
      const lost = { change: 'lost', id: 'w2', name: 'local-2', host: '10.0.0.2', code: 'ERR_LOST' } as const;
      reporter.onEvent!({ kind: 'worker', ...lost, step });
    }
    said();
  }
  reporter.onEnd!(runResult(), '/runs/run-1');
  said();
  return builder.view();
}

test('a view has the workers, steps, epochs, bytes, events and result that were told', () => {
  const view = tell(() => {});
  expect(view.head).toMatchObject({ name: 'run-1', stepsPerEpoch: 50, evaluates: 'test' });
  expect(view.now).toMatchObject({ state: 'completed', bytesSent: 2e6, bytesReceived: 4e6, result: { steps: 100 } });
  expect(view.now.verdict).toMatch(/computing|communication/);
  expect(view.epochs.map(({ epoch, evaluationAccuracy }) => [epoch, evaluationAccuracy])).toEqual([
    [1, 1 - 0.32],
    [2, 1 - 0.16],
  ]);
  expect(view.series.reduce((sum, { numSteps }) => sum + numSteps, 0)).toBe(100);
  expect(view.workers).toMatchObject([
    { name: 'local-1', state: 'working', share: 0.75, computeMs: 3, delayMs: 0, numSamples: 19_200 },
    { name: 'local-2', state: 'lost', share: 0.25, computeMs: 4, delayMs: 1, numSamples: 6400 },
  ]);
  expect(view.events.map(({ tone, text }) => `${tone}: ${text}`)).toEqual([
    'neutral: local-1 is ready: native on cpu',
    'neutral: local-2 is ready: native on cpu',
    'bad: local-2 (10.0.0.2) is lost at step 60: ERR_LOST',
    'neutral: completed',
  ]);
});

test('updates, sent as JSON, lead from the first view to each later one', () => {
  let shown: RunView | undefined;
  let before: RunView | undefined;
  let numUpdates = 0;
  tell((view) => {
    const after = view();
    const update = before && updateBetween(before, after);
    if (update) numUpdates++;
    const sent = JSON.parse(JSON.stringify(update ?? {})) as ViewUpdate;
    shown = shown ? applyUpdate(shown, sent) : (JSON.parse(JSON.stringify(after)) as RunView);
    expect(shown).toEqual(JSON.parse(JSON.stringify(after)));
    before = after;
  });
  expect(numUpdates).toBeGreaterThan(100);
});

test('where nothing has changed there is no update, and after a step that is short', () => {
  const builder = createViewBuilder({ name: 'run-1' });
  for (let step = 1; step <= 5000; step++) builder.reporter.onStep!(stepRecord(step), contributions);
  const before = builder.view();
  expect(updateBetween(before, builder.view())).toBeUndefined();
  builder.reporter.onStep!(stepRecord(5001), contributions);
  const update = updateBetween(before, builder.view());
  expect(update!.series!.items).toHaveLength(1);
  expect(JSON.stringify(update).length).toBeLessThan(2000);
});

test('an epoch that is told again, as a resumed run does, replaces the first telling', () => {
  const builder = createViewBuilder({ name: 'run-1' });
  for (const epoch of [1, 2, 3, 2]) builder.recordedEpoch(epochRecord(epoch));
  expect(builder.view().epochs.map(({ epoch }) => epoch)).toEqual([1, 2]);
});

test('events of one kind that follow each other are one line with their number, and old lines are dropped', () => {
  const log = createEventLog();
  for (let i = 0; i < 5; i++) log.add({ kind: 'refused', reason: 'origin' });
  for (const step of [10, 20]) log.add({ kind: 'saved', step });
  log.add({ kind: 'reissued', reason: 'lost', numMicrobatches: 2 });
  log.add({ kind: 'reissued', reason: 'lost', numMicrobatches: 1 });
  expect(log.events().map(({ text }) => text)).toEqual([
    '5 connections refused: origin',
    'checkpoint of step 20',
    '3 microbatches given out again: their worker was lost',
  ]);
  for (let i = 0; i < MOST_EVENTS; i++) log.say(`line ${i}`);
  expect(log.events()).toHaveLength(MOST_EVENTS);
  expect(log.events()[0]!.text).toBe('line 0');
});

test('the curves of the homework are the recorded ones, for its models on Fashion-MNIST alone', () => {
  const path = 'docs/results/data/homework/homework.json';
  const { models } = JSON.parse(readFileSync(path, 'utf8')) as { models: Record<string, { epochs: number[][] }> };
  for (const [name, { epochs }] of Object.entries(models)) {
    const model = MODELS[name as keyof typeof MODELS];
    const { loss, trainAccuracy, testAccuracy } = referenceOf({ model, dataset: undefined })!;
    expect(epochs.map((_, i) => [i + 1, loss[i], trainAccuracy[i], testAccuracy[i]])).toEqual(
      epochs.map((row) => row.slice(0, 4)),
    );
  }
  const others = { name: 'other', source: '', shape: [1, 28, 28], classes: ['a'], sha256: 'ab'.repeat(32) } as const;
  expect(referenceOf({ model: MODELS.dense, dataset: others })).toBeUndefined();
});
