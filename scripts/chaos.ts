/**
 * `npm run chaos`: trains in quiet, then again while workers are killed and stopped and the coordinator is killed, by a seed,
 * and compares the parameters that they end with.
 *
 * The processes are those that users start: `gradsock coordinator` on a port of loopback, `gradsock worker` for each
 * worker. A worker that was killed is started again, one that was stopped goes on after a while; a coordinator that was
 * killed is resumed from its checkpoints, on the same port.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import type { EpochRecord, RunResult } from '../coordinator/reporters/reporter.ts';
import { describeError } from '../protocol/errors.ts';
import { uniformFloats } from '../protocol/state/random.ts';
import { createToken } from '../protocol/wire/authentication.ts';
import { formatTable } from './bench/table.ts';
import { parseCount, parseNotNegative, parsePositive } from './flags.ts';
import { runMain } from './process.ts';

const PROGRAM = fileURLToPath(new URL('../dist/scripts/cli.js', import.meta.url));

/** Some are stopped for longer than the coordinator's patience, and are lost; others go on in time. */
const LONGEST_STOP_SECONDS = 5;
const CHECKPOINT_EVERY = 50;

interface Flags {
  model: string;
  workers: number;
  microbatches: number;
  epochs: number;
  kills: number;
  stops: number;
  coordinatorKills: number;
  interval: number;
  seed: number;
}

type Deed = 'kill a worker' | 'stop a worker' | 'kill the coordinator';

interface Outcome {
  readonly name: string;
  readonly deeds: ReadonlyMap<Deed, number>;
  readonly result: RunResult;
  /** Samples that each epoch counted. */
  readonly samples: ReadonlySet<number>;
  readonly seconds: number;
}

const command = new Command('chaos')
  .description('trains while workers and the coordinator are killed, and compares with a quiet run')
  .option('--model <name>', 'what is trained', 'conv-pool')
  .option('--workers <n>', 'worker processes', parseCount, 3)
  .option('--microbatches <n>', 'of a step', parseCount, 8)
  .option('--epochs <n>', 'long enough for all that is to happen', parseCount, 60)
  .option('--kills <n>', 'workers killed', parseNotNegative, 50)
  .option('--stops <n>', `workers stopped, for up to ${LONGEST_STOP_SECONDS} s`, parseNotNegative, 20)
  .option('--coordinator-kills <n>', 'times that the coordinator is killed, in a run of its own', parseNotNegative, 10)
  .option('--interval <s>', 'seconds between two of them, on average', parsePositive, 0.8)
  .option('--seed <n>', 'of what happens when', parseCount, 1);

await runMain(() => main(command.parse().opts<Flags>()));

async function main(flags: Flags): Promise<void> {
  const outcomes = [await carryOut('quiet', [], flags)];
  const workerDeeds = shuffle(
    [...repeat('kill a worker', flags.kills), ...repeat('stop a worker', flags.stops)],
    flags.seed,
  );
  if (workerDeeds.length > 0) outcomes.push(await carryOut('workers killed and stopped', workerDeeds, flags));
  if (flags.coordinatorKills > 0) {
    const deeds = repeat('kill the coordinator', flags.coordinatorKills);
    outcomes.push(await carryOut('coordinator killed', deeds, flags));
  }
  process.stdout.write(`${formatOutcomes(outcomes)}\n`);
  const [quiet] = outcomes;
  const differs = outcomes.filter(({ result }) => result.parametersSha256 !== quiet!.result.parametersSha256);
  for (const { name } of differs) process.stderr.write(`${name}: other parameters than the quiet run's\n`);
  if (differs.length > 0) process.exitCode = 1;
}

