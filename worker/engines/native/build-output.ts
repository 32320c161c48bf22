/**
 * Where the native addon's builds lie, and the report that `build/build-native.ts` leaves beside them.
 *
 * The same places from the sources and from dist/: the sources' folder under the package root, and the package's own
 * build under its dist/. A build in the user's cache has another folder: see `build/cached-build.ts`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

/** A build is made for each instruction set of the machine's architecture, fastest first. */
export const INSTRUCTION_SETS = ['avx512', 'avx2', 'neon', 'baseline'] as const;
export type InstructionSet = (typeof INSTRUCTION_SETS)[number];

/** What an architecture (`process.arch`) is built for. The last runs on every CPU of it. */
export function instructionSetsOf(architecture: string): readonly [...InstructionSet[], InstructionSet] {
  if (architecture === 'x64') return ['avx512', 'avx2', 'baseline'];
  return architecture === 'arm64' ? ['neon'] : ['baseline'];
}

const buildReportSchema = z.object({
  /** Hash of all that the build depends on: equal means up to date. */
  key: z.string(),
  status: z.enum(['built', 'no-compiler', 'failed']),
  instructionSets: z.array(z.enum(INSTRUCTION_SETS)),
  /** "g++ (Debian 12.2.0-14) 12.2.0", where there is one. */
  compiler: z.string().optional(),
  /** Path of the compiler's output, where something failed. */
  log: z.string().optional(),
  /** What it was built for: see {@link PLATFORM}. Missing in reports of earlier versions. */
  platform: z.string().optional(),
});

export type BuildReport = z.infer<typeof buildReportSchema>;

/** Operating system and architecture of this machine: "linux-x64". A folder may be shared by machines of several. */
export const PLATFORM = `${process.platform}-${process.arch}`;

/** The nearest folder upwards that has a package.json. */
const PACKAGE_ROOT = findPackageRoot(dirname(fileURLToPath(import.meta.url)));
export const NATIVE_SOURCES = join(PACKAGE_ROOT, 'worker/engines/native');
export const NATIVE_OUTPUT = join(PACKAGE_ROOT, 'dist/worker/engines/native');

export function addonPath(directory: string, instructionSet: InstructionSet): string {
  return join(directory, `gradsock-${instructionSet}.node`);
}

export function reportPath(directory: string): string {
  return join(directory, 'build-report.json');
}

/** The last build's report; undefined where there was none, or none that can be read. */
export function readBuildReport(directory: string): BuildReport | undefined {
  try {
    return buildReportSchema.parse(JSON.parse(readFileSync(reportPath(directory), 'utf8')));
  } catch {
    return undefined;
  }
}

function findPackageRoot(directory: string): string {
  if (existsSync(join(directory, 'package.json'))) return directory;
  const parent = dirname(directory);
  return parent === directory ? process.cwd() : findPackageRoot(parent);
}
