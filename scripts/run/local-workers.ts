/** Local worker processes: started for a run, watched, and gone with it. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { ConfigError, printable, ProtocolError } from '../../protocol/errors.ts';
import { adviceOn } from '../../coordinator/reporting/cures.ts';
import type { WorkerSource } from '../../coordinator/run-options.ts';
import { MEMORY_ENVIRONMENT } from '../../worker/machine/memory.ts';
import { EXIT } from '../process.ts';
import { createRestarts } from './restarts.ts';
import type { Restarts } from './restarts.ts';
import { NO_TOKEN_VARIABLE, TOKEN_FILE_VARIABLE, TOKEN_VARIABLE } from './token.ts';

/** Workers that were told to end have this long before they are ended. */
const EXIT_DEADLINE_MS = 5000;

const DEFAULT_STEP_TIMEOUT_MS = 60_000;

/** Of each worker so many lines are kept. */
const MOST_LAST_LINES = 10;

/** How the program's last words begin when it fails. */
const LAST_WORDS = 'error: ';

export interface LocalWorkersOptions {
  readonly numWorkers: number;
  /** The program whose command `worker` they run: this process's own when left out. */
  readonly program?: string;
  readonly joinUrl: string;
  /** The run's token, which they get by their environment: a command line is for all to see. */
  readonly token?: string | undefined;
  /** Flags for Node.js. Default: this process's own, which carry the loader where it runs from its TypeScript sources. */
  readonly nodeFlags?: readonly string[];
  /** Flags for `gradsock worker`. */
  readonly flags: readonly string[];
  /** The longest that a step may take. Default: 60 s. */
  readonly stepTimeoutMs?: number;
  readonly log: (line: string) => void;
  /** A worker cannot work: it was asked for what is not there, or died again and again. */
  readonly onFailure: (error: Error) => void;
}

export interface LocalWorkers extends WorkerSource {
  /** Of those that run now. */
  readonly processIds: readonly number[];
  /** What a worker of this name said last, and how its processes ended. */
  lastLinesOf(name: string): readonly string[];
}

/**
 * Starts `gradsock worker` processes called local-1, local-2, ... An IPC channel ties each to this process: whatever
 * ends this process, even SIGKILL, closes the channel, and the worker ends with it.
 *
 * A process that is killed, or fails, is started again, and joins the run anew; not without end, see `restarts.ts`.
 */
export function startLocalWorkers(options: LocalWorkersOptions): LocalWorkers {
  let isStopping = false;
  const said = new Set<string>();
  /** What every worker has to say, of the machine that they share, is said once. */
  const log = (name: string, line: string) => {
    if (!said.has(line)) options.log(`${name}: ${line}`);
    said.add(line);
  };
  const lastLines = new Map<string, string[]>();
  const keep = (name: string, line: string) => {
    const others = (lastLines.get(name) ?? []).filter((other) => other !== line);
    lastLines.set(name, [...others, line].slice(-MOST_LAST_LINES));
  };
  const processIds: (number | undefined)[] = [];
  const running: { waitOrKill: () => Promise<void> }[] = [];
  const start = (localRank: number, restarts: Restarts) => {
    const name = `local-${localRank + 1}`;
    const startMs = performance.now();
    const worker = startWorker(name, localRank, options);
    processIds[localRank] = worker.pid;
    running[localRank] = watch(worker, name, { log, keep }, (error) => {
      if (isStopping) return;
      keep(name, error.message);
      const isHopeless = error instanceof ConfigError || worker.pid === undefined;
      const verdict = isHopeless ? undefined : restarts.died(performance.now() - startMs);
      if (isHopeless) {
        options.onFailure(error);
      } else if (verdict !== undefined) {
        const advice = adviceOn(error.message);
        const whole = `${name} ${verdict}, and is not started again; the last time: ${error.message}`;
        const message = advice === undefined ? whole : `${whole}: ${advice}`;
        options.onFailure(new ProtocolError('ERR_PEER_LOST', message, { worker: name }));
      } else {
        options.log(`${error.message}; it is started again`);
        start(localRank, restarts);
      }
    });
  };
  const { stepTimeoutMs = DEFAULT_STEP_TIMEOUT_MS } = options;
  for (let localRank = 0; localRank < options.numWorkers; localRank++) start(localRank, createRestarts(stepTimeoutMs));
  return {
    get processIds() {
      return processIds.filter((id) => id !== undefined);
    },
    lastLinesOf: (name) => lastLines.get(name) ?? [],
    async stop() {
      isStopping = true;
      await Promise.all(running.map((worker) => worker.waitOrKill()));
    },
  };
}

/** `localRank`: the worker's number on this machine, by which workers share out its GPUs. */
function startWorker(name: string, localRank: number, options: LocalWorkersOptions): ChildProcess {
  const { joinUrl, token, flags, program = process.argv[1]!, nodeFlags = process.execArgv } = options;
  const args = [...nodeFlags, program, 'worker', joinUrl, '--name', name, ...flags];
  const secret = { [TOKEN_VARIABLE]: token, [TOKEN_FILE_VARIABLE]: undefined, [NO_TOKEN_VARIABLE]: undefined };
  const env = { ...MEMORY_ENVIRONMENT, ...process.env, ...secret, LOCAL_RANK: String(localRank) };
  return spawn(process.execPath, args, { env, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
}

/** Follows one process: its words to the log, its end to `onExit` as an error that says how. */
function watch(
  worker: ChildProcess,
  name: string,
  { log, keep }: Record<'log' | 'keep', (name: string, line: string) => void>,
  onExit: (error: Error) => void,
) {
  let lastLine = '';
  /** What may be its last words: these are told once, by how it ended. */
  let heldBack: string | undefined;
  // Absent where the system refused to start it: 'error' tells why.
  if (worker.stderr) {
    createInterface({ input: worker.stderr }).on('line', (line) => {
      if (heldBack !== undefined) log(name, heldBack);
      heldBack = line.startsWith(LAST_WORDS) ? printable(line) : undefined;
      lastLine = printable(line.replace(LAST_WORDS, ''));
      keep(name, lastLine);
      if (heldBack === undefined) log(name, lastLine);
    });
  }
  const exited = new Promise<void>((resolve) => {
    worker.on('error', (error) => {
      onExit(new ProtocolError('ERR_CLOSED', `${name} could not be started: ${error.message}`, { worker: name }));
      resolve();
    });
    worker.on('close', (code, signal) => {
      const how = signal ? `was ended by ${signal}` : `exited with code ${code}`;
      const message = `${name} ${how}${lastLine && !signal ? `: ${lastLine}` : ''}`;
      onExit(
        code === EXIT.usage ? new ConfigError(message) : new ProtocolError('ERR_CLOSED', message, { worker: name }),
      );
      resolve();
    });
  });
  return {
    async waitOrKill() {
      const timer = setTimeout(() => worker.kill('SIGKILL'), EXIT_DEADLINE_MS);
      await exited;
      clearTimeout(timer);
    },
  };
}
