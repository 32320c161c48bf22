import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { afterEach, expect, test } from 'vitest';
import { createMlflowClient } from '../../../coordinator/reporting/mlflow-client.ts';
import { createMlflowSubscriber, parametersOf } from '../../../coordinator/reporting/mlflow.ts';
import { runConfig } from '../../helpers/cluster.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { beginOrResume, epochRecordsOf } from '../../helpers/small-run.ts';

interface Tracked {
  readonly params: Map<string, string>;
  readonly metrics: { key: string; value: number; step: number; timestamp: number }[];
  readonly statuses: string[];
}

type Body = Record<string, unknown>;

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** A tracking server with MLflow's limits, and its habit of refusing a parameter that changes. */
async function trackingServer({ failing = () => false }: { failing?: () => boolean } = {}) {
  const runs = new Map<string, Tracked>();
  const authorizations = new Set<string | undefined>();
  const experiments = new Map<string, string>();
  let numBatches = 0;
  const answer = (path: string, body: Body): [number, object] => {
    const refusal = (code: string): [number, object] => [
      code === 'RESOURCE_DOES_NOT_EXIST' ? 404 : 400,
      { error_code: code },
    ];
    if (path.startsWith('experiments/get-by-name')) {
      const id = experiments.get(new URLSearchParams(path.split('?')[1]).get('experiment_name')!);
      return id === undefined ? refusal('RESOURCE_DOES_NOT_EXIST') : [200, { experiment: { experiment_id: id } }];
    }
    if (path === 'experiments/create') {
      const id = String(experiments.size + 1);
      experiments.set(body['name'] as string, id);
      return [200, { experiment_id: id }];
    }
    if (path === 'runs/create') {
      const id = `run-${runs.size + 1}`;
      runs.set(id, { params: new Map(), metrics: [], statuses: ['RUNNING'] });
      return [200, { run: { info: { run_id: id } } }];
    }
    const run = runs.get(body['run_id'] as string);
    if (!run) return refusal('RESOURCE_DOES_NOT_EXIST');
    if (path === 'runs/update') {
      run.statuses.push(body['status'] as string);
      return [200, {}];
    }
    numBatches++;
    const { params = [], metrics = [] } = body as {
      params?: { key: string; value: string }[];
      metrics?: Tracked['metrics'];
    };
    if (params.length > 100 || metrics.length > 1000) return refusal('INVALID_PARAMETER_VALUE');
    for (const { key, value } of params) {
      if (run.params.has(key) || value.length > 500) return refusal('INVALID_PARAMETER_VALUE');
      run.params.set(key, value);
    }
    run.metrics.push(...metrics);
    return [200, {}];
  };
  const server = createServer((request, response) => {
    const respond = (body: Body) => {
      authorizations.add(request.headers.authorization);
      const path = request.url!.replace('/api/2.0/mlflow/', '');
      const [status, text] = failing() ? [503, { error_code: 'TEMPORARILY_UNAVAILABLE' }] : answer(path, body);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(text));
    };
    if (request.method === 'GET') respond({});
    else void json(request).then((body) => respond(body as Body));
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const uri = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { uri, runs, experiments, authorizations, numBatches: () => numBatches };
}

const silent = { environment: {}, warn: () => {} };

test('a run is in MLflow with its settings, the figures of its epochs and its end', async () => {
  const { uri, runs, experiments } = await trackingServer();
  const runDir = join(temporaryFolder(), 'run');
  await beginOrResume(runDir, { subscribers: [createMlflowSubscriber({ uri, ...silent })] });
  expect([...experiments.keys()]).toEqual(['gradsock']);
  const { params, metrics, statuses } = runs.get('run-1')!;
  expect(Object.fromEntries(params)).toMatchObject({
    model: 'tiny',
    dataset: 'made up',
    epochs: '2',
    'optimizer.momentum': '0.9',
  });
  expect(statuses).toEqual(['RUNNING', 'FINISHED']);
  for (const record of epochRecordsOf(runDir)) {
    const ofEpoch = Object.fromEntries(
      metrics.filter(({ step }) => step === record.epoch).map(({ key, value }) => [key, value]),
    );
    const { loss, trainAccuracy, testAccuracy, seconds, learningRate } = record;
    expect(ofEpoch).toMatchObject({ loss, trainAccuracy, testAccuracy, seconds, learningRate });
  }
  expect(metrics.every(({ timestamp }) => Math.abs(timestamp - Date.now()) < 600_000)).toBe(true);
});

test('a run that is resumed goes on in the same one; an interrupted one is KILLED', async () => {
  const { uri, runs } = await trackingServer();
  const runDir = join(temporaryFolder(), 'run');
  const interrupting = new AbortController();
  const subscribers = () => [
    createMlflowSubscriber({ uri, ...silent }),
    { onEpoch: () => interrupting.abort(new Error('interrupted')) },
  ];
  await beginOrResume(runDir, { signal: interrupting.signal, subscribers: subscribers() });
  await beginOrResume(runDir, { subscribers: subscribers() });
  expect([...runs.keys()]).toEqual(['run-1']);
  const { statuses, metrics } = runs.get('run-1')!;
  expect(statuses).toEqual(['RUNNING', 'KILLED', 'RUNNING', 'FINISHED']);
  expect(metrics.filter(({ key }) => key === 'loss').map(({ step }) => step)).toEqual([1, 2]);
});

test('a server that is away costs one warning; what was missed is sent when it is back', async () => {
  let isAway = true;
  const { uri, runs } = await trackingServer({ failing: () => isAway });
  const warnings: string[] = [];
  const runDir = join(temporaryFolder(), 'run');
  const back = {
    onEnd: () => {
      isAway = false;
    },
  };
  const subscriber = createMlflowSubscriber({ uri, environment: {}, warn: (line) => warnings.push(line) });
  const result = await beginOrResume(runDir, { subscribers: [back, subscriber] });
  expect(result.status).toBe('completed');
  expect(warnings.length).toBeLessThanOrEqual(1);
  expect(
    runs
      .get('run-1')!
      .metrics.filter(({ key }) => key === 'loss')
      .map(({ step }) => step),
  ).toEqual([1, 2]);
  expect(runs.get('run-1')!.statuses).toEqual(['RUNNING', 'FINISHED']);
});

test('batches stay within what the server takes, and values too', async () => {
  const { uri, runs, numBatches } = await trackingServer();
  const client = createMlflowClient({ uri, environment: {}, timeoutMs: 5_000 });
  const id = await client.createRun('x', 'name', 0);
  await client.logMetrics(
    id,
    Array.from({ length: 2_500 }, (_, step) => ({ key: 'loss', value: 1, timestamp: 0, step })),
  );
  await client.logParameters(id, Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`p${i}`, 'x'.repeat(900)])));
  expect(numBatches()).toBe(5);
  expect(runs.get(id)!.metrics.length).toBe(2_500);
  expect(runs.get(id)!.params.size).toBe(150);
});

test.each([
  [{ MLFLOW_TRACKING_TOKEN: 'abc' }, '', 'Bearer abc'],
  [{ MLFLOW_TRACKING_USERNAME: 'me', MLFLOW_TRACKING_PASSWORD: 'pass' }, '', 'Basic bWU6cGFzcw=='],
  [{}, 'me:pass@', 'Basic bWU6cGFzcw=='],
])('the server knows who sends: %j', async (environment, user, expected) => {
  const { uri, authorizations } = await trackingServer();
  const client = createMlflowClient({ uri: uri.replace('//', `//${user}`), environment, timeoutMs: 5_000 });
  await client.createRun('x', 'name', 0);
  expect([...authorizations]).toEqual([expected]);
});

test('a URI of no server is refused; parameters are flat texts', () => {
  expect(() => createMlflowSubscriber({ uri: './mlruns', ...silent })).toThrow(
    '--mlflow ./mlruns: expected the URL of a tracking server',
  );
  const parameters = parametersOf(runConfig());
  expect(parameters['schedule.learningRate']).toBe('0.05');
  expect(Object.values(parameters).every((value) => typeof value === 'string')).toBe(true);
});
