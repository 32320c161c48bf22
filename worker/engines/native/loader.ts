/**
 * Loads the native addon: the build for the best instruction set of this CPU, or for one asked for by name.
 *
 * Tells apart: never built, no compiler at install, did not compile, built but does not load, an instruction set that
 * was not built or that this CPU lacks. Each has its reason and its cure.
 */
import { createRequire } from 'node:module';
import type { Labels } from '../../../protocol/data/labels.ts';
import { ConfigError, describeError } from '../../../protocol/errors.ts';
import type { MicrobatchResult } from '../engine.ts';
import { addonPath, instructionSetsOf, NATIVE_OUTPUT, readBuildReport } from './build-output.ts';
import type { InstructionSet } from './build-output.ts';

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

export type NativeAvailability =
  | {
      readonly available: true;
      /** What is taken when none is named. */
      readonly instructionSet: InstructionSet;
      /** All that are built and that this CPU can run, fastest first. */
      readonly instructionSets: readonly InstructionSet[];
    }
  | { readonly available: false; readonly reason: string; readonly cure: string };

const REBUILD = 'run npm run build on this machine';
const INSTALL = 'install g++ or clang++ (on Debian: apt install g++), then npm run build';

const require = createRequire(import.meta.url);

/** Whether the native engine can run here, and if not, why. `directory`: where the builds lie. */
export function nativeAvailability(directory = NATIVE_OUTPUT): NativeAvailability {
  const report = readBuildReport(directory);
  const missing = (reason: string, cure: string): NativeAvailability => ({ available: false, reason, cure });
  if (!report) return missing('its kernels were not built', REBUILD);
  if (report.status === 'no-compiler') return missing('no C++ compiler was found when it was built', INSTALL);
  if (report.status === 'failed') return missing(`its kernels did not compile (${report.log ?? 'no log'})`, REBUILD);

  const everywhere = instructionSetsOf(process.arch).at(-1)!;
  try {
    const usable = loadBuild(directory, everywhere).instructionSets.filter((set) =>
      report.instructionSets.includes(set),
    );
    return { available: true, instructionSet: usable[0] ?? everywhere, instructionSets: usable };
  } catch (error) {
    return missing(`its addon does not load: ${firstLine(describeError(error))}`, REBUILD);
  }
}

/**
 * The addon for `instructionSet`, by default the best.
 *
 * Throws `ConfigError` with reason and cure when it cannot be had.
 */
export function loadNativeAddon(instructionSet?: InstructionSet, directory = NATIVE_OUTPUT): NativeAddon {
  const availability = nativeAvailability(directory);
  if (!availability.available) {
    throw new ConfigError(`--engine native: ${availability.reason}; ${availability.cure}, or take another engine`);
  }
  const { instructionSets } = availability;
  const wanted = instructionSet ?? availability.instructionSet;
  if (!instructionSets.includes(wanted)) {
    throw new ConfigError(
      `--device ${wanted}: this CPU, or this build of the native engine, lacks it; use one of ${instructionSets.join(', ')}`,
    );
  }
  try {
    return loadBuild(directory, wanted);
  } catch (error) {
    throw new ConfigError(`--device ${wanted}: the addon does not load: ${describeError(error)}; ${REBUILD}`);
  }
}

function loadBuild(directory: string, instructionSet: InstructionSet): NativeAddon {
  return require(addonPath(directory, instructionSet)) as NativeAddon;
}

function firstLine(text: string): string {
  return text.split('\n')[0]!;
}
