/** Prometheus itself reads the metrics of a real run: its tool checks the format, its server scrapes and answers. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startCoordinator, startWorker } from '../../scripts/library/index.ts';
import { temporaryFolder } from '../helpers/folder.ts';
import { dashboardExpressions, guideRules } from '../helpers/monitoring.ts';
import { barsData } from '../scripts/library/bars.ts';

/** Whether a program of Debian's package `prometheus` is there; if not, says so. */
function isInstalled(program: 'promtool' | 'prometheus'): boolean {
  if (spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0) return true;
  process.stderr.write(`skipped what needs ${program}: it is not on the PATH: install prometheus\n`);
  return false;
}

/** Far more epochs than the test lets it train. */
const RUN = {
  model: {
    name: 'bars',
    input: [1, 6, 6],
    numClasses: 2,
    layers: [{ kind: 'flatten' }, { kind: 'dense', units: 2, activation: 'none' }],
  },
  data: barsData(),
  epochs: 1_000_000,
  globalBatch: 32,
  workers: 1,
} as const satisfies Parameters<typeof startCoordinator>[0];

/** A run on all addresses, whose only worker has taken it past its first epoch. */
async function startRun() {
  const runDir = join(temporaryFolder(), 'run');
  let hasTrained!: () => void;
  const trained = new Promise<void>((resolve) => (hasTrained = resolve));
  const coordinator = await startCoordinator({ ...RUN, listen: '0.0.0.0:0', runDir, onEpoch: () => hasTrained() });
  const url = `ws://127.0.0.1:${coordinator.port}`;
  const token = coordinator.listening!.token!;
  const worker = startWorker({ engine: 'reference', keepData: false, reconnect: 0, name: 'only', url, token });
  onTestFinished(async () => {
    await coordinator.stop();
    await worker.finished;
  });
  await trained;
  return { address: `127.0.0.1:${coordinator.port}`, keyFile: join(runDir, 'view-key') };
}

/** What a program says, after it has been given `input`. */
const check = (...[program, args, input]: [program: string, args: readonly string[], input?: string]) => {
  const { status, stdout, stderr } = spawnSync(program, args, { input, encoding: 'utf8' });
  return { status, said: `${stdout}${stderr}` };
};

/** A Prometheus that scrapes the run every 100 ms; returns the URL of its API, when it listens. */
async function startPrometheus(address: string, keyFile: string): Promise<string> {
  const folder = temporaryFolder();
  const config = join(folder, 'prometheus.yml');
  writeFileSync(
    config,
    `scrape_configs:
  - job_name: gradsock
    scrape_interval: 100ms
    scrape_timeout: 100ms
    authorization: { credentials_file: '${keyFile}' }
    static_configs: [{ targets: ['${address}'] }]
`,
  );
  const flags = [`--config.file=${config}`, `--storage.tsdb.path=${join(folder, 'data')}`];
  const server = spawn('prometheus', [...flags, '--web.listen-address=127.0.0.1:0'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  onTestFinished(async () => {
    if (server.exitCode !== null) return;
    server.kill();
    await once(server, 'exit');
  });
  for await (const line of createInterface({ input: server.stderr })) {
    const listening = /msg="Listening on" address=(\S+)/.exec(line)?.[1];
    if (listening === undefined) continue;
    server.stderr.resume();
    return `http://${listening}/api/v1/query`;
  }
  throw new Error('prometheus ended before it listened');
}

interface Answer {
  readonly status: string;
  readonly data: { readonly result: readonly { readonly value: readonly [number, string] }[] };
}

describe.skipIf(!isInstalled('promtool'))('promtool', () => {
  test('finds nothing wrong with the metrics of a run', async () => {
    const { address, keyFile } = await startRun();
    const authorization = `Bearer ${readFileSync(keyFile, 'utf8').trim()}`;
    const text = await (await fetch(`http://${address}/metrics`, { headers: { authorization } })).text();
    expect(text).toContain('gradsock_worker_info{worker="w1",name="only",engine="reference",device="cpu"} 1');
    expect(check('promtool', ['check', 'metrics'], text)).toEqual({ status: 0, said: '' });
  });

  test("reads the dashboard's expressions, and the guide's alerts", () => {
    const folder = temporaryFolder();
    const rules = dashboardExpressions().map((expr, i) => ({ record: `dashboard:${i}`, expr }));
    writeFileSync(join(folder, 'dashboard.yml'), JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
    writeFileSync(join(folder, 'alerts.yml'), guideRules());
    for (const name of ['dashboard.yml', 'alerts.yml']) {
      const { status, said } = check('promtool', ['check', 'rules', join(folder, name)]);
      expect(said).toContain('SUCCESS');
      expect(status).toBe(0);
    }
  });
});

test.skipIf(!isInstalled('prometheus'))(
  'Prometheus scrapes a run, and every panel of the dashboard has data',
  async () => {
    const { address, keyFile } = await startRun();
    const api = await startPrometheus(address, keyFile);
    const ask = async (query: string) => {
      const response = await fetch(`${api}?${new URLSearchParams({ query }).toString()}`);
      const { status, data } = (await response.json()) as Answer;
      expect(status, query).toBe('success');
      return data.result;
    };
    const first = async (query: string) => Number((await ask(query))[0]?.value[1]);
    await expect.poll(() => first('up'), { timeout: 60_000 }).toBe(1);
    // Two scrapes at least: before that there is no rate.
    await expect.poll(() => first('rate(gradsock_steps_total[1m])'), { timeout: 60_000 }).toBeGreaterThan(0);
    expect(await first('gradsock_epochs_planned')).toBe(RUN.epochs);
    expect(await first('sum(gradsock_worker_samples_total) == bool scalar(gradsock_samples_total)')).toBe(1);
    for (const expression of dashboardExpressions()) {
      // Nobody was refused.
      if (expression.includes('connections_refused')) continue;
      await expect
        .poll(async () => (await ask(expression)).length, { timeout: 60_000, message: expression })
        .toBeGreaterThan(0);
    }
  },
);
