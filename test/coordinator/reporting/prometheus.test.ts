/** The metrics of a run say what its records say. */
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createPrometheus } from '../../../coordinator/reporting/prometheus.ts';
import type { EpochRecord, Reporter } from '../../../coordinator/reporting/reporter.ts';
import type { StepRecord } from '../../../coordinator/reporting/step-record.ts';
import { createEntrance } from '../../../coordinator/server/entrance.ts';
import { startServer } from '../../../coordinator/server/server.ts';
import { textPage } from '../../../coordinator/server/text-page.ts';
import type { EngineOptions } from '../../../worker/engines/engine.ts';
import { createReferenceEngine } from '../../../worker/engines/reference/reference-engine.ts';
import { connectToCoordinator } from '../../../worker/connection/client.ts';
import { runWorkerSession } from '../../../worker/session.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { byLabel, parseMetrics } from '../../helpers/metrics-text.ts';
import { beginOrResume } from '../../helpers/small-run.ts';
import { never } from '../../helpers/sockets.ts';
import { NO_WORKERS } from '../../../coordinator/reporting/reported-event.ts';

const BUILD = { version: '1.2.3', node: 'v20' };

/** A run of two workers over sockets; the second one's engine fails in its third step. Returns what was told, and scraped. */
async function scrapedRun() {
  const prometheus = createPrometheus(BUILD);
  const steps: StepRecord[] = [];
  const epochs: EpochRecord[] = [];
  const recorder = {
    onStep: (record: StepRecord) => void steps.push(record),
    onEpoch: (record: EpochRecord) => void epochs.push(record),
  };
  const pages = new Map([['/metrics', textPage({ ...prometheus, rule: 'anyone', keepMs: 0 })]]);
  const entrance = createEntrance((admit) => startServer({ host: '127.0.0.1', port: 0 }, () => ({}), admit, { pages }));
  await entrance.take();
  onTestFinished(() => entrance.close());
  const scrape = async () => {
    const response = await fetch(`${entrance.joinUrl.replace('ws', 'http')}/metrics`);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    return parseMetrics(await response.text());
  };
  const before = await scrape();
  const createEngine = async (index: number, options: Omit<EngineOptions, 'device' | 'threads'>) => {
    const engine = await createReferenceEngine({ ...options, threads: 1 });
    let count = 0;
    return {
      ...engine,
      computeGradient(...given: Parameters<typeof engine.computeGradient>) {
        if (index === 1 && ++count === 3) throw new Error('out of order');
        return engine.computeGradient(...given);
      },
    };
  };
  await beginOrResume(join(temporaryFolder(), 'run'), {
    stepsPerEpoch: 4,
    changes: { workers: 2 },
    subscribers: [prometheus.reporter, recorder],
    async summonWorkers({ membership, samples }) {
      entrance.open((transport, isSameMachine) => membership.admit(transport, isSameMachine));
      const sessions: Promise<unknown>[] = [];
      for (const index of [0, 1]) {
        const transport = await connectToCoordinator(entrance.joinUrl, never());
        const session = runWorkerSession(transport, {
          name: `worker-${index}`,
          loadDataset: () => Promise.resolve(samples),
          createEngine: (options) => createEngine(index, options),
        });
        sessions.push(session);
        session.catch(() => {});
      }
      return { stop: () => Promise.allSettled(sessions).then(() => {}) };
    },
  });
  return { before, after: await scrape(), steps, epochs };
}

