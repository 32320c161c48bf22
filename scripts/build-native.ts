/**
 * Builds the native engine's addon for this machine: one build for each instruction set of its architecture. Part of
 * `npm run build`.
 *
 * Needs no node-gyp: a C++ compiler ($CXX, c++, g++ or clang++) and the Node-API headers of node_modules. Without a
 * compiler, or when compiling fails, it says so in one line, leaves the reason for the loader and exits 0: the other
 * engines work without it.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, realpathSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describeError } from '../protocol/errors.ts';
import {
  addonPath,
  instructionSetsOf,
  NATIVE_OUTPUT,
  NATIVE_SOURCES,
  readBuildReport,
  reportPath,
} from '../worker/engines/native/build-output.ts';
import type { BuildReport, InstructionSet } from '../worker/engines/native/build-output.ts';

const run = promisify(execFile);

/** Compiled once, for every CPU. */
const COMMON_UNITS = ['addon', 'vector-addon', 'network-plan', 'shared-memory', 'thread-pool'];
/** Compiled once for each instruction set: the kernels, and the element-wise loops, which must not be contracted. */
const KERNEL_UNITS: Record<string, readonly string[]> = {
  network: [],
  'vector-math': ['-ffp-contract=off', '-fno-math-errno'],
  encodings: ['-ffp-contract=off'],
};

/** The features that `cpu.h` asks the CPU for, and no more. */
export const INSTRUCTION_SET_FLAGS: Record<InstructionSet, readonly string[]> = {
  avx512: ['-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl', '-mavx2', '-mfma'],
  avx2: ['-mavx2', '-mfma'],
  neon: [],
  baseline: [],
};

/** No -ffast-math: a NaN must stay one. Contraction to fused multiply-adds is what the kernels are written for. */
export const COMPILE_FLAGS = ['-std=c++17', '-O3', '-ffp-contract=fast', '-Wall', '-Wextra', '-pthread'];
const ADDON_FLAGS = ['-fPIC', '-fvisibility=hidden', '-DNDEBUG'];
/** Node's own symbols are found when the addon is loaded; macOS wants that said. */
const LINK_FLAGS = process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : [];

export interface Compiler {
  /** The program and its first arguments: $CXX may be "ccache g++". */
  readonly command: readonly [string, ...string[]];
  /** First line of --version. */
  readonly version: string;
}

/** The first C++ compiler that answers. */
export async function findCompiler(): Promise<Compiler | undefined> {
  for (const candidate of [process.env['CXX'], 'c++', 'g++', 'clang++']) {
    const [program, ...rest] = candidate?.split(' ').filter(Boolean) ?? [];
    if (program === undefined) continue;
    const command = [program, ...rest] as const;
    try {
      return { command, version: (await runCompiler({ command }, ['--version'])).split('\n')[0]! };
    } catch {
      // Not there, or not a compiler: the next.
    }
  }
  return undefined;
}

/** Resolves with what it prints; rejects with its errors. */
export async function runCompiler({ command }: Pick<Compiler, 'command'>, args: readonly string[]): Promise<string> {
  const [program, ...first] = command;
  return (await run(program, [...first, ...args])).stdout;
}

/** Builds into `output` unless it is up to date. Resolves with the line that says what was done. */
export async function buildNative(output = NATIVE_OUTPUT): Promise<string> {
  const started = performance.now();
  await mkdir(output, { recursive: true });
  const compiler = await findCompiler();
  const key = await buildKey(compiler);
  if (!compiler) {
    await writeReport(output, { key, status: 'no-compiler', instructionSets: [] });
    return 'not built, no C++ compiler found ($CXX, c++, g++, clang++): install g++ or clang++, then npm run build';
  }
  const last = readBuildReport(output);
  if (last?.key === key && last.status === 'built' && last.instructionSets.every(isBuiltIn(output))) {
    return `up to date (${last.instructionSets.join(', ')})`;
  }

  const sets = instructionSetsOf(process.arch);
  const failures = await buildAddons(compiler, sets, output);
  const built = sets.filter((set) => !failures.has(set));
  const log = join(output, 'build.log');
  if (failures.size > 0) await writeFile(log, [...failures.values()].join('\n'));
  // The build for every CPU is the one that tells what this CPU can run: without it there is no addon.
  const status = failures.has(sets.at(-1)!) ? 'failed' : 'built';
  const report = { key, status, instructionSets: built, compiler: compiler.version } as const;
  await writeReport(output, failures.size > 0 ? { ...report, log } : report);

  if (status === 'failed') return `not built, ${compiler.version} failed: see ${log}`;
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const without = failures.size > 0 ? `, but not for ${[...failures.keys()].join(', ')}: see ${log}` : '';
  return `built for ${built.join(', ')} in ${seconds} s with ${compiler.version}${without}`;
}

