/**
 * Starts a TensorFlow.js backend, or says why it cannot be had: its package is not installed, the package lacks its
 * native half, it loads but sees no GPU, another part of the process holds TensorFlow, or it does not start.
 *
 * A started backend stays for the life of the process, as do its threads: the first engine on it decides how many.
 */
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import * as tf from '@tensorflow/tfjs';
import type * as wasm from '@tensorflow/tfjs-backend-wasm';
import { ConfigError, describeError } from '../../../protocol/errors.ts';
import { visibleGpus } from '../gpus.ts';
import { demandPackages, isNotInstalled, MissingPackageError } from '../optional-packages.ts';
import type { Refusal } from '../optional-packages.ts';
import { DEVICE_NAMES, DEVICES, installCommand, notInstalled, rebuildCommands } from './devices.ts';
import type { NativePackage, TfjsDevice, TfjsDeviceName } from './devices.ts';
import { registerWasmKernels } from './wasm-kernels.ts';

export interface StartedBackend {
  readonly device: TfjsDeviceName;
  /** To be made TensorFlow.js's current backend before an operation. */
  readonly backend: TfjsDevice['backend'];
  /** How many really compute. */
  readonly threads: number;
}

/** What the loader touches outside of itself; tests bring their own. */
export interface LoaderHost {
  /** `require`: throws what Node throws. */
  readonly load: (packageName: string) => unknown;
  /** Of an installed package, known without loading it; throws what Node throws. */
  readonly versionOf: (packageName: string) => string;
  /** Whether the machine has an NVIDIA GPU. */
  readonly hasGpu: () => Promise<boolean>;
  readonly tensorflow: Pick<typeof tf, 'enableProdMode' | 'setBackend'> & {
    /** What was registered under a name, started or not; null or undefined for nothing. */
    readonly findBackendFactory: (name: string) => unknown;
    /** A started backend. */
    readonly findBackend: (name: string) => unknown;
  };
  /** Loads the package of the backend wasm. Throws `ConfigError` with the cure where it is not installed. */
  readonly loadWasm: () => Promise<Pick<typeof wasm, 'getThreadsCount' | 'setThreadsCount'>>;
  readonly registerWasmKernels: () => void;
  /** Node's `util` module. */
  readonly util: Record<string, unknown>;
  readonly environment: NodeJS.ProcessEnv;
}

/** The native half of either package. */
const BINDING = 'tfjs_binding.node';

const require = createRequire(import.meta.url);

const HOST: LoaderHost = {
  load: require,
  versionOf: (packageName) => (require(`${packageName}/package.json`) as { version: string }).version,
  hasGpu: async () => (await visibleGpus()).length > 0,
  tensorflow: tf,
  loadWasm() {
    demandPackages('tfjs', 'wasm');
    return import('@tensorflow/tfjs-backend-wasm');
  },
  registerWasmKernels,
  // The object that packages get from `require`; an import's namespace could not be written to.
  util: require('node:util') as Record<string, unknown>,
  environment: process.env,
};

/**
 * Starts the backend of `device`, or for undefined of the first device that can be had.
 *
 * Throws `ConfigError` with reason and cure when that cannot be done, and for an unknown device.
 */
export async function startBackend(
  device: string | undefined,
  threads: number,
  host: LoaderHost = HOST,
): Promise<StartedBackend> {
  if (device !== undefined) return startDevice(checkedName(device), threads, host);
  const refusals: string[] = [];
  for (const name of DEVICE_NAMES) {
    const { native }: TfjsDevice = DEVICES[name];
    // To load the package for GPUs takes seconds, and it logs errors of CUDA's.
    if (native?.needsGpu && !(await host.hasGpu())) {
      refusals.push(`--engine tfjs: no NVIDIA GPU for ${name}`);
      continue;
    }
    try {
      return await startDevice(name, threads, host);
    } catch (error) {
      refusals.push(describeError(error));
      // The plain cpu, which comes next, is too slow to be taken because a package is missing.
      if (error instanceof MissingPackageError) break;
    }
  }
  throw new ConfigError(refusals.join('; '));
}

function checkedName(device: string): TfjsDeviceName {
  if (!Object.hasOwn(DEVICES, device)) {
    throw new ConfigError(`--device ${device}: the tfjs engine runs on ${DEVICE_NAMES.join(', ')}; choose one of them`);
  }
  return device as TfjsDeviceName;
}

async function startDevice(device: TfjsDeviceName, threads: number, host: LoaderHost): Promise<StartedBackend> {
  const { backend, native }: TfjsDevice = DEVICES[device];
  // The plain cpu backend greets each process on the console with advice to install another; this mode does not.
  host.tensorflow.enableProdMode();
  switch (backend) {
    case 'tensorflow':
      return { device, backend, threads: await startNative(native!, threads, host) };
    case 'wasm': {
      const settings = await host.loadWasm();
      settings.setThreadsCount(threads);
      await keepingListeners(() => startByName(backend, host));
      host.registerWasmKernels();
      // In Node the backend always runs on one thread: its build for several is for browsers' workers.
      return { device, backend, threads: settings.getThreadsCount() };
    }
    case 'cpu':
      await startByName(backend, host);
      return { device, backend, threads: 1 };
  }
}