/** One run, with these deeds one after the other while it lasts. Rejects when it ends before they are all done. */
async function carryOut(name: string, deeds: readonly Deed[], flags: Flags): Promise<Outcome> {
  const { model, workers: numWorkers, microbatches, epochs, interval, seed } = flags;
  const folder = mkdtempSync(join(tmpdir(), 'gradsock-chaos-'));
  const runDir = join(folder, 'run');
  const port = await freePort();
  const env = { ...process.env, GRADSOCK_TOKEN: createToken() };
  const random = uniformFloats(seed);
  const alive = new Set<ChildProcess>();
  let isOver = false;
  const start = (args: readonly string[], onEnd: (code: number | null) => void) => {
    const child = spawn(process.execPath, [PROGRAM, ...args], { env, stdio: ['ignore', 'ignore', 'pipe'] });
    alive.add(child);
    let words = '';
    child.stderr.on('data', (bytes: Buffer) => (words = (words + bytes.toString()).slice(-1000)));
    child.once('close', (code) => {
      alive.delete(child);
      if (!isOver && code !== null && code !== 0) process.stderr.write(`${args[0]!} ended with ${code}: ${words}\n`);
      onEnd(code);
    });
    return child;
  };

  const workers: ChildProcess[] = [];
  const startWorker = (index: number) => {
    const url = `ws://127.0.0.1:${port}`;
    const args = ['worker', url, '--name', `chaos-${index + 1}`, '--threads', '1', '--reconnect', '120', '--quiet'];
    workers[index] = start(args, () => {
      if (!isOver) startWorker(index);
    });
  };
  const listen = ['coordinator', '--listen', `127.0.0.1:${port}`, '--workers', String(numWorkers), '--quiet'];
  const sizes = ['--model', model, '--epochs', String(epochs), '--microbatches', String(microbatches)];
  const first = [...listen, ...sizes, '--run-dir', runDir, '--checkpoint-every', String(CHECKPOINT_EVERY)];
  let coordinator!: ChildProcess;
  const ended = new Promise<number>((resolve) => {
    const startCoordinator = (args: readonly string[]) => {
      coordinator = start(args, (code) => {
        if (code === null) startCoordinator([...listen, '--resume', runDir]);
        else resolve(code);
      });
    };
    startCoordinator(first);
  });

  const startMs = performance.now();
  const done = new Map<Deed, number>();
  try {
    for (let i = 0; i < numWorkers; i++) startWorker(i);
    await untilFirstEpoch(runDir, ended);
    for (const deed of deeds) {
      await Promise.race([delay(2000 * interval * random()), ended]);
      if (coordinator.exitCode !== null) throw new Error(`${name}: the run was over too soon: use more --epochs`);
      const worker = workers[Math.floor(random() * numWorkers)]!;
      if (deed === 'kill a worker') worker.kill('SIGKILL');
      else if (deed === 'kill the coordinator') coordinator.kill('SIGKILL');
      else {
        worker.kill('SIGSTOP');
        setTimeout(() => worker.kill('SIGCONT'), 1000 * LONGEST_STOP_SECONDS * random());
      }
      done.set(deed, (done.get(deed) ?? 0) + 1);
    }
    const code = await ended;
    if (code !== 0) throw new Error(`${name}: the coordinator ended with ${code}`);
    const result = JSON.parse(readFileSync(join(runDir, 'result.json'), 'utf8')) as RunResult;
    const records = readEpochs(runDir);
    const seconds = (performance.now() - startMs) / 1000;
    return { name, deeds: done, result, samples: new Set(records.map(({ samples }) => samples)), seconds };
  } finally {
    isOver = true;
    const gone = [...alive].map((child) => new Promise((resolve) => child.once('close', resolve)));
    for (const child of alive) child.kill('SIGKILL');
    await Promise.all(gone);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Nothing happens before there is something to lose. */
async function untilFirstEpoch(runDir: string, ended: Promise<number>): Promise<void> {
  for (;;) {
    const isOver = await Promise.race([delay(100, false), ended.then(() => true)]);
    if (isOver || readEpochs(runDir).length > 0) return;
  }
}

function readEpochs(runDir: string): EpochRecord[] {
  try {
    const lines = readFileSync(join(runDir, 'epochs.jsonl'), 'utf8').trimEnd().split('\n');
    return lines.map((line) => JSON.parse(line) as EpochRecord);
  } catch (error) {
    if (describeError(error).includes('ENOENT') || error instanceof SyntaxError) return [];
    throw error;
  }
}

/** A port that nobody listens on now; the coordinator is resumed on the same one. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function repeat(deed: Deed, count: number): Deed[] {
  return Array.from({ length: count }, () => deed);
}

function shuffle<T>(items: readonly T[], seed: number): T[] {
  const random = uniformFloats(seed + 1);
  return items
    .map((item) => ({ item, key: random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}

function formatOutcomes(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map(({ name, deeds, result, samples, seconds }) => [
    name,
    [...deeds].map(([deed, count]) => `${count} times ${deed}`).join(', ') || '-',
    result.parametersSha256.slice(0, 12),
    [...samples].join(', '),
    String(result.steps),
    seconds.toFixed(1),
  ]);
  return formatTable(['run', 'what was done', 'parameters', 'samples an epoch', 'steps', 'seconds'], 3, rows);
}
