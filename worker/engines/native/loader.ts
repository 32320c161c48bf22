/**
 * Loads the native addon: the build for the best instruction set of this CPU, or for one asked for by name.
 *
 * Tells apart: never built, no compiler, did not compile, built for another machine, built but does not load, an
 * instruction set that was not built or that this CPU lacks. Each has its reason and its cure.
 */
import { createRequire } from 'node:module';
import type { Labels } from '../../../protocol/data/labels.ts';
import { ConfigError, describeError } from '../../../protocol/errors.ts';
import type { MicrobatchResult } from '../engine.ts';
import { addonPath, instructionSetsOf, NATIVE_OUTPUT, PLATFORM, readBuildReport } from './build-output.ts';
import type { InstructionSet } from './build-output.ts';
import { cachedBuilds } from './build/cached-build.ts';

/** A build that failed fails again: only after this time is it tried again, so that each of many workers need not. */
export const RETRY_MINUTES = 10;

/** A network in the addon; opaque. */
export interface NativeHandle {
  readonly native: unique symbol;
}

type Bytes = Uint8Array<ArrayBuffer>;
type Floats = Float32Array<ArrayBuffer>;

type FiveNumbers = [number, number, number, number, number];
type TenNumbers = [...FiveNumbers, ...FiveNumbers];

type ComputeGradient<Result> = (
  handle: NativeHandle,
  images: Bytes,
  labels: Labels,
  numSamples: number,
  gradient: Floats,
  statistics: Floats,
  masks: Bytes,
) => Result;

/** What addon.cpp exports. Wrong sizes and types throw RangeError and TypeError. */
export interface NativeAddon {
  /** What this build is for. */
  readonly instructionSet: InstructionSet;
  /** What this CPU can run, fastest first. */
  readonly instructionSets: readonly InstructionSet[];
  /** `plan`: 19 numbers a layer. Keeps `parameters` and `buffers`, and reads them at every call. */
  create(
    plan: Int32Array,
    inputSize: number,
    numClasses: number,
    maxBatch: number,
    threads: number,
    parameters: Floats,
    buffers: Floats,
    labelSmoothing: number,
    numDropoutUnits: number,
  ): NativeHandle;
  /** One call at a time. Overwrites `gradient` and `statistics`. `masks`: [numSamples, numDropoutUnits], 1 for what is kept. */
  readonly computeGradient: ComputeGradient<Promise<MicrobatchResult>>;
  /** The same on the calling thread: nothing else happens there in the meantime. */
  readonly computeGradientNow: ComputeGradient<MicrobatchResult>;
  /** `outputs` of no length: they are not copied. */
  evaluate(
    ...args: [handle: NativeHandle, images: Bytes, labels: Labels, numSamples: number, outputs: Floats]
  ): Promise<MicrobatchResult>;
  /** Frees the network, at once or after the call under way. A second time: nothing. */
  dispose(handle: NativeHandle): void;

  // Element by element, at once, rounded after every operation: vector-math.h. All vectors are of one length.
  readonly addVectors: (sum: Float32Array, left: Float32Array, right: Float32Array) => void;
  readonly subtractVectors: (difference: Float32Array, left: Float32Array, right: Float32Array) => void;
  readonly divideVector: (mean: Float32Array, sum: Float32Array, divisor: number) => boolean;
  readonly isFiniteVector: (values: Float32Array) => boolean;
  readonly sumOfSquares: (values: Float32Array) => number;
  // Of the rules, gradientScale is what clipping multiplies the gradient by, 1 where it does not.
  descend(
    ...args: [parameters: Float32Array, gradient: Float32Array, rate: number, decay: number, gradientScale: number]
  ): void;
  /** The last five: rate, decay, momentum, 1 for Nesterov or 0, gradientScale. */
  descendWithMomentum(
    ...args: [parameters: Float32Array, gradient: Float32Array, velocity: Float32Array, ...rates: FiveNumbers]
  ): void;
  /** The last ten: beta1, beta2, rest1, rest2, epsilon, stepSize, scale, gradientDecay, parameterDecay, gradientScale. */
  adapt(
    ...args: [
      ...vectors: [parameters: Float32Array, gradient: Float32Array, first: Float32Array, second: Float32Array],
      ...rates: TenNumbers,
    ]
  ): void;

  // The loops of protocol/vectors/encoding.ts: encodings.h.
  readonly encodeBf16: (bytes: Bytes, values: Floats) => void;
  readonly decodeBf16: (values: Floats, bytes: Bytes) => void;
  readonly encodeF16: (bytes: Bytes, values: Floats) => void;
  readonly decodeF16: (values: Floats, bytes: Bytes) => void;
  readonly encodeInt8: (bytes: Bytes, values: Floats) => void;
  readonly decodeInt8: (values: Floats, bytes: Bytes) => void;

  /**
   * Tells the C library to keep memory that was freed, up to 1 GiB, instead of returning it to the system: it costs a
   * page fault for every 4 KiB to get it back. Whether that could be done: with glibc.
   */
  readonly keepFreedMemory: () => boolean;

