/**
 * The part of an installation that runs on a host, by `node -e`: it imports nothing of the program. A bundle is installed
 * once, under a lock, into a folder of its own that takes its place whole: what is cut short leaves nothing that counts.
 *
 * Standard input: an order in one line of JSON, then, when asked by the word `send`, the archive. Its end before the work is
 * done means that the launcher is gone. Words on standard output: `waiting`, `send`, `installed PATH`; npm's lines go to
 * standard error.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

export interface InstallOrder {
  readonly key: string;
  readonly archiveBytes: number;
  readonly packageJson: string;
  readonly packageLock: string;
}

export interface InstallPlace {
  readonly input: Readable;
  readonly tell: (word: string) => void;
  /** For what programs say. */
  readonly output: Writable;
  /** Default: the user's cache. */
  readonly folder?: string;
  /** A lock that was not renewed for this long is taken over. Default: a minute. */
  readonly staleMs?: number;
}

const STALE_MS = 60_000;
const POLL_MS = 500;
/** npm may have to fetch many megabytes. */
const NPM_DEADLINE_MS = 600_000;

const NPM = ['ci', '--ignore-scripts', '--omit=dev', '--omit=optional', '--no-audit', '--no-fund', '--loglevel=error'];

/** Resolves with the folder of the program. Rejects when it cannot be installed, or the input ends before. */
export async function installOnHost(place: InstallPlace): Promise<string> {
  const { input, tell, folder = cacheFolder(), staleMs = STALE_MS } = place;
  const gone = new AbortController();
  const source = bytesOf(input, () => gone.abort(new Error('the launcher is gone')));
  const order = JSON.parse((await source.line()).toString('utf8')) as InstallOrder;
  const target = join(folder, order.key);
  if (existsSync(target)) return target;
  await mkdir(folder, { recursive: true });
  const release = await takeLock(`${target}.lock`, {
    staleMs,
    tell,
    signal: gone.signal,
    isDone: () => existsSync(target),
  });
  if (!release) return target;
  const draft = `${target}.${process.pid}-${randomBytes(4).toString('hex')}.new`;
  try {
    await removeDrafts(folder, order.key);
    await mkdir(draft);
    tell('send');
    const archive = await source.take(order.archiveBytes);
    await run('tar', ['-xzf', '-', '--strip-components=1', '-C', draft], {
      ...place,
      signal: gone.signal,
      feed: archive,
    });
    await writeFile(join(draft, 'package.json'), order.packageJson);
    await writeFile(join(draft, 'package-lock.json'), order.packageLock);
    await run('npm', NPM, { ...place, signal: gone.signal, cwd: draft });
    await putInPlace(draft, target);
    return target;
  } finally {
    await rm(draft, { recursive: true, force: true });
    await release();
  }
}

function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'gradsock', 'programs');
}

/** Two may have installed the same, where a lock was taken over: the first one stays. */
async function putInPlace(draft: string, target: string): Promise<void> {
  try {
    await rename(draft, target);
  } catch (error) {
    if (!existsSync(target)) throw error;
  }
}

/** Of installations that were cut short. Under the lock nobody else makes one. */
async function removeDrafts(folder: string, key: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => name.startsWith(`${key}.`) && name.endsWith('.new'));
  await Promise.all(names.map((name) => rm(join(folder, name), { recursive: true, force: true })));
}

interface LockOptions {
  readonly staleMs: number;
  readonly tell: (word: string) => void;
  readonly signal: AbortSignal;
  /** Whether another one has done the work. */
  readonly isDone: () => boolean;
}

/**
 * Takes the lock, a folder: making one is atomic, on network file systems too. Resolves with what gives it back; undefined when
 * the work was done by another one. The holder renews its time.
 */
async function takeLock(path: string, { staleMs, tell, signal, isDone }: LockOptions) {
  for (let isFirst = true; ; isFirst = false) {
    if (isDone()) return undefined;
    try {
      await mkdir(path);
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    if (isFirst) tell('waiting');
    if (await isStale(path, staleMs)) await rm(path, { recursive: true, force: true });
    else await delay(POLL_MS, undefined, { signal });
  }
  const owner = randomBytes(8).toString('hex');
  await writeFile(join(path, 'owner'), owner);
  const renewal = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, staleMs / 10);
  return async () => {
    clearInterval(renewal);
    // It was taken over from one that could not renew it, such as on a machine that was suspended.
    const holder = await readFile(join(path, 'owner'), 'utf8').catch(() => undefined);
    if (holder === owner) await rm(path, { recursive: true, force: true });
  };
}

