/** A trial's process: `gradsock baseline`, followed by its lines, ended in order, and gone when the sweep is. */
import { spawn } from 'node:child_process';

/** What an interrupted run has for the step at hand and its checkpoint, before it is ended. */
const INTERRUPT_DEADLINE_MS = 30_000;

/** The last of its words that are kept, in characters: to say why it failed. */
const KEPT_WORDS = 2000;

export interface TrialEnd {
  /** null where a signal ended it. */
  readonly code: number | null;
  /** How it ended, with the last line of its errors. */
  readonly words: string;
}

export interface TrialProcess {
  readonly ended: Promise<TrialEnd>;
  /** Ends it after the step at hand, once; if it takes too long, at once. */
  interrupt(): void;
}

/**
 * Starts `gradsock <args>`. `onOutput` is called when it has written something: after each epoch at least.
 *
 * The process has its own group, so that a terminal's Ctrl-C comes to it once only, through {@link TrialProcess.interrupt};
 * and an IPC channel, by whose end it learns that this process is gone.
 */
export function startTrialProcess(args: readonly string[], env: NodeJS.ProcessEnv, onOutput: () => void): TrialProcess {
  // execArgv carries the loader when the program runs from its TypeScript sources.
  const command = [...process.execArgv, process.argv[1]!, ...args];
  const child = spawn(process.execPath, command, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  let words = '';
  child.stdout!.on('data', onOutput);
  child.stderr!.on('data', (bytes: Buffer) => (words = (words + bytes.toString()).slice(-KEPT_WORDS)));
  let deadline: NodeJS.Timeout | undefined;
  const ended = new Promise<TrialEnd>((resolve) => {
    child.once('error', (error) => resolve({ code: null, words: `could not be started: ${error.message}` }));
    child.once('close', (code, signal) => {
      const how = signal ? `ended by ${signal}` : `exit code ${code!}`;
      const lastLine = words
        .trim()
        .split('\n')
        .at(-1)!
        .replace(/^error: /, '');
      resolve({ code, words: lastLine === '' ? how : `${how}: ${lastLine}` });
    });
  }).finally(() => clearTimeout(deadline));
  return {
    ended,
    interrupt() {
      if (deadline) return;
      child.kill('SIGINT');
      deadline = setTimeout(() => child.kill('SIGKILL'), INTERRUPT_DEADLINE_MS);
    },
  };
}
