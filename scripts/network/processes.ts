/** Processes of one emulated run: started, watched, and ended together, each by its own id. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { ConfigError } from '../../protocol/errors.ts';
import { EXIT } from '../process.ts';

/** The last words of a process that are kept, for the message that tells how it ended. */
const LAST_LINES = 3;

export interface ProcessGroup {
  /**
   * Starts a process; whatever it writes is kept for messages only. An IPC channel ties it to this process: ours end
   * when it closes. `ended` resolves with its exit code, or rejects with its last words where that is
   * not 0, as `ConfigError` where they are of a mistake in the command.
   */
  start(name: string, command: readonly string[]): StartedProcess;
  /** Kills those that are still there; resolves when all are gone. */
  stop(): Promise<void>;
}

export interface StartedProcess {
  readonly ended: Promise<void>;
  /** The first message that it sends over its channel. Rejects when it ends before. */
  readonly message: Promise<unknown>;
}

export function createProcessGroup(env: NodeJS.ProcessEnv): ProcessGroup {
  const alive = new Map<ChildProcess, Promise<unknown>>();
  return {
    start(name, command) {
      const [program, ...args] = command;
      const child = spawn(program!, args, { env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
      let words = '';
      for (const stream of [child.stdout!, child.stderr!]) {
        stream.on('data', (bytes: Buffer) => (words = (words + bytes.toString()).slice(-2000)));
      }
      const closed = new Promise<string | undefined>((resolve) => {
        child.once('error', (error) => resolve(error.message));
        child.once('close', (code, signal) => resolve(code === 0 ? undefined : (signal ?? `exit code ${code}`)));
      });
      alive.set(
        child,
        closed.then(() => alive.delete(child)),
      );
      const ended = closed.then((how) => {
        if (how === undefined) return;
        const lastWords = words.trim().split('\n').slice(-LAST_LINES).join(' / ');
        const message = `${name} ended: ${how}${lastWords && `: ${lastWords}`}`;
        throw child.exitCode === EXIT.usage ? new ConfigError(message) : new Error(message);
      });
      const message = new Promise<unknown>((resolve, reject) => {
        child.once('message', resolve);
        ended.then(() => reject(new Error(`${name} ended without a word`)), reject);
      });
      // A caller that awaits one of them sees the failure; the other must not count as unhandled.
      message.catch(() => {});
      ended.catch(() => {});
      return { ended, message };
    },
    async stop() {
      const gone = [...alive.values()];
      for (const child of alive.keys()) child.kill('SIGKILL');
      await Promise.all(gone);
    },
  };
}
