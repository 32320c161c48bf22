/** The library's two sides of a run: a coordinator and workers, over sockets, in one process. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { viewKeyOf } from '../../../coordinator/server/view-access.ts';
import { packageVersion } from '../../../scripts/process.ts';
import { ConfigError, startCoordinator, startWorker, train } from '../../../scripts/library/index.ts';
import type { CoordinatorOptions, ModelSpec, RunEvent } from '../../../scripts/library/index.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { barsData } from './bars.ts';

const MODEL: ModelSpec = {
  name: 'bars',
  input: [1, 6, 6],
  numClasses: 2,
  layers: [{ kind: 'flatten' }, { kind: 'dense', units: 2, activation: 'none' }],
};

const RUN = {
  model: MODEL,
  data: barsData(),
  epochs: 2,
  globalBatch: 32,
};

const LISTENING = { ...RUN, listen: '127.0.0.1:0' } satisfies CoordinatorOptions;

/** Nothing is kept in the cache of the user who runs the tests. */
const WORKER = { engine: 'reference', keepData: false, reconnect: 0 };

describe('a coordinator', () => {
  test('takes workers of its own process, and computes what a single node does', async () => {
    const events: RunEvent['kind'][] = [];
    const lines: string[] = [];
    const runDir = join(temporaryFolder(), 'run');
    const coordinator = await startCoordinator({ ...LISTENING, runDir, onEvent: ({ kind }) => events.push(kind) });
    expect(coordinator.joinUrl).toBe(`ws://127.0.0.1:${coordinator.port}/#${coordinator.listening!.token!}`);
    const { joinUrl: url } = coordinator;
    const workers = ['one', 'two'].map((name) => {
      return startWorker({ ...WORKER, url, name, onProgress: (line) => lines.push(line) });
    });
    const { result, model } = await coordinator.finished;
    expect(await Promise.all(workers.map(({ finished }) => finished))).toEqual(Array(2).fill('the run is completed'));
    const alone = await train({ ...RUN, engine: 'reference', microbatches: 2 });
    expect(result).toMatchObject({ status: 'completed', epochs: 2 });
    expect(result.parametersSha256).toBe(alone.result.parametersSha256);
    expect(model!.spec).toEqual(MODEL);
    expect(events.filter((kind) => kind !== 'phase')).toEqual(['prepared', 'listening', 'started', 'ended']);
    expect(lines.filter((line) => line.startsWith('took part in 12 steps'))).toHaveLength(2);
    expect(readdirSync(runDir)).toEqual(expect.arrayContaining(['result.json', 'token', 'model.safetensors']));
  });

  test('on loopback shows its metrics to everyone, before there is a worker', async () => {
    const coordinator = await startCoordinator(LISTENING);
    const response = await fetch(`http://127.0.0.1:${coordinator.port}/metrics`);
    const text = await response.text();
    await coordinator.stop();
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(text).toContain('\ngradsock_run_state{state="waiting"} 1\n');
    expect(text).toContain(`\ngradsock_build_info{version="${packageVersion()}",node="${process.version}"} 1\n`);
    expect(text).not.toContain(coordinator.listening!.token!);
  });

  test('elsewhere shows its metrics to those who have the key in its run directory', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const coordinator = await startCoordinator({ ...LISTENING, listen: '0.0.0.0:0', runDir });
    const key = readFileSync(join(runDir, 'view-key'), 'utf8').trim();
    const ask = async (credentials: string) => {
      const headers = { authorization: `Bearer ${credentials}` };
      return (await fetch(`http://127.0.0.1:${coordinator.port}/metrics`, { headers })).status;
    };
    const { token } = coordinator.listening!;
    const statuses = [await ask(key), await ask(''), await ask(token!)];
    await coordinator.stop();
    expect(statuses).toEqual([200, 401, 401]);
    expect(key).toBe(viewKeyOf(token!));
    if (process.platform !== 'win32') expect(statSync(join(runDir, 'view-key')).mode & 0o777).toBe(0o600);
  });

  test('is stopped while it waits for workers, and a worker while it waits for a coordinator', async () => {
    const coordinator = await startCoordinator({ ...LISTENING, token: false });
    expect(coordinator.joinUrl).toBe(`ws://127.0.0.1:${coordinator.port}`);
    const { result, model } = await coordinator.stop();
    expect(result).toMatchObject({ status: 'interrupted', steps: 0 });
    expect(model).toBeUndefined();
    const worker = startWorker({ ...WORKER, url: coordinator.joinUrl });
    expect(await worker.stop()).toBeUndefined();
  });

  test('and a worker refuse options that are wrong before anything is begun', async () => {
    await expect(startCoordinator({ ...RUN, listen: 'here' })).rejects.toThrow('--listen here: expected HOST:PORT');
    await expect(startCoordinator({ ...RUN, listen: '0.0.0.0:0', token: false })).rejects.toThrow(ConfigError);
    await expect(startCoordinator({ ...LISTENING, token: 'hush' })).rejects.toThrow(/^token: not a token(?!.*hush)/);
    expect(() => startWorker(WORKER)).toThrow('worker: nothing to join');
    expect(() => startWorker({ ...WORKER, url: 'http://x' })).toThrow('http://x: not a join URL');
    expect(() => startWorker({ ...WORKER, url: 'ws://x:1', threads: 0 })).toThrow('threads: expected a whole number');
  });
});
