/**
 * The engines that `--engine` can name, and how one is chosen. Nothing of an engine is loaded before it is wanted, so a
 * library that is missing or broken matters to those only who ask for it.
 *
 * To add an engine: its folder, an entry in `ENGINES`, its place in `AUTO_ORDER`, and a test that runs the contract
 * suite, `test/contracts/engine.contract.ts`, over it.
 */
import { ConfigError, describeError } from '../../protocol/errors.ts';
import { mayUseCuda, planCandidates } from './candidates.ts';
import type { Candidate } from './candidates.ts';
import type { Engine, EngineOptions } from './engine.ts';
import { GPU_HOST, placeOnGpu, showOnly, visibleGpus } from './gpus.ts';
import type { GpuHost, GpuPlacement } from './gpus.ts';
import { INSTRUCTION_SETS } from './native/build-output.ts';
import { describeOutOfMemory, isOutOfMemory, tellingOfMemory } from './out-of-memory.ts';
import { passOver } from './passed-over.ts';
import type { PassedOver } from './passed-over.ts';
import { probeEngine } from './probe.ts';
import type { TensorError } from './probe.ts';
import { createThreadedEngine } from './thread/threaded-engine.ts';
import { checkDevice as checkTfjsDevice, DEVICE_NAMES as TFJS_DEVICES, missingPackage } from './tfjs/devices.ts';

export interface EngineEntry {
  /** What `--device` can name for it, fastest first. */
  readonly devices: readonly string[];
  /** More exact names of those devices, which `--device` can give too. */
  readonly variants?: readonly string[];
  /** Those devices that run on an NVIDIA GPU through CUDA: `gpus.ts` says on which. */
  readonly cudaDevices?: readonly string[];
  /** Those whose number, `webgpu:1`, the engine itself understands. */
  readonly numberedDevices?: readonly string[];
  /**
   * Why `auto` need not try a device: what is plainly not there, with the cure after a semicolon if there is one; found
   * at little cost. Undefined: it may be there.
   */
  readonly absence?: (device: string) => Promise<string | undefined>;
  /**
   * Refuses a device that the engine does not know, or of which it is plain that it cannot be had, as `create` would: at
   * little cost, without starting anything. Undefined stands for the default device.
   */
  readonly checkDevice?: (device: string | undefined) => Promise<void>;
  /** Makes the engine on `options.device` or its default device; rejects with a cure when that cannot be had. */
  readonly create: (options: EngineOptions) => Promise<Engine>;
  /** Whether it must pass the probe before use: all but the one that judges. */
  readonly isProbed: boolean;
}

/** One thing for `auto` to try. */
export interface EngineCandidate extends Candidate {
  readonly device: string;
}

const noNvidiaGpu = async () => ((await visibleGpus()).length === 0 ? 'no NVIDIA GPU' : undefined);

/** Asked only where there is a GPU: the answer costs a tenth of a second, for it is ONNX Runtime's. */
const noCudaProvider = async () => {
  const { CUDA_HOST, cudaAbsence } = await import('./onnx/cuda.ts');
  return cudaAbsence(CUDA_HOST);
};

export const ENGINES = {
  native: {
    devices: ['cpu'],
    variants: INSTRUCTION_SETS,
    checkDevice: async (device) => (await import('./native/native-engine.ts')).checkNativeDevice(device),
    create: async (options) => (await import('./native/native-engine.ts')).createNativeEngine(options),
    isProbed: true,
  },
  onnx: {
    devices: ['cuda', 'webgpu', 'cpu'],
    cudaDevices: ['cuda'],
    numberedDevices: ['webgpu'],
    async absence(device) {
      if (device === 'webgpu') return (await import('./onnx/adapters.ts')).hardwareGpuReason();
      return device === 'cuda' ? ((await noNvidiaGpu()) ?? (await noCudaProvider())) : undefined;
    },
    checkDevice: async (device) => void (await import('./onnx/devices.ts')).findDevice(device ?? 'cpu'),
    create: (options) => createThreadedEngine('onnx', options),
    isProbed: true,
  },
  tfjs: {
    devices: TFJS_DEVICES,
    cudaDevices: ['tensorflow-gpu'],
    async absence(device) {
      return missingPackage(device)?.reason ?? (device === 'tensorflow-gpu' ? noNvidiaGpu() : undefined);
    },
    checkDevice(device) {
      checkTfjsDevice(device);
      return Promise.resolve();
    },
    create: (options) => createThreadedEngine('tfjs', options),
    isProbed: true,
  },
  reference: {
    devices: ['cpu'],
    async checkDevice(device) {
      const refusal = (await import('./reference/reference-engine.ts')).refusedDevice(device);
      if (refusal) throw refusal;
    },
    create: (options) => createThreadedEngine('reference', options),
    isProbed: false,
  },
} satisfies Record<string, EngineEntry>;

export type EngineName = keyof typeof ENGINES;

export const ENGINE_NAMES = Object.keys(ENGINES) as EngineName[];

/** What `auto` tries, fastest first. The reference is too slow to be taken unasked. */
export const AUTO_ORDER = [
  { engine: 'tfjs', device: 'tensorflow-gpu' },
  { engine: 'onnx', device: 'cuda' },
  { engine: 'onnx', device: 'webgpu' },
  { engine: 'native', device: 'cpu' },
  { engine: 'onnx', device: 'cpu' },
] as const satisfies readonly (EngineCandidate & { engine: EngineName })[];

