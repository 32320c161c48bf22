/**
 * The processes of one run: `gradsock coordinator` and `gradsock worker`, as users start them, where a place has them.
 * A worker that ends is started again; a coordinator that was killed is resumed from its checkpoints, at the same address.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { createToken } from '../../../protocol/wire/authentication.ts';
import type { Place } from '../../network/place.ts';
import { TOKEN_VARIABLE } from '../../run/token.ts';

const PROGRAM = fileURLToPath(new URL('../../../dist/scripts/cli.js', import.meta.url));

const CHECKPOINT_EVERY = 50;

/** Longer than anything that is done to a run keeps its coordinator away. */
const RECONNECT_SECONDS = 120;

/** How a worker is called, by its number from 0. */
export const workerName = (index: number): string => `chaos-${index + 1}`;

export interface RunSizes {
  readonly model: string;
  readonly workers: number;
  readonly microbatches: number;
  readonly epochs: number;
}

export interface RunProcesses {
  /** The coordinator's exit code, when it has ended by itself. */
  readonly ended: Promise<number>;
  /** As they are now: another one after each start. */
  readonly coordinator: ChildProcess;
  readonly workers: readonly ChildProcess[];
  /** Kills all; resolves when they are gone. */
  stop(): Promise<void>;
}

export async function startRunProcesses(place: Place, runDir: string, sizes: RunSizes): Promise<RunProcesses> {
  const { model, workers: numWorkers, microbatches, epochs } = sizes;
  const address = `${place.address}:${await freePort()}`;
  const env = { ...process.env, [TOKEN_VARIABLE]: createToken() };
  const alive = new Set<ChildProcess>();
  let isOver = false;
  const start = (command: readonly string[], name: string, onEnd: (code: number | null) => void) => {
    const child = spawn(command[0]!, command.slice(1), { env, stdio: ['ignore', 'ignore', 'pipe'] });
    alive.add(child);
    let words = '';
    child.stderr.on('data', (bytes: Buffer) => (words = (words + bytes.toString()).slice(-1000)));
    child.once('close', (code) => {
      alive.delete(child);
      if (!isOver && code !== null && code !== 0) process.stderr.write(`${name} ended with ${code}: ${words}\n`);
      onEnd(code);
    });
    return child;
  };

  const workers: ChildProcess[] = [];
  const startWorker = (index: number) => {
    const name = workerName(index);
    const flags = ['--name', name, '--threads', '1', '--reconnect', String(RECONNECT_SECONDS), '--quiet'];
    const command = place.atWorker(index, [process.execPath, PROGRAM, 'worker', `ws://${address}`, ...flags]);
    workers[index] = start(command, name, () => {
      if (!isOver) startWorker(index);
    });
  };
  const listen = ['coordinator', '--listen', address, '--workers', String(numWorkers), '--quiet'];
  const lengths = ['--model', model, '--epochs', String(epochs), '--microbatches', String(microbatches)];
  // A ring does not survive a loss.
  const how = ['--all-reduce', 'star', '--checkpoint-every', String(CHECKPOINT_EVERY), '--run-dir', runDir];
  let coordinator!: ChildProcess;
  const ended = new Promise<number>((resolve) => {
    const startCoordinator = (args: readonly string[]) => {
      const command = place.atCoordinator([process.execPath, PROGRAM, ...args]);
      coordinator = start(command, 'the coordinator', (code) => {
        if (code !== null) resolve(code);
        else if (!isOver) startCoordinator([...listen, '--resume', runDir]);
      });
    };
    startCoordinator([...listen, ...lengths, ...how]);
  });
  for (let i = 0; i < numWorkers; i++) startWorker(i);
  return {
    ended,
    get coordinator() {
      return coordinator;
    },
    workers,
    async stop() {
      isOver = true;
      const gone = [...alive].map((child) => new Promise((resolve) => child.once('close', resolve)));
      for (const child of alive) child.kill('SIGKILL');
      await Promise.all(gone);
    },
  };
}

/** A port that nobody listens on now; the coordinator is resumed on the same one. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