test('what is scraped from a run equals its records of steps and epochs', async () => {
  const { before, after, steps, epochs } = await scrapedRun();
  const sum = (of: (record: StepRecord) => number) => steps.reduce((total, record) => total + of(record), 0);

  expect(byLabel(before, 'gradsock_run_state')).toMatchObject({ waiting: 1, training: 0 });
  expect(before.get('gradsock_steps_total')).toBe(0);
  expect(before.has('gradsock_epoch')).toBe(false);

  expect(after.get('gradsock_steps_total')).toBe(8);
  expect(after.get('gradsock_samples_total')).toBe(64);
  expect(after.get('gradsock_step_duration_seconds_count')).toBe(steps.length);
  expect(after.get('gradsock_step_duration_seconds_sum')).toBeCloseTo(sum(({ stepMs }) => stepMs) / 1000, 9);
  const parts = byLabel(after, 'gradsock_step_part_seconds_total');
  expect(parts.compute).toBeCloseTo(sum(({ computePartMs }) => computePartMs) / 1000, 9);
  expect(Object.keys(parts).sort()).toEqual(['apply', 'compute', 'encode', 'other', 'reduce', 'wait', 'wire']);
  const partsSum = Object.values(parts).reduce((total, seconds) => total + seconds, 0);
  expect(partsSum).toBeCloseTo(epochs[0]!.seconds + epochs[1]!.seconds, 6);
  expect(after.get('gradsock_network_transmit_bytes_total')).toBe(sum(({ bytesSent }) => bytesSent));
  expect(after.get('gradsock_network_receive_bytes_total')).toBe(sum(({ bytesReceived }) => bytesReceived));

  const [, last] = epochs;
  expect(byLabel(after, 'gradsock_loss')).toEqual({ train: last!.loss, test: last!.testLoss });
  expect(byLabel(after, 'gradsock_accuracy_ratio')).toEqual({ train: last!.trainAccuracy, test: last!.testAccuracy });
  expect(after.get('gradsock_learning_rate')).toBe(last!.learningRate);
  expect(after.get('gradsock_epoch')).toBe(2);
  expect(after.get('gradsock_epochs_planned')).toBe(2);
  expect(byLabel(after, 'gradsock_run_state')).toMatchObject({ completed: 1, waiting: 0, training: 0, evaluating: 0 });
  expect(after.get('gradsock_build_info{version="1.2.3",node="v20"}')).toBe(1);
});

test('the workers of a run, what one of them lost, and its checkpoint are scraped', async () => {
  const startSeconds = Date.now() / 1000;
  const { after, epochs } = await scrapedRun();
  const samples = byLabel(after, 'gradsock_worker_samples_total');
  expect(Object.keys(samples).sort()).toEqual(['w1', 'w2']);
  expect(samples.w1! + samples.w2!).toBe(64);
  const computed = (id: string) =>
    epochs.flatMap(({ workers }) => workers.filter((worker) => worker.id === id).map((w) => w.workerComputeSeconds));
  for (const [id, seconds] of Object.entries(byLabel(after, 'gradsock_worker_compute_seconds_total'))) {
    expect(seconds).toBeCloseTo(
      computed(id).reduce((total, one) => total + one, 0),
      9,
    );
  }
  expect(byLabel(after, 'gradsock_microbatches_reissued_total')).toEqual({
    lost: 1,
    late: 0,
    not_finite: 0,
    ring_broken: 0,
  });
  expect(byLabel(after, 'gradsock_workers')).toEqual({ working: 1, catching_up: 0, standing_by: 0, waiting: 0 });
  expect(byLabel(after, 'gradsock_worker_reconnects_total')).toEqual({ w1: 0, w2: 0 });
  const info = [...after.keys()].filter((key) => key.startsWith('gradsock_worker_info'));
  expect(info.sort().map((key) => key.replace(/name="worker-\d"/, 'name'))).toEqual([
    'gradsock_worker_info{worker="w1",name,engine="reference",device="cpu"}',
    'gradsock_worker_info{worker="w2",name,engine="reference",device="cpu"}',
  ]);
  const savedAt = after.get('gradsock_checkpoint_last_success_timestamp_seconds')!;
  expect(savedAt).toBeGreaterThanOrEqual(startSeconds);
  expect(savedAt).toBeLessThanOrEqual(Date.now() / 1000);
});

const workerOf = (id: string, engine = 'native') => ({ id, name: `name of ${id}`, engine, device: 'cpu', threads: 1 });