/** The table that engines are chosen from; tests bring their own. */
export interface EngineRegistry {
  readonly engines: Readonly<Record<string, EngineEntry>>;
  readonly autoOrder: readonly EngineCandidate[];
  readonly gpuHost?: GpuHost;
}

/** An engine that has passed the probe. */
export interface ProbedEngine {
  readonly engine: Engine;
  /** Its worst tensor in the probe; undefined for the one that judges. */
  readonly probe: TensorError | undefined;
  /** The NVIDIA GPU that it runs on, if it runs on one through CUDA. */
  readonly gpu: GpuPlacement | undefined;
}

export interface ChosenEngine extends ProbedEngine {
  /** What would have been liked better, and why it was passed over; in the order in which it was tried. */
  readonly passedOver: readonly PassedOver[];
}

/**
 * Makes the engine that `choice` names, or for `auto` the first of {@link AUTO_ORDER} that can be had and computes
 * rightly. A device in `options` holds for either, and may carry the number of a GPU (`cuda:1`, or just `1`); without a
 * number, workers of one machine take its GPUs in turn. The caller disposes of the engine.
 *
 * Throws `ConfigError` for an unknown name or GPU, and when the engine named, or every one tried, cannot be had.
 */
export async function createEngine(
  choice: string,
  options: EngineOptions,
  registry: EngineRegistry = { engines: ENGINES, autoOrder: AUTO_ORDER },
): Promise<ChosenEngine> {
  const { engines, gpuHost = GPU_HOST } = registry;
  const { candidates, gpuIndex, isNamed } = planCandidates(choice, options.device, registry);
  const mayTakeGpu = candidates.some(({ engine, device }) => mayUseCuda(engines[engine]!, device));
  const placement = mayTakeGpu ? await placeOnGpu(gpuIndex, `--device ${options.device ?? ''}`, gpuHost) : undefined;
  const context = { options, gpuHost, placement };
  if (choice !== 'auto' && candidates.length === 1) {
    return { ...(await createProbed(candidates[0]!, engines[choice]!, context)), passedOver: [] };
  }

  const passedOver: PassedOver[] = [];
  for (const candidate of candidates) {
    const entry = engines[candidate.engine]!;
    // Who names a device gets to hear what the engine itself has to say.
    const absence = isNamed ? undefined : await entry.absence?.(candidate.device!);
    if (absence !== undefined) {
      passedOver.push(passOver(candidate, absence, false));
      continue;
    }
    try {
      return { ...(await createProbed(candidate, entry, context)), passedOver };
    } catch (error) {
      passedOver.push(passOver(candidate, error, true));
    }
  }
  throw noEngine(choice, passedOver);
}

/**
 * Whether {@link createEngine} may succeed, as far as that is known without starting an engine: what is asked for exists
 * here. For the program that starts workers, before it starts them.
 *
 * Throws `ConfigError` as `createEngine` would.
 */
export async function checkEngine(
  choice: string,
  device: string | undefined,
  registry: EngineRegistry = { engines: ENGINES, autoOrder: AUTO_ORDER },
): Promise<void> {
  const { engines, gpuHost = GPU_HOST } = registry;
  const { candidates, gpuIndex } = planCandidates(choice, device, registry);
  if (gpuIndex !== undefined) await placeOnGpu(gpuIndex, `--device ${device ?? ''}`, gpuHost);
  const passedOver: PassedOver[] = [];
  for (const candidate of candidates) {
    try {
      await engines[candidate.engine]!.checkDevice?.(candidate.device);
      return;
    } catch (error) {
      if (choice !== 'auto' && candidates.length === 1) throw error;
      passedOver.push(passOver(candidate, error, true));
    }
  }
  throw noEngine(choice, passedOver);
}

function noEngine(choice: string, passedOver: readonly PassedOver[]): ConfigError {
  const reasons = passedOver.map(({ engine, device, message }) => `${engine} on ${device ?? 'default'}: ${message}`);
  return new ConfigError(`--engine ${choice}: no engine can be used here: ${reasons.join('; ')}`);
}

interface CreationContext {
  readonly options: EngineOptions;
  readonly gpuHost: GpuHost;
  readonly placement: GpuPlacement | undefined;
}

async function createProbed(
  { engine: name, device }: Candidate,
  entry: EngineEntry,
  { options, gpuHost, placement }: CreationContext,
): Promise<ProbedEngine> {
  let engine: Engine | undefined;
  try {
    if (placement && mayUseCuda(entry, device)) showOnly(placement, gpuHost);
    const made = await entry.create({ ...options, device });
    engine = made;
    const probe = entry.isProbed ? await probeEngine(made, options) : undefined;
    const isOnCuda = entry.cudaDevices?.some((cudaDevice) => made.device.startsWith(cudaDevice)) ?? false;
    return { engine: tellingOfMemory(made), probe, gpu: isOnCuda ? placement : undefined };
  } catch (error) {
    await engine?.dispose();
    if (isOutOfMemory(error)) {
      throw new ConfigError(describeOutOfMemory(name, device, options.maxBatch, error), { cause: error });
    }
    if (error instanceof ConfigError) throw error;
    // A library that does not load, or a device that fails in the probe, says so in its own words.
    throw new ConfigError(`--engine ${name} cannot be used here: ${describeError(error)}; choose another --engine`, {
      cause: error,
    });
  }
}