/** By the file system's own clock, which another machine's may not agree with. */
async function isStale(path: string, staleMs: number): Promise<boolean> {
  const probe = `${path}.${process.pid}-${randomBytes(4).toString('hex')}.probe`;
  try {
    await writeFile(probe, '');
    const [now, then] = await Promise.all([stat(probe), stat(path)]);
    return now.mtimeMs - then.mtimeMs > staleMs;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  } finally {
    await rm(probe, { force: true });
  }
}

interface RunOptions {
  readonly output: Writable;
  readonly signal: AbortSignal;
  readonly cwd?: string;
  /** For its standard input. Default: nothing. */
  readonly feed?: Buffer;
}

/** Runs a program to its end. It and its children are ended when the signal is aborted, or at the deadline. */
async function run(program: string, args: readonly string[], { output, signal, cwd, feed }: RunOptions): Promise<void> {
  signal.throwIfAborted();
  // npm lies beside Node.js, also where no PATH leads to them.
  const PATH = `${process.env['PATH'] ?? ''}${delimiter}${dirname(process.execPath)}`;
  const child = spawn(program, args, {
    ...{ cwd, detached: true, env: { ...process.env, PATH } },
    stdio: [feed ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  });
  const end = () => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has ended meanwhile.
    }
  };
  signal.addEventListener('abort', end);
  const state = { isLate: false };
  const deadline = setTimeout(() => {
    state.isLate = true;
    end();
  }, NPM_DEADLINE_MS);
  child.stdout?.pipe(output, { end: false });
  child.stderr?.pipe(output, { end: false });
  child.stdin?.on('error', () => {});
  child.stdin?.end(feed);
  try {
    const how = await new Promise<string | undefined>((resolve) => {
      child.on('error', ({ message }) => resolve(`${message}: install ${program} on this host`));
      child.on('close', (code) => resolve(code === 0 ? undefined : `exit code ${code ?? 'none'}`));
    });
    signal.throwIfAborted();
    if (state.isLate) throw new Error(`${program} did not end within ${NPM_DEADLINE_MS / 1000} s`);
    if (how !== undefined) throw new Error(`${program} ${args[0] ?? ''} failed: ${how}`);
  } finally {
    clearTimeout(deadline);
    signal.removeEventListener('abort', end);
  }
}

/** Reads an input piece by piece. `onEnd` is told of its end. */
function bytesOf(input: Readable, onEnd: () => void) {
  interface State {
    held: Buffer;
    hasEnded: boolean;
    wake: () => void;
  }
  const state: State = { held: Buffer.alloc(0), hasEnded: false, wake: () => {} };
  input.on('data', (chunk: Buffer) => {
    state.held = Buffer.concat([state.held, chunk]);
    state.wake();
  });
  const end = () => {
    state.hasEnded = true;
    onEnd();
    state.wake();
  };
  input.on('end', end).on('error', end);
  /** What comes before the place that `find` finds, as soon as it does. */
  const cutAt = async (find: () => number): Promise<Buffer> => {
    while (find() === -1) {
      if (state.hasEnded) throw new Error('the launcher is gone');
      await new Promise<void>((resolve) => (state.wake = resolve));
    }
    const at = find();
    const piece = state.held.subarray(0, at);
    state.held = state.held.subarray(at);
    return piece;
  };
  return {
    line: () => cutAt(() => state.held.indexOf('\n') + 1 || -1),
    take: (numBytes: number) => cutAt(() => (state.held.length >= numBytes ? numBytes : -1)),
  };
}

/** The whole of the program on the host. `prefix`: of words for the launcher. */
export async function install(prefix: string): Promise<void> {
  try {
    const tell = (word: string) => void process.stdout.write(`${prefix}${word}\n`);
    const folder = await installOnHost({ input: process.stdin, tell, output: process.stderr });
    tell(`installed ${folder}`);
    process.stdin.destroy();
  } catch (error) {
    process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
}