/** Compiles all units at once, links an addon for each instruction set; returns what went wrong with which. */
async function buildAddons(
  compiler: Compiler,
  sets: readonly InstructionSet[],
  output: string,
): Promise<ReadonlyMap<InstructionSet, string>> {
  const failures = new Map<InstructionSet, string>();
  const scratch = join(output, `build-${process.pid}`);
  await mkdir(scratch, { recursive: true });
  const common = COMMON_UNITS.map((unit) => compile(compiler, unit, [], join(scratch, `${unit}.o`)));
  await Promise.all(
    sets.map(async (set) => {
      const own = Object.entries(KERNEL_UNITS).map(([unit, flags]) =>
        compile(compiler, unit, [...INSTRUCTION_SET_FLAGS[set], ...flags], join(scratch, `${unit}-${set}.o`)),
      );
      // All are waited for, whatever fails: none may write into a folder that is gone.
      await Promise.allSettled([...own, ...common]);
      try {
        const addon = join(scratch, `${set}.node`);
        const objects = await Promise.all([...own, ...common]);
        await runCompiler(compiler, ['-shared', '-pthread', ...LINK_FLAGS, ...objects, '-o', addon]);
        // A running program keeps the file that it loaded.
        await rename(addon, addonPath(output, set));
      } catch (error) {
        failures.set(set, `${set}: ${describeError(error)}\n`);
      }
    }),
  );
  await rm(scratch, { recursive: true, force: true });
  return failures;
}

/** Resolves with the object file. */
async function compile(compiler: Compiler, unit: string, flags: readonly string[], object: string): Promise<string> {
  const source = join(NATIVE_SOURCES, `${unit}.cpp`);
  const allFlags = [...COMPILE_FLAGS, ...ADDON_FLAGS, ...flags, '-I', nodeApiHeaders()];
  await runCompiler(compiler, [...allFlags, '-c', source, '-o', object]);
  return object;
}

function isBuiltIn(output: string): (set: InstructionSet) => boolean {
  return (set) => existsSync(addonPath(output, set));
}

/** All that a build depends on, hashed. */
async function buildKey(compiler: Compiler | undefined): Promise<string> {
  const hash = createHash('sha256');
  hash.update(
    JSON.stringify([compiler, COMPILE_FLAGS, ADDON_FLAGS, INSTRUCTION_SET_FLAGS, KERNEL_UNITS, process.arch]),
  );
  for (const name of (await readdir(NATIVE_SOURCES)).sort()) {
    if (/\.(cpp|h)$/.test(name)) hash.update(name).update(await readFile(join(NATIVE_SOURCES, name)));
  }
  return hash.digest('hex');
}

async function writeReport(output: string, report: BuildReport): Promise<void> {
  const temporary = `${reportPath(output)}.${process.pid}`;
  await writeFile(temporary, JSON.stringify(report));
  await rename(temporary, reportPath(output));
}

function nodeApiHeaders(): string {
  return join(dirname(createRequire(import.meta.url).resolve('node-api-headers')), 'include');
}

if (import.meta.url === pathToFileURL(realpathSync(process.argv[1] ?? '.')).href) {
  // Whatever goes wrong, an install goes on: the loader tells the rest.
  const line = await buildNative().catch((error: unknown) => `not built: ${describeError(error)}`);
  process.stdout.write(`native engine: ${line}\n`);
}
