/** One `gradsock worker` process of this machine: started, listened to, and gone with the process that started it. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { ConfigError, printable, ProtocolError } from '../../protocol/errors.ts';
import type { RunOutcome } from '../../protocol/wire/messages.ts';
import { MEMORY_ENVIRONMENT } from '../../worker/machine/memory.ts';
import { EXIT } from '../process.ts';
import { NO_TOKEN_VARIABLE, TOKEN_FILE_VARIABLE, TOKEN_VARIABLE } from './token.ts';

/** Workers that were told to end have this long before they are killed. */
const EXIT_DEADLINE_MS = 3000;

/** How the program's last line begins when it fails. */
const LAST_LINE_PREFIX = 'error: ';

/** On the IPC channel, from launcher to worker: leave the run and end. */
export const LEAVE_MESSAGE = 'leave';

/** From worker to launcher: the run is over, for this reason, or with this outcome. */
interface EndMessage {
  readonly runEnded?: string;
  readonly outcome?: RunOutcome;
}

/** Tells the launcher of this process why the run is over; `undefined`, because the worker was asked to leave. */
export function tellLauncher(reason: string | undefined): void {
  if (reason !== undefined) send({ runEnded: reason });
}

/** Tells the launcher of this process, if there is one, how the run ended. */
export function tellOutcome(outcome: RunOutcome): void {
  send({ outcome });
}

function send(message: EndMessage): void {
  process.send?.(message, () => {});
}

export interface WorkerProcessOptions {
  readonly name: string;
  /** The worker's number on this machine, from 0. Workers share out GPUs by it. */
  readonly localRank: number;
  /** The program whose command `worker` the process runs. Default: this process's own. */
  readonly program?: string;
  /** Flags for Node.js. Default: this process's own, which carry the loader where it runs from its TypeScript sources. */
  readonly nodeFlags?: readonly string[];
  /** Arguments of `gradsock worker`: what to join, and flags. */
  readonly args: readonly string[];
  /** The run's token. The process gets it by its environment: everyone on the machine can read a command line. */
  readonly token: string | undefined;
  /** Receives each line of the process's standard error, except its last one if that begins with "error: ". */
  readonly onLine: (line: string) => void;
  /** Called once, when the process has ended. */
  readonly onEnd: (end: WorkerEnd) => void;
}

/** How a process ended. */
export interface WorkerEnd {
  /** The exit code; undefined if a signal ended the process, or it could not be started. */
  readonly code: number | undefined;
  /** Undefined if the process exited by itself. */
  readonly signal: NodeJS.Signals | undefined;
  /** False if the system refused to start the process. */
  readonly wasStarted: boolean;
  /** The last line of standard error, without "error: "; empty if there was none. */
  readonly lastLine: string;
  /** For people: the name, the exit code or signal, and the last line. `ConfigError` for exit code 2. */
  readonly error: Error;
  readonly lifeMs: number;
  /** Why the run is over, as the coordinator told the worker; undefined if it told nothing. */
  readonly reason: string | undefined;
  /** How the run ended, as the coordinator told the worker; undefined if it told nothing. */
  readonly outcome: RunOutcome | undefined;
}

export interface WorkerProcess {
  /** Undefined if the system refused to start the process. */
  readonly pid: number | undefined;
  /** Asks the process to leave the run. */
  leave(): void;
  /** Waits for the end; after 3 s the process is killed. */
  waitOrKill(): Promise<void>;
}

/**
 * Starts a worker process. An IPC channel ties it to this process: whatever ends this process, even SIGKILL, closes the
 * channel, and the worker ends.
 */
export function startWorkerProcess(options: WorkerProcessOptions): WorkerProcess {
  const startMs = performance.now();
  const child = spawnWorker(options);
  const lines = listen(child, options.onLine);
  let reason: string | undefined;
  let outcome: RunOutcome | undefined;
  child.on('message', (message) => {
    const { runEnded, outcome: told = outcome } = message as EndMessage;
    outcome = told;
    if (typeof runEnded === 'string') reason = printable(runEnded);
  });
  const ended = new Promise<void>((resolve) => {
    const end = (code: number | undefined, signal: NodeJS.Signals | undefined, error: Error) => {
      const wasStarted = child.pid !== undefined;
      const lifeMs = performance.now() - startMs;
      options.onEnd({ code, signal, wasStarted, lastLine: lines.last(), error, lifeMs, reason, outcome });
      resolve();
    };
    const { name } = options;
    child.on('error', ({ message }) => {
      if (child.pid !== undefined) return;
      end(undefined, undefined, lost(name, `${name} could not be started: ${message}`));
    });
    child.on('close', (code, signal) => {
      // Where the system refused to start it, 'error' has told.
      if (child.pid === undefined) return;
      const how = signal ? `was ended by ${signal}` : `exited with code ${code}`;
      const message = `${name} ${how}${lines.last() && !signal ? `: ${lines.last()}` : ''}`;
      end(code ?? undefined, signal ?? undefined, code === EXIT.usage ? new ConfigError(message) : lost(name, message));
    });
  });
  return {
    pid: child.pid,
    leave() {
      if (child.connected) child.send(LEAVE_MESSAGE, () => {});
    },
    async waitOrKill() {
      const timer = setTimeout(() => child.kill('SIGKILL'), EXIT_DEADLINE_MS);
      await ended;
      clearTimeout(timer);
    },
  };
}

function lost(worker: string, message: string): ProtocolError {
  return new ProtocolError('ERR_CLOSED', message, { worker });
}

function spawnWorker(options: WorkerProcessOptions): ChildProcess {
  const { name, localRank, token, args, program = process.argv[1]!, nodeFlags = process.execArgv } = options;
  const secret = { [TOKEN_VARIABLE]: token, [TOKEN_FILE_VARIABLE]: undefined, [NO_TOKEN_VARIABLE]: undefined };
  const env = { ...MEMORY_ENVIRONMENT, ...process.env, ...secret, LOCAL_RANK: String(localRank) };
  return spawn(process.execPath, [...nodeFlags, program, 'worker', ...args, '--name', name], {
    env,
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
}

/** Hands lines on. A line that may be the last one is held back: `last` has it, for the message about the end. */
function listen(child: ChildProcess, onLine: (line: string) => void): { last(): string } {
  let last = '';
  let heldBack: string | undefined;
  // Absent where the system refused to start the process.
  if (child.stderr) {
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (heldBack !== undefined) onLine(heldBack);
      heldBack = line.startsWith(LAST_LINE_PREFIX) ? printable(line) : undefined;
      last = printable(line.replace(LAST_LINE_PREFIX, ''));
      if (heldBack === undefined) onLine(last);
    });
  }
  return { last: () => last };
}
