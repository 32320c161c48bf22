/**
 * Builds the native engine's addon for this machine: one build for each instruction set of its architecture.
 *
 * Needs no node-gyp: a C++ compiler ($CXX, c++, g++ or clang++) and the Node-API headers of node_modules. Without a
 * compiler, or when compiling fails, the report in the output folder has the reason: the other engines work without it.
 */
import { setMaxListeners } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { nanoid } from 'nanoid';
import { writeFileAtomically } from '../../../../protocol/atomic-file.ts';
import { describeError } from '../../../../protocol/errors.ts';
import {
  addonPath,
  instructionSetsOf,
  NATIVE_OUTPUT,
  NATIVE_SOURCES,
  PLATFORM,
  readBuildReport,
  reportPath,
} from '../build-output.ts';
import type { BuildReport, InstructionSet } from '../build-output.ts';
import { findCompiler, runCompiler } from './compiler.ts';
import type { Compiler } from './compiler.ts';
import { ADDON_FLAGS, COMPILE_FLAGS, INSTRUCTION_SET_FLAGS, KERNEL_UNITS, COMMON_UNITS, LINK_FLAGS } from './recipe.ts';
import { recipeKey } from './recipe.ts';

export interface NativeBuild {
  readonly report: BuildReport;
  /** Says what was done, for people. */
  readonly line: string;
}

/**
 * Builds into `output` unless it is up to date there. What was there before stays until it is replaced, file by file, the
 * report last.
 *
 * Rejects with the signal's reason, and with the system's error where `output` cannot be written.
 */
export async function buildNative(output = NATIVE_OUTPUT, signal?: AbortSignal): Promise<NativeBuild> {
  const started = performance.now();
  // Each compiler that runs listens to it.
  if (signal) setMaxListeners(0, signal);
  await mkdir(output, { recursive: true });
  const compiler = await findCompiler(signal);
  const key = JSON.stringify([recipeKey(), compiler]);
  if (!compiler) {
    const report = await writeReport(output, { key, status: 'no-compiler', instructionSets: [] });
    const line = 'not built, no C++ compiler found ($CXX, c++, g++, clang++): install g++ or clang++ and start again';
    return { report, line };
  }
  const last = readBuildReport(output);
  if (last?.key === key && last.status === 'built' && last.instructionSets.every(isBuiltIn(output))) {
    return { report: last, line: `up to date (${last.instructionSets.join(', ')})` };
  }

  const sets = instructionSetsOf(process.arch);
  const failures = await buildAddons(compiler, sets, output, signal);
  const built = sets.filter((set) => !failures.has(set));
  const log = join(output, 'build.log');
  if (failures.size > 0) await writeFile(log, [...failures.values()].join('\n'));
  // The build for every CPU is the one that tells what this CPU can run: without it there is no addon.
  const status = failures.has(sets.at(-1)!) ? 'failed' : 'built';
  const made = { key, status, instructionSets: built, compiler: compiler.version } as const;
  const report = await writeReport(output, failures.size > 0 ? { ...made, log } : made);

  if (status === 'failed') return { report, line: `not built, ${compiler.version} failed: see ${log}` };
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const without = failures.size > 0 ? `, but not for ${[...failures.keys()].join(', ')}: see ${log}` : '';
  return { report, line: `built for ${built.join(', ')} in ${seconds} s with ${compiler.version}${without}` };
}

/** Compiles all units at once, links an addon for each instruction set; returns what went wrong with which. */
async function buildAddons(
  compiler: Compiler,
  sets: readonly InstructionSet[],
  output: string,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<InstructionSet, string>> {
  const failures = new Map<InstructionSet, string>();
  const scratch = join(output, `${SCRATCH_PREFIX}${nanoid(8)}`);
  await mkdir(scratch, { recursive: true });
  const into = { compiler, scratch, signal };
  const common = COMMON_UNITS.map((unit) => compile(into, unit, [], `${unit}.o`));
  await Promise.all(
    sets.map(async (set) => {
      const own = Object.entries(KERNEL_UNITS).map(([unit, flags]) =>
        compile(into, unit, [...INSTRUCTION_SET_FLAGS[set], ...flags], `${unit}-${set}.o`),
      );
      // All are waited for, whatever fails: none may write into a folder that is gone.
      await Promise.allSettled([...own, ...common]);
      try {
        const addon = join(scratch, `${set}.node`);
        const objects = await Promise.all([...own, ...common]);
        await runCompiler(compiler, ['-shared', '-pthread', ...LINK_FLAGS, ...objects, '-o', addon], signal);
        // A running program keeps the file that it loaded.
        await rename(addon, addonPath(output, set));
      } catch (error) {
        failures.set(set, `${set}: ${describeError(error)}\n`);
      }
    }),
  );
  await rm(scratch, { recursive: true, force: true });
  signal?.throwIfAborted();
  return failures;
}

/** How folders begin in which compilers write: one is left behind by a process that was killed. */
export const SCRATCH_PREFIX = 'build-in-';

interface Compilation {
  readonly compiler: Compiler;
  readonly scratch: string;
  readonly signal: AbortSignal | undefined;
}

/** Resolves with the object file. */
async function compile(
  { compiler, scratch, signal }: Compilation,
  unit: string,
  flags: readonly string[],
  name: string,
): Promise<string> {
  const source = join(NATIVE_SOURCES, `${unit}.cpp`);
  const object = join(scratch, name);
  const allFlags = [...COMPILE_FLAGS, ...ADDON_FLAGS, ...flags, '-I', nodeApiHeaders()];
  await runCompiler(compiler, [...allFlags, '-c', source, '-o', object], signal);
  return object;
}

function isBuiltIn(output: string): (set: InstructionSet) => boolean {
  return (set) => existsSync(addonPath(output, set));
}

async function writeReport(output: string, made: BuildReport): Promise<BuildReport> {
  const report = { ...made, platform: PLATFORM };
  await writeFileAtomically(reportPath(output), JSON.stringify(report));
  return report;
}

function nodeApiHeaders(): string {
  return join(dirname(createRequire(import.meta.url).resolve('node-api-headers')), 'include');
}