test('labels come from members alone, a bounded number of them', async () => {
  const { reporter, text } = createPrometheus(BUILD, 2);
  for (const id of ['w1', 'w2', 'w3', 'w4']) {
    reporter.onEvent!({ kind: 'ready', worker: workerOf(id), isBack: false, host: '10.0.0.1' });
  }
  reporter.onEvent!({ kind: 'ready', worker: workerOf('w4'), isBack: true, host: '10.0.0.1' });
  const values = parseMetrics(await text());
  expect(byLabel(values, 'gradsock_worker_samples_total')).toEqual({ w1: 0, w2: 0, other: 0 });
  expect(byLabel(values, 'gradsock_worker_reconnects_total')).toEqual({ w1: 0, w2: 0, other: 1 });
  expect([...values.keys()].filter((key) => key.includes('_info{worker'))).toHaveLength(2);
});

test('a worker that comes back is one worker, with the engine that it has now; a name cannot break a line', async () => {
  const { reporter, text } = createPrometheus(BUILD);
  reporter.onEvent!({ kind: 'ready', worker: { ...workerOf('w1'), name: 'a "b"\\' }, isBack: false, host: '10.0.0.1' });
  reporter.onEvent!({
    kind: 'ready',
    worker: { ...workerOf('w1', 'onnx'), name: 'a "b"\\' },
    isBack: true,
    host: '10.0.0.1',
  });
  const values = parseMetrics(await text());
  expect(values.get('gradsock_worker_reconnects_total{worker="w1"}')).toBe(1);
  expect([...values.keys()].filter((key) => key.startsWith('gradsock_worker_info'))).toEqual([
    'gradsock_worker_info{worker="w1",name="a \\"b\\"\\\\",engine="onnx",device="cpu"}',
  ]);
});

test('refused connections are counted by their reason', async () => {
  const { reporter, text } = createPrometheus(BUILD);
  for (const reason of ['ERR_UNAUTHENTICATED', 'ERR_UNAUTHENTICATED', 'origin', 'connection_limit'] as const) {
    reporter.onEvent!({ kind: 'refused', reason });
  }
  expect(byLabel(parseMetrics(await text()), 'gradsock_connections_refused_total')).toEqual({
    unauthenticated: 2,
    origin: 1,
    connection_limit: 1,
  });
});

test('a run without a worker waits, and evaluates between its last step and the end of an epoch', async () => {
  const { reporter, text } = createPrometheus(BUILD);
  const stateNow = async () => {
    const states = Object.entries(byLabel(parseMetrics(await text()), 'gradsock_run_state'));
    return states.filter(([, value]) => value === 1).map(([state]) => state);
  };
  let working = 1;
  const census = () => ({ working, catching_up: 0, standing_by: 0, waiting: 0 });
  reporter.onPhase!('waiting for workers');
  expect(await stateNow()).toEqual(['waiting']);
  reporter.onEvent!({ kind: 'gathering', census });
  reporter.onStart!(...([{ epochs: 1 }, [], undefined, 0] as unknown as Parameters<NonNullable<Reporter['onStart']>>));
  expect(await stateNow()).toEqual(['training']);
  working = 0;
  expect(await stateNow()).toEqual(['waiting']);
  working = 1;
  reporter.onPhase!('evaluating epoch 1');
  expect(await stateNow()).toEqual(['evaluating']);
});

test('a run that a person has paused is paused, until it goes on or ends', async () => {
  const { reporter, text } = createPrometheus(BUILD);
  const stateNow = async () => {
    const states = Object.entries(byLabel(parseMetrics(await text()), 'gradsock_run_state'));
    return states.filter(([, value]) => value === 1).map(([state]) => state);
  };
  reporter.onEvent!({ kind: 'gathering', census: () => ({ ...NO_WORKERS, working: 1 }) });
  reporter.onStart!(...([{ epochs: 1 }, [], undefined, 0] as unknown as Parameters<NonNullable<Reporter['onStart']>>));
  for (const [state, expected] of [
    ['pausing', 'training'],
    ['paused', 'paused'],
    ['running', 'training'],
    ['paused', 'paused'],
    ['stopping', 'training'],
    ['paused', 'paused'],
  ] as const) {
    reporter.onEvent!({ kind: 'control', state });
    expect(await stateNow()).toEqual([expected]);
  }
  reporter.onEnd!({ status: 'interrupted' } as never, undefined);
  expect(await stateNow()).toEqual(['interrupted']);
});
