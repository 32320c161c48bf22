/** What the native addon is compiled from, and with which flags. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { NATIVE_SOURCES } from '../build-output.ts';
import type { InstructionSet } from '../build-output.ts';

/** Compiled once, for every CPU. */
export const COMMON_UNITS = ['addon', 'vector-addon', 'network-plan', 'shared-memory', 'thread-pool'];
/** Compiled once for each instruction set: the kernels, and the element-wise loops, which must not be contracted. */
export const KERNEL_UNITS: Record<string, readonly string[]> = {
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
export const ADDON_FLAGS = ['-fPIC', '-fvisibility=hidden', '-DNDEBUG'];
/** Node's own symbols are found when the addon is loaded; macOS wants that said. */
export const LINK_FLAGS = process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : [];

/**
 * A hash of all that a build depends on besides the compiler: sources, flags, operating system and architecture. Node's
 * version is not among it: the addon uses Node-API, which does not change. Undefined where the sources are not there, as
 * in a bundle.
 */
export function recipeKey(): string | undefined {
  return (computed ??= existsSync(NATIVE_SOURCES) ? hashRecipe(NATIVE_SOURCES) : undefined);
}

/** It takes two milliseconds, and does not change while the process runs. */
let computed: string | undefined;

function hashRecipe(sources: string): string {
  const hash = createHash('sha256');
  const flags = [COMPILE_FLAGS, ADDON_FLAGS, LINK_FLAGS, INSTRUCTION_SET_FLAGS, COMMON_UNITS, KERNEL_UNITS];
  hash.update(JSON.stringify([flags, process.platform, process.arch]));
  for (const name of readdirSync(sources).sort()) {
    if (/\.(cpp|h)$/.test(name)) hash.update(name).update(readFileSync(join(sources, name)));
  }
  return hash.digest('hex');
}
