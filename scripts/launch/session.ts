/** A session: one ssh process, the words that the script on the host tells, and the lines of both. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { printable } from '../../protocol/errors.ts';
import { NO_TOKEN_VARIABLE, TOKEN_FILE_VARIABLE, TOKEN_VARIABLE } from '../run/token.ts';

/** How a line of the script begins that is for the launcher. Other lines may come from the host's own start-up files. */
export const TOLD = 'gradsock-launch: ';

/** From the end of the process to the end of its output, which another process may hold open. */
const OUTPUT_DEADLINE_MS = 1000;
/** Of a session's lines so many are kept. */
const MOST_LAST_LINES = 10;

export interface SessionEnd {
  /** Of ssh; undefined where a signal ended it, or it could not be started. */
  readonly code: number | undefined;
  /** Why ssh could not be started. */
  readonly refusal?: string | undefined;
  /** What was said last, on the host and by ssh. */
  readonly lastLines: readonly string[];
}

export interface Session {
  readonly ended: Promise<SessionEnd>;
  readonly lastLines: readonly string[];
  /** To the standard input of what runs on the host. */
  write(data: string | Buffer): void;
  /** Ends that standard input. */
  endInput(): void;
  /** Ends ssh itself. */
  kill(): void;
}

export interface SessionOptions {
  /** A word that the script tells, with what belongs to it. */
  readonly onTold: (word: string, rest: string) => void;
  readonly onLine: (line: string) => void;
}

/**
 * Starts ssh. It has a process group of its own: a Ctrl-C on the terminal is the launcher's, which ends sessions in order. When
 * the launcher is gone, its pipe ends, and with it the standard input on the host.
 */
export function openSession([program, ...args]: readonly string[], { onTold, onLine }: SessionOptions): Session {
  const secrets = { [TOKEN_VARIABLE]: undefined, [TOKEN_FILE_VARIABLE]: undefined, [NO_TOKEN_VARIABLE]: undefined };
  const ssh = spawn(program!, args, { detached: true, env: { ...process.env, ...secrets } });
  const lastLines: string[] = [];
  const take = (raw: string) => {
    const line = printable(raw.trimEnd());
    if (line === '') return;
    lastLines.push(line);
    if (lastLines.length > MOST_LAST_LINES) lastLines.shift();
    onLine(line);
  };
  // The host may be gone while there is more to send: how the process ends says why.
  ssh.stdin.on('error', () => {});
  createInterface({ input: ssh.stderr }).on('line', take);
  createInterface({ input: ssh.stdout }).on('line', (line) => {
    if (!line.startsWith(TOLD)) {
      take(line);
      return;
    }
    const [word, ...rest] = line.slice(TOLD.length).split(' ');
    onTold(word!, printable(rest.join(' ')));
  });
  const ended = new Promise<SessionEnd>((resolve) => {
    ssh.on('error', ({ message }) => resolve({ code: undefined, refusal: message, lastLines }));
    ssh.on('exit', () => {
      setTimeout(() => {
        ssh.stdout.destroy();
        ssh.stderr.destroy();
      }, OUTPUT_DEADLINE_MS).unref();
    });
    ssh.on('close', (code) => resolve({ code: code ?? undefined, lastLines }));
  });
  return {
    ended,
    lastLines,
    write: (data) => void ssh.stdin.write(data),
    endInput: () => void ssh.stdin.end(),
    kill: () => void ssh.kill('SIGKILL'),
  };
}