/** Loads a package that registers the backend `tensorflow`. Returns its number of threads. */
async function startNative(native: NativePackage, threads: number, host: LoaderHost): Promise<number> {
  const { tensorflow, environment } = host;
  setDefaults(environment, threads);
  const numThreads = threadsOf(environment);
  replaceUtil(host.util);
  try {
    const version = host.versionOf(native.name);
    // It would register all the same: all copies of TensorFlow.js in a process share one table of backends.
    if (version !== tf.version_core) {
      const reason = `it is of version ${version}, and TensorFlow.js of ${tf.version_core}`;
      throw refusal(native, { reason, cure: `run ${installCommand(native)}` });
    }
    host.load(native.name);
  } catch (error) {
    throw error instanceof ConfigError ? error : refusal(native, reasonOf(error, native), { cause: error });
  }
  if (!tensorflow.findBackendFactory('tensorflow')) {
    throw refusal(native, { reason: 'it brings no backend', cure: `run ${installCommand(native)} anew` });
  }
  await startByName('tensorflow', host);

  const { isUsingGpuDevice } = tensorflow.findBackend('tensorflow') as { isUsingGpuDevice?: boolean };
  if (native.needsGpu && isUsingGpuDevice !== true) {
    throw refusal(native, {
      reason: 'TensorFlow sees no GPU',
      cure: 'install an NVIDIA driver, CUDA 11.2 and cuDNN 8.1 where the loader finds them (LD_LIBRARY_PATH)',
    });
  }
  if (!native.needsGpu && isUsingGpuDevice === true) {
    // A process has one backend of this name: the other package was there first.
    const reason = 'this process runs TensorFlow on a GPU already';
    throw refusal(native, { reason, cure: 'take --device tensorflow-gpu' });
  }
  return numThreads;
}

/**
 * What TensorFlow reads from the environment when it is loaded; what the user has set stays.
 *
 * - Memory as it is needed, not all of the GPU's at once: there may be a worker beside this one.
 * - The same bits again: without the second, gradients on a GPU are summed in the order in which threads finish.
 * - Float32 throughout: GPUs since Ampere else round the factors of a product to 10 bits, and fail the probe.
 * - No log of its start; warnings remain, which tell what a GPU lacks.
 */
function setDefaults(environment: NodeJS.ProcessEnv, threads: number): void {
  const defaults = {
    TF_FORCE_GPU_ALLOW_GROWTH: 'true',
    TF_DETERMINISTIC_OPS: '1',
    NVIDIA_TF32_OVERRIDE: '0',
    TF_NUM_INTRAOP_THREADS: String(threads),
    TF_CPP_MIN_LOG_LEVEL: '1',
  };
  for (const [name, value] of Object.entries(defaults)) {
    // A variable that is empty is one that is not set.
    if (!environment[name]) environment[name] = value;
  }
}

/** On how many threads TensorFlow computes; 0 leaves it to TensorFlow, which takes all cores. */
function threadsOf({ TF_NUM_INTRAOP_THREADS: text = '' }: NodeJS.ProcessEnv): number {
  if (!/^\d{1,3}$/.test(text)) {
    throw new ConfigError(
      `TF_NUM_INTRAOP_THREADS=${text}: expected a number of threads, 1 to 999, or 0 for all cores: set it so, or unset it`,
    );
  }
  return Number(text) || availableParallelism();
}

/** What tfjs-node 4.22.0 calls for every tensor: deprecated, with a warning, in Node 22, and gone in Node 23. */
function replaceUtil(util: Record<string, unknown>): void {
  util['isNullOrUndefined'] = (value: unknown): boolean => value === null || value === undefined;
  util['isArray'] = Array.isArray;
}

async function startByName(backend: string, { tensorflow }: LoaderHost): Promise<void> {
  let cause: unknown;
  try {
    if (await tensorflow.setBackend(backend)) return;
  } catch (error) {
    cause = error;
  }
  const why = cause === undefined ? '' : `: ${firstLine(describeError(cause))}`;
  throw new ConfigError(
    `--engine tfjs: TensorFlow.js cannot start its ${backend} backend${why}; choose another --device or --engine`,
    { cause },
  );
}

/**
 * Runs `start` and takes away what it has the process listen to for errors. The wasm module throws every uncaught error
 * and rejection anew, from within itself: the process would print the module's source in place of what went wrong.
 */
async function keepingListeners(start: () => Promise<void>): Promise<void> {
  const before = {
    uncaught: process.listeners('uncaughtException'),
    rejected: process.listeners('unhandledRejection'),
  };
  await start();
  for (const listener of process.listeners('uncaughtException')) {
    if (!before.uncaught.includes(listener)) process.off('uncaughtException', listener);
  }
  for (const listener of process.listeners('unhandledRejection')) {
    if (!before.rejected.includes(listener)) process.off('unhandledRejection', listener);
  }
}

/** What a package's failure to load means. */
function reasonOf(error: unknown, native: NativePackage): Refusal {
  if (isNotInstalled(error, native.name)) return notInstalled(native);
  const message = describeError(error);
  if ((error instanceof Error && 'code' in error && error.code === 'ERR_DLOPEN_FAILED') || message.includes(BINDING)) {
    return {
      reason: `its native binding does not load: ${firstLine(message)}`,
      cure: `run ${rebuildCommands(native)} where storage.googleapis.com can be reached, which downloads libtensorflow`,
    };
  }
  return { reason: `it does not load: ${firstLine(message)}`, cure: `run ${installCommand(native)} anew` };
}

function refusal({ name }: NativePackage, { reason, cure }: Refusal, options?: ErrorOptions): ConfigError {
  return new ConfigError(
    `--engine tfjs: ${name} cannot be used: ${reason}; ${cure}, or choose another --device`,
    options,
  );
}

/** Without the full stop at its end: the line becomes a part of ours. */
function firstLine(text: string): string {
  return text.split('\n')[0]!.trim().replace(/\.$/, '');
}
