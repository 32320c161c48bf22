/** The C++ compiler of this machine: which one there is, and how it is run. No shell is involved. */
import { execFile } from 'node:child_process';
import { realpathSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A bound on hanging: one unit takes about five seconds. */
const COMPILER_DEADLINE_MS = 300_000;

export interface Compiler {
  /** The program and its first arguments: $CXX may be "ccache g++". */
  readonly command: readonly [string, ...string[]];
  /** First line of --version. */
  readonly version: string;
}

/** What may be a compiler, in the order in which it is tried. */
function commands(): readonly (readonly [string, ...string[]])[] {
  return [process.env['CXX'], 'c++', 'g++', 'clang++'].flatMap((candidate) => {
    const [program, ...rest] = candidate?.split(' ').filter(Boolean) ?? [];
    return program === undefined ? [] : [[program, ...rest] as const];
  });
}

/** The first C++ compiler that answers. */
export async function findCompiler(signal?: AbortSignal): Promise<Compiler | undefined> {
  for (const command of commands()) {
    try {
      const [version] = (await runCompiler({ command }, ['--version'], signal)).split('\n') as [string];
      return { command, version };
    } catch {
      signal?.throwIfAborted();
      // Not there, or not a compiler: the next.
    }
  }
  return undefined;
}

/** Resolves with what it prints; rejects with its errors, with the signal's reason, and when it takes too long. */
export async function runCompiler(
  { command }: Pick<Compiler, 'command'>,
  args: readonly string[],
  signal?: AbortSignal,
): Promise<string> {
  const [program, ...first] = command;
  const options = { timeout: COMPILER_DEADLINE_MS, killSignal: 'SIGKILL' as const, ...(signal && { signal }) };
  return (await run(program, [...first, ...args], options)).stdout;
}

/**
 * Tells the compiler from other ones and from other versions, without running it: by its path, its size and its date.
 * Undefined where no program has the name of a compiler.
 */
export function compilerIdentity(): string | undefined {
  for (const command of commands()) {
    const path = programPath(command[0]);
    if (path === undefined) continue;
    const { size, mtimeMs } = statSync(path);
    return JSON.stringify([command, path, size, mtimeMs]);
  }
  return undefined;
}

/** Where the system finds a program, links resolved. */
function programPath(program: string): string | undefined {
  const folders = program.includes('/') ? [''] : (process.env['PATH'] ?? '').split(delimiter);
  for (const folder of folders) {
    try {
      const path = realpathSync(join(folder, program));
      if (statSync(path).isFile()) return path;
    } catch {
      // Not here: the next folder.
    }
  }
  return undefined;
}
