/** A run's view from its folder: whatever state the folder is in. */
import { appendFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MOST_POINTS } from '../../../coordinator/dashboard/run-view.ts';
import { openFolderView, viewOfFolder } from '../../../coordinator/dashboard/view-of-folder.ts';
import { updateBetween } from '../../../coordinator/dashboard/view-update.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { epochRecord, runResult, stepRecord } from '../../helpers/records.ts';
import { appendEpoch, makeRunFolder } from '../../helpers/run-folders.ts';
import type { MadeRun } from '../../helpers/run-folders.ts';

const made = (run: MadeRun = {}) => makeRunFolder(join(temporaryFolder(), 'my-run'), run);

test('a finished run is shown with its records', async () => {
  const view = await viewOfFolder(made({ result: { status: 'completed', endedAt: '2026-11-29T11:00:00.000Z' } }));
  expect(view.head).toMatchObject({
    ...{ name: 'my-run', startedAt: '2026-11-29T10:00:00.000Z', command: 'gradsock train --workers 2' },
    environment: { gradsock: '1.0.0', node: 'v20' },
    config: { epochs: 2 },
  });
  expect(view.now).toMatchObject({
    state: 'completed',
    bytesSent: 2e6,
    bytesReceived: 4e6,
    result: { status: 'completed' },
  });
  expect(view.epochs.map(({ epoch, evaluationAccuracy }) => [epoch, evaluationAccuracy])).toEqual([
    [1, 1 - 0.32],
    [2, 1 - 0.16],
  ]);
  expect(view.workers.map(({ name, numSamples }) => [name, numSamples])).toEqual([
    ['local-1', 12_800],
    ['local-2', 12_800],
  ]);
  expect(view.events.at(-1)).toMatchObject({ at: '2026-11-29T11:00:00.000Z', text: 'completed' });
});

test('a state is that of the lock where the result does not tell it', async () => {
  const stateOf = async (run: MadeRun) => (await viewOfFolder(made(run))).now.state;
  const [before, after] = [{ endedAt: '2000-01-01T00:00:00.000Z' }, { endedAt: '2999-01-01T00:00:00.000Z' }];
  expect(await stateOf({ result: { status: 'failed' } })).toBe('failed');
  expect(await stateOf({ result: { status: 'interrupted' } })).toBe('interrupted');
  expect(await stateOf({ result: null })).toBe('stopped');
  expect(await stateOf({ result: null, lock: 'held' })).toBe('running');
  expect(await stateOf({ result: null, lock: 'left' })).toBe('stopped');
  // It was interrupted, and resumed; or its process has written the result, and not given the lock back.
  expect(await stateOf({ result: { status: 'interrupted', ...before }, lock: 'held' })).toBe('running');
  expect(await stateOf({ result: { status: 'completed', ...after }, lock: 'left' })).toBe('completed');
});

test('records of steps are thinned, and told between the epochs', async () => {
  const steps = Array.from({ length: 5000 }, (_, i) => stepRecord(i + 1, { stepsPerEpoch: 50 }));
  const epochs = Array.from({ length: 99 }, (_, i) => epochRecord(i + 1));
  const view = await viewOfFolder(made({ steps, epochs, result: null, lock: 'held' }));
  expect(view.series.length).toBeLessThanOrEqual(MOST_POINTS);
  expect(view.series.at(-1)).toMatchObject({ step: 5000, epochs: 100 });
  // The bytes of an epoch are counted once, and those of the steps since the last one.
  const sent = steps.slice(-50).reduce((sum, { bytesSent }) => sum + bytesSent, 0);
  expect(view.now.bytesSent).toBe(99e6 + sent);
  expect(view.now.progress).toMatchObject({ epoch: 100, stepInEpoch: 50 });
});

test('where no steps are recorded, an epoch is a point', async () => {
  const { series } = await viewOfFolder(made());
  expect(
    series.map(({ step, numSteps, stepMs, samplesPerSecond }) => [step, numSteps, stepMs, samplesPerSecond]),
  ).toEqual([
    [50, 50, 200, 1280],
    [100, 50, 200, 1280],
  ]);
});

