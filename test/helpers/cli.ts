/** The built program as real processes. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import type { EpochRecord, RunResult } from '../../coordinator/reporting/reporter.ts';
import { temporaryFolder } from './folder.ts';

export const PROGRAM = fileURLToPath(new URL('../../dist/scripts/cli.js', import.meta.url));

/** A small slice of the real data: seconds, not minutes, on two cores. */
export const SMALL = ['--train-samples', '4096', '--test-samples', '512'];

export interface Cli {
  readonly pid: number;
  /** What it has written so far, both streams. */
  output(): string;
  /** Resolves with the first line, past or future, that matches; rejects when the process ends without one. */
  line(pattern: RegExp): Promise<string>;
  /** Resolves with the exit code, or the signal's name. */
  readonly exit: Promise<number | NodeJS.Signals>;
  kill(signal: NodeJS.Signals): void;
  /** The signal to the program and all its children at once, as a terminal's Ctrl-C. */
  killGroup(signal: NodeJS.Signals): void;
}

/** Most tests look at a run's other files: those of reports ask for one by an empty value. */
export const NO_REPORT = { GRADSOCK_NO_REPORT: '1' };

/** Starts `gradsock ARGS`; ended with its children when the test is over, if it has not ended by then. */
export function startCli(args: readonly string[], env: Record<string, string> = {}, program = PROGRAM): Cli {
  return startCommand([process.execPath, program, ...args], { ...process.env, ...NO_REPORT, ...env });
}

/** Starts any command in the same way, with this environment alone. */
export function startCommand(command: readonly string[], env: NodeJS.ProcessEnv, cwd?: string): Cli {
  const child = spawn(command[0]!, command.slice(1), { detached: true, stdio: ['ignore', 'pipe', 'pipe'], env, cwd });
  const lines: string[] = [];
  const watchers = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      for (const watcher of watchers) watcher();
    });
  }
  const exit = new Promise<number | NodeJS.Signals>((resolve) => {
    child.on('close', (code, signal) => resolve(code ?? signal!));
  });
  const killGroup = (signal: NodeJS.Signals) => {
    try {
      process.kill(-child.pid!, signal);
    } catch {
      // Everyone in it is gone.
    }
  };
  onTestFinished(() => killGroup('SIGKILL'));
  return {
    pid: child.pid!,
    output: () => lines.join('\n'),
    exit,
    kill: (signal) => child.kill(signal),
    killGroup,
    line(pattern) {
      return new Promise((resolve, reject) => {
        const look = () => {
          const found = lines.find((line) => pattern.test(line));
          if (found === undefined) return;
          watchers.delete(look);
          resolve(found);
        };
        watchers.add(look);
        look();
        void exit.then((code) => reject(new Error(`ended with ${code} before ${pattern}:\n${lines.join('\n')}`)));
      });
    },
  };
}

/** A `gradsock coordinator` on a free port, and the URL, with the token, that it wrote for launchers of workers. */
export async function startCoordinator(args: readonly string[]): Promise<{ coordinator: Cli; url: string }> {
  const at = args.indexOf('--join-file');
  const joinFile = at === -1 ? join(temporaryFolder(), 'join') : args[at + 1]!;
  const ownFlags = at === -1 ? ['--join-file', joinFile] : [];
  const coordinator = startCli(['coordinator', '--listen', '127.0.0.1:0', ...ownFlags, ...args]);
  await coordinator.line(/^ {2}npx gradsock worker wss?:\/\/127\.0\.0\.1:\d+( --tls-fingerprint [0-9a-f]{64})?$/);
  return { coordinator, url: readFileSync(joinFile, 'utf8').trim() };
}

/** Runs `gradsock ARGS` to its end. */
export async function runCli(args: readonly string[], env?: Record<string, string>, program?: string) {
  const cli = startCli(args, env, program);
  const code = await cli.exit;
  return { code, output: cli.output() };
}

export function readResult(runDir: string): RunResult {
  return JSON.parse(readFileSync(join(runDir, 'result.json'), 'utf8')) as RunResult;
}

export function readEpochs(runDir: string): EpochRecord[] {
  const path = join(runDir, 'epochs.jsonl');
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as EpochRecord);
}

/** Process ids of the children of a process. */
export function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((candidate) => parentOf(candidate) === pid);
}

/** Resolves when none of the processes is alive any more; a zombie that nobody reaps counts as gone. */
export async function allGone(pids: readonly number[]): Promise<void> {
  while (pids.some((pid) => parentOf(pid) !== undefined)) await delay(20);
}

/** Parent of a living process. */
function parentOf(pid: number): number | undefined {
  try {
    // "pid (command) state ppid ...", where the command may hold anything but comes in parentheses.
    const [state, parent] = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return state === 'Z' ? undefined : Number(parent);
  } catch {
    return undefined;
  }
}