  /** Memory that other processes of this user may map, see shared-memory.cpp. Throws where the system has none. */
  readonly createSharedMemory: (numBytes: number) => { descriptor: number; memory: ArrayBuffer };
  readonly openSharedMemory: (processId: number, descriptor: number, numBytes: number) => ArrayBuffer;

  /** rows[i] <- table[indices[i]], rows of `rowBytes` bytes. `rows` may be longer. */
  readonly gatherRows: (rows: Uint8Array, table: Uint8Array, indices: Uint32Array, rowBytes: number) => void;
}

export interface NativeRefusal {
  readonly available?: false;
  readonly reason: string;
  readonly cure: string;
}

interface Usable {
  readonly available: true;
  /** What is taken when none is named. */
  readonly instructionSet: InstructionSet;
  /** All that are built and that this CPU can run, fastest first. */
  readonly instructionSets: readonly InstructionSet[];
  /** Where the builds lie. */
  readonly directory: string;
}

export type NativeAvailability = Usable | (NativeRefusal & { readonly available: false });

const START_AGAIN = 'start again: it is then built anew';

export const NO_COMPILER: NativeRefusal = {
  reason: 'no C++ compiler was found',
  cure: 'install g++ or clang++ (on Debian: apt install g++) and start again',
};

const NOT_BUILT: NativeRefusal = {
  reason: 'its kernels were not built',
  cure: 'run gradsock engines, which builds them for this machine',
};

const require = createRequire(import.meta.url);

/** What was found in this process: a build that was loaded stays the one that is used. */
let settled: NativeAvailability | undefined;

/**
 * Whether the native engine can run here, and if not, why. Builds nothing: see `build/prepare-native.ts`.
 *
 * The package's own build comes first, then that of this machine's compiler in the user's cache, then any other there
 * that loads.
 */
export function nativeAvailability(): NativeAvailability {
  return (settled ??= search());
}

/** Searches anew at the next call. `refusal`: what to say where nothing is found then. */
export function settleNative(refusal?: NativeRefusal): void {
  settled = search(refusal);
}

function search(refusal?: NativeRefusal): NativeAvailability {
  const own = availabilityIn(NATIVE_OUTPUT);
  if (own.available) return own;
  const builds = cachedBuilds();
  const cached = builds?.own === undefined ? undefined : availabilityIn(builds.own);
  if (cached?.available) return cached;
  for (const directory of builds?.others ?? []) {
    const other = availabilityIn(directory);
    if (other.available) return other;
  }
  // The most telling: what a build has just said, then what an earlier one has left.
  const { reason, cure } = refusal ?? [cached, own].find((found) => found && found.reason !== NOT_BUILT.reason) ?? own;
  return { available: false, reason, cure };
}

/** The same for the builds in one folder. */
export function availabilityIn(directory: string): NativeAvailability {
  const report = readBuildReport(directory);
  const missing = (reason: string, cure: string) => ({ available: false, reason, cure }) as const;
  if (!report) return missing(NOT_BUILT.reason, NOT_BUILT.cure);
  if (report.status === 'no-compiler') return missing(NO_COMPILER.reason, NO_COMPILER.cure);
  if (report.status === 'failed') {
    const cure = `read that file; the next start after ${RETRY_MINUTES} minutes tries again`;
    return missing(`its kernels did not compile (${report.log ?? 'no log'})`, cure);
  }
  if (report.platform !== undefined && report.platform !== PLATFORM) {
    return missing(`its kernels were built for ${report.platform}, and this is ${PLATFORM}`, START_AGAIN);
  }
  const everywhere = instructionSetsOf(process.arch).at(-1)!;
  try {
    const usable = loadBuild(directory, everywhere).instructionSets.filter((set) =>
      report.instructionSets.includes(set),
    );
    return { available: true, instructionSet: usable[0] ?? everywhere, instructionSets: usable, directory };
  } catch (error) {
    const cure = `delete ${directory} and ${START_AGAIN}`;
    return missing(`its addon does not load: ${firstLine(describeError(error))}`, cure);
  }
}

/**
 * The addon for `instructionSet`, by default the best.
 *
 * Throws `ConfigError` with reason and cure when it cannot be had.
 */
export function loadNativeAddon(instructionSet?: InstructionSet, availability = nativeAvailability()): NativeAddon {
  if (!availability.available) {
    throw new ConfigError(`--engine native: ${availability.reason}; ${availability.cure}, or take another engine`);
  }
  const { instructionSets, directory } = availability;
  const wanted = instructionSet ?? availability.instructionSet;
  if (!instructionSets.includes(wanted)) {
    throw new ConfigError(
      `--device ${wanted}: this CPU, or this build of the native engine, lacks it; use one of ${instructionSets.join(', ')}`,
    );
  }
  try {
    return loadBuild(directory, wanted);
  } catch (error) {
    throw new ConfigError(
      `--device ${wanted}: the addon does not load: ${describeError(error)}; delete ${directory} and ${START_AGAIN}`,
    );
  }
}

function loadBuild(directory: string, instructionSet: InstructionSet): NativeAddon {
  return require(addonPath(directory, instructionSet)) as NativeAddon;
}

function firstLine(text: string): string {
  return text.split('\n')[0]!;
}
