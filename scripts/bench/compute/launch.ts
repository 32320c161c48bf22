/** How contenders' processes are started: on one core, ours as this program itself was, PyTorch's as it runs best. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError } from '../../../protocol/errors.ts';
import { startContender } from '../common/contender.ts';
import type { Contender } from '../common/contender.ts';
import type { Job } from './contender-process.ts';

const OUR_PROGRAM = fileURLToPath(new URL('./contender-process.ts', import.meta.url));
const PYTORCH_PROGRAM = fileURLToPath(new URL('./pytorch_step.py', import.meta.url));

/** What keeps a BLAS from choosing its kernels and its threads for this CPU. */
const BLAS_LIMITS = /^(OPENBLAS|GOTO|MKL|OMP|GOMP|KMP|BLIS|NVPL|DNNL|ONEDNN)_/;

export const PYTORCH_CURE = 'apt-get install python3-torch libopenblas0 libjemalloc2 (Debian), or --python';

/** A core that all contenders run on, and nothing else of ours. Undefined: the scheduler places them. */
export type Core = number | undefined;

export interface PyTorch {
  readonly python: string;
  /** The allocator to preload; undefined where it is not installed. */
  readonly jemalloc: string | undefined;
}

/** The last core that this process may use, where `taskset` can hold a process to it. */
export function defaultCore(): Core {
  if (spawnSync('taskset', ['--version']).status !== 0) return undefined;
  const allowed = /^Cpus_allowed_list:\s*(?:.*[,-])?(\d+)$/m.exec(readFileSync('/proc/self/status', 'utf8'));
  return allowed ? Number(allowed[1]) : undefined;
}

export function startOurs(name: string, job: Job, core: Core): Promise<Contender> {
  // execArgv carries the loader of TypeScript.
  const command = pinned([process.execPath, ...process.execArgv, OUR_PROGRAM], core);
  return startContender({ name, command, env: process.env, job });
}

export function startPyTorch(pytorch: PyTorch, job: object, core: Core): Promise<Contender> {
  const command = pinned([pytorch.python, PYTORCH_PROGRAM], core);
  return startContender({ name: 'PyTorch', command, env: pytorchEnvironment(pytorch), job });
}

/** One thread, whatever kernels the BLAS likes best, and memory that is kept. */
export function pytorchEnvironment({ jemalloc }: PyTorch): NodeJS.ProcessEnv {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !BLAS_LIMITS.test(name)));
  return {
    ...env,
    OMP_NUM_THREADS: '1',
    // Freed memory is kept for the next step instead of being returned and faulted in anew.
    ...(jemalloc !== undefined && { LD_PRELOAD: jemalloc, MALLOC_CONF: 'dirty_decay_ms:-1,muzzy_decay_ms:-1' }),
  };
}

/** What PyTorch's memory comes from, for people. */
export function describeAllocator({ jemalloc }: PyTorch): string {
  return jemalloc === undefined
    ? "with the system's allocator, which makes it slow: install libjemalloc2 and measure again"
    : 'under jemalloc';
}

/** A Python that has PyTorch: the one named, else the first on the path or of the system. Undefined where none has. */
export function findPyTorch(named?: string): PyTorch | undefined {
  const python = (named === undefined ? ['python3', '/usr/bin/python3'] : [named]).find(hasTorch);
  if (python !== undefined) return { python, jemalloc: findJemalloc() };
  if (named === undefined) return undefined;
  throw new ConfigError(`--python ${named}: it does not run, or has no module torch: name another, or --no-pytorch`);
}

function hasTorch(python: string): boolean {
  const script = 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)';
  return spawnSync(python, ['-c', script]).status === 0;
}

/** Where Debian (by architecture) and Fedora put it. */
function findJemalloc(): string | undefined {
  const libraries = existsSync('/usr/lib') ? readdirSync('/usr/lib').filter((name) => name.endsWith('-linux-gnu')) : [];
  const folders = [...libraries.map((name) => join('/usr/lib', name)), '/usr/lib64', '/usr/lib'];
  return folders.map((folder) => join(folder, 'libjemalloc.so.2')).find((path) => existsSync(path));
}

function pinned(command: readonly [string, ...string[]], core: Core): readonly [string, ...string[]] {
  return core === undefined ? command : ['taskset', '--cpu-list', String(core), ...command];
}
