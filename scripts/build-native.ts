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
import { realpathSync } from 'node:fs';
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

/** Compiled once, for every CPU; the kernels, all in network.cpp, once for each instruction set. */
const COMMON_UNITS = ['addon', 'network-plan', 'thread-pool'];
const KERNEL_UNIT = 'network';

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
  readonly command: string;
  /** First line of --version. */
  readonly version: string;
}

/** The first C++ compiler that answers. */
export async function findCompiler(): Promise<Compiler | undefined> {
  for (const command of [process.env['CXX'], 'c++', 'g++', 'clang++']) {
    if (!command) continue;
    try {
      const { stdout } = await run(command, ['--version']);
      return { command, version: stdout.split('\n')[0]! };
    } catch {
      // Not there, or not a compiler: the next.
    }
  }
  return undefined;
}

/** Builds into `output` unless it is up to date. Resolves with the line that says what was done. */
export async function buildNative(output = NATIVE_OUTPUT): Promise<string> {
  const started = performance.now();
  await mkdir(output, { recursive: true });
  const compiler = await findCompiler();
  const key = await buildKey(compiler);
  if (!compiler) {
    await writeReport(output, { key, status: 'no-compiler', instructionSets: [] });
    return 'native engine: not built, no C++ compiler found ($CXX, c++, g++, clang++): install g++ or clang++, then npm run build';
  }
  const last = readBuildReport(output);
  if (last?.key === key && last.status === 'built')
    return `native engine: up to date (${last.instructionSets.join(', ')})`;

  const sets = instructionSetsOf(process.arch);
  const failures: string[] = [];
  const built: InstructionSet[] = [];
  const scratch = join(output, `build-${process.pid}`);
  await mkdir(scratch, { recursive: true });
  const common = Promise.all(COMMON_UNITS.map((unit) => compile(compiler, unit, [], join(scratch, `${unit}.o`))));
  await Promise.all(
    sets.map(async (set) => {
      try {
        const kernels = await compile(compiler, KERNEL_UNIT, INSTRUCTION_SET_FLAGS[set], join(scratch, `${set}.o`));
        const addon = join(scratch, `${set}.node`);
        await run(compiler.command, ['-shared', '-pthread', ...LINK_FLAGS, kernels, ...(await common), '-o', addon]);
        // A running program keeps the file that it loaded.
        await rename(addon, addonPath(output, set));
        built.push(set);
      } catch (error) {
        failures.push(`${set}: ${describeError(error)}\n`);
      }
    }),
  );
  await rm(scratch, { recursive: true, force: true });
  const log = join(output, 'build.log');
  if (failures.length > 0) await writeFile(log, failures.join('\n'));
  // The build for every CPU is the one that tells what this CPU can run: without it there is no addon.
  const status = built.includes(sets.at(-1)!) ? 'built' : 'failed';
  const instructionSets = sets.filter((set) => built.includes(set));
  const report = { key, status, instructionSets, compiler: compiler.version } as const;
  await writeReport(output, failures.length > 0 ? { ...report, log } : report);

  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (status === 'failed') return `native engine: not built, ${compiler.version} failed: see ${log}`;
  const without =
    failures.length > 0 ? `, but not for ${sets.filter((set) => !built.includes(set)).join(', ')}: see ${log}` : '';
  return `native engine: built for ${instructionSets.join(', ')} in ${seconds} s with ${compiler.version}${without}`;
}

/** Resolves with the object file. */
async function compile({ command }: Compiler, unit: string, flags: readonly string[], object: string): Promise<string> {
  const source = join(NATIVE_SOURCES, `${unit}.cpp`);
  await run(command, [...COMPILE_FLAGS, ...ADDON_FLAGS, ...flags, '-I', nodeApiHeaders(), '-c', source, '-o', object]);
  return object;
}

/** All that a build depends on, hashed. */
async function buildKey(compiler: Compiler | undefined): Promise<string> {
  const hash = createHash('sha256');
  hash.update(
    JSON.stringify([compiler, COMPILE_FLAGS, ADDON_FLAGS, INSTRUCTION_SET_FLAGS, process.arch, process.platform]),
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
  process.stdout.write(`${await buildNative()}\n`);
}
