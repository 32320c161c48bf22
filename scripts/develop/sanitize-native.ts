/**
 * Builds the native kernels with the address and undefined-behaviour sanitizers, and runs their self-test: odd shapes
 * and batch sizes against plain loops. Exits 1 on any finding. Without a compiler it says so and exits 0.
 *
 * Every instruction set that this CPU has is tested, two at a time.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describeError } from '../../protocol/errors.ts';
import { instructionSetsOf, NATIVE_SOURCES } from '../../worker/engines/native/build-output.ts';
import type { InstructionSet } from '../../worker/engines/native/build-output.ts';
import { nativeAvailability } from '../../worker/engines/native/loader.ts';
import { findCompiler, runCompiler } from '../../worker/engines/native/build/compiler.ts';
import type { Compiler } from '../../worker/engines/native/build/compiler.ts';
import { COMPILE_FLAGS, INSTRUCTION_SET_FLAGS } from '../../worker/engines/native/build/recipe.ts';

const run = promisify(execFile);
const UNITS = ['selftest', 'network', 'network-plan', 'thread-pool'];
const SANITIZER_FLAGS = ['-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

async function selfTest(compiler: Compiler, set: InstructionSet, directory: string): Promise<string> {
  const program = join(directory, `selftest-${set}`);
  const sources = UNITS.map((unit) => join(NATIVE_SOURCES, `${unit}.cpp`));
  const flags = [...COMPILE_FLAGS, ...INSTRUCTION_SET_FLAGS[set], ...SANITIZER_FLAGS];
  await runCompiler(compiler, [...flags, ...sources, '-o', program]);
  const { stdout } = await run(program);
  return `${set}: ${stdout.trim()}`;
}

const compiler = await findCompiler();
if (!compiler) {
  process.stdout.write('native self-test: skipped, no C++ compiler found\n');
} else {
  const availability = nativeAvailability();
  const here = availability.available ? availability.instructionSets : instructionSetsOf(process.arch).slice(-1);
  const directory = await mkdtemp(join(tmpdir(), 'gradsock-sanitize-'));
  try {
    const results = await Promise.allSettled(here.map((set) => selfTest(compiler, set, directory)));
    for (const result of results) {
      if (result.status === 'fulfilled') {
        process.stdout.write(`${result.value}\n`);
      } else {
        process.stdout.write(`${describeError(result.reason)}\n`);
        process.exitCode = 1;
      }
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