test('a running run is followed: only what is new is an update', async () => {
  const path = made({ epochs: [epochRecord(1)], result: null, lock: 'held' });
  const folder = openFolderView(path);
  const first = await folder.refresh();
  expect(updateBetween(first, await folder.refresh())).toBeUndefined();
  writeFileSync(join(path, 'epochs.jsonl'), '{"epoch": 2, "lo', { flag: 'a' });
  expect(updateBetween(first, await folder.refresh())).toBeUndefined();
  writeFileSync(join(path, 'epochs.jsonl'), 'ss": 1}\n', { flag: 'a' });
  appendFileSync(join(path, 'log.jsonl'), '{"level":30,"time":1700000000000,"msg":"w1 (local-1) is ready"}\n');
  const second = await folder.refresh();
  const update = updateBetween(first, second);
  expect(update?.epochs).toMatchObject({ from: 1, items: [{ epoch: 2, loss: 1 }] });
  expect(update?.events?.items).toEqual([
    { at: '2023-11-14T22:13:20.000Z', tone: 'good', text: 'w1 (local-1) is ready' },
  ]);
  expect(update?.head).toBeUndefined();
  rmSync(join(path, 'lock'));
  writeFileSync(join(path, 'result.json'), JSON.stringify(runResult()));
  expect((await folder.refresh()).now).toMatchObject({ state: 'completed', result: { status: 'completed' } });
});

test('a run that is resumed is read anew: what was cut off is gone', async () => {
  const path = made({ epochs: [epochRecord(1), epochRecord(2)], result: { status: 'interrupted' } });
  const folder = openFolderView(path);
  expect((await folder.refresh()).epochs).toHaveLength(2);
  rmSync(join(path, 'result.json'));
  makeRunFolder(path, { epochs: [epochRecord(1)], result: null, lock: 'held' });
  const resumed = await folder.refresh();
  expect(resumed).toMatchObject({ now: { state: 'running' }, epochs: [{ epoch: 1 }] });
  expect(resumed.now.result).toBeUndefined();
  appendEpoch(path, epochRecord(2));
  expect((await folder.refresh()).epochs).toHaveLength(2);
});

test('records of version 0.1.0 are understood', async () => {
  const { epoch, loss, trainAccuracy, testLoss, testAccuracy, seconds, samples, steps } = epochRecord(1);
  const old = {
    ...{ epoch, loss, trainAccuracy, testLoss, testAccuracy, seconds, evaluationSeconds: 1, samples, steps },
    breakdown: { computeSeconds: 6, encodeSeconds: 1, wireSeconds: 2, waitSeconds: 0.5, otherSeconds: 0.5 },
    workers: [{ id: 'w1', engine: 'onnx', device: 'cpu', threads: 1, samples: 12_800, computeSeconds: 6 }],
  };
  const path = made({ epochs: [old], config: { accumulate: undefined, localSteps: undefined, shares: undefined } });
  const view = await viewOfFolder(path);
  expect(view.head.config).toMatchObject({ accumulate: 1, localSteps: 1, shares: 'auto' });
  expect(view.epochs[0]).toMatchObject({
    computePartSeconds: 6,
    applyPartSeconds: 0,
    numWorkers: 1,
    evaluationLoss: 1.1,
  });
  expect(view.workers[0]).toMatchObject({ id: 'w1', engine: 'onnx', computeMs: 120, numSamples: 12_800 });
});

test('what is no record is passed over', async () => {
  const path = made({ result: null });
  writeFileSync(join(path, 'config.json'), '{"model": 5');
  writeFileSync(join(path, 'result.json'), '[1, 2]');
  writeFileSync(join(path, 'log.jsonl'), 'no json\n{"time":"x","msg":1}\n{"time":1e300,"msg":"never"}\n');
  writeFileSync(join(path, 'steps.jsonl'), '{"step": 1}\n\n\0\0\0\n');
  appendFileSync(join(path, 'epochs.jsonl'), '{"epoch":"3"}\nnull\n{"epoch":3,"loss":"low","workers":[null,7]}\n');
  const view = await viewOfFolder(path);
  expect(view.head.config).toBeUndefined();
  expect(view.now.state).toBe('stopped');
  expect(view.epochs.map(({ epoch, loss }) => [epoch, loss])).toEqual([
    [1, 1],
    [2, 0.5],
    [3, 0],
  ]);
  expect(view.events).toEqual([]);
});

test('a folder that is gone is an empty run', async () => {
  const view = await viewOfFolder(join(temporaryFolder(), 'gone'));
  expect(view).toMatchObject({ head: { name: 'gone' }, now: { state: 'stopped' }, epochs: [], workers: [] });
});
