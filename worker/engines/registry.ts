/**
 * The table of engines that `--engine` can name. Nothing of an engine is loaded before it is wanted, so a library that is
 * missing or broken matters only to those who ask for it. `choose-engine.ts` chooses.
 *
 * To add an engine: its folder, an entry in `ENGINES`, its place in `AUTO_ORDER`, and a test that runs the contract
 * suite, `test/contracts/engine.contract.ts`, over it.
 */
import type { Engine, EngineOptions } from './engine.ts';
import { visibleGpus } from './gpus.ts';
import type { GpuHost } from './gpus.ts';
import { INSTRUCTION_SETS } from './native/build-output.ts';
import { demandPackages, missingFor } from './optional-packages.ts';
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

/** An engine on one of its devices, or on its default. */
export interface Candidate {
  readonly engine: string;
  readonly device: string | undefined;
}

/** One thing for `auto` to try. */
export interface EngineCandidate extends Candidate {
  readonly device: string;
}

/** What is not installed is plainly not there; the cure is part of the reason, for it is one command. */
const notInstalled = (engine: string, device: string) => {
  const missing = missingFor(engine, device);
  return missing && `${missing.reason}: ${missing.cure}`;
};

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
      const noGpu =
        device === 'webgpu'
          ? (await import('./onnx/adapters.ts')).hardwareGpuReason()
          : device === 'cuda'
            ? await noNvidiaGpu()
            : undefined;
      return noGpu ?? notInstalled('onnx', device) ?? (device === 'cuda' ? noCudaProvider() : undefined);
    },
    async checkDevice(device) {
      demandPackages('onnx', device);
      (await import('./onnx/devices.ts')).findDevice(device ?? 'cpu');
    },
    async create(options) {
      demandPackages('onnx', options.device);
      return createThreadedEngine('onnx', options);
    },
    isProbed: true,
  },
  tfjs: {
    devices: TFJS_DEVICES,
    cudaDevices: ['tensorflow-gpu'],
    async absence(device) {
      return (
        missingPackage(device)?.reason ??
        (device === 'tensorflow-gpu' ? await noNvidiaGpu() : undefined) ??
        notInstalled('tfjs', device)
      );
    },
    checkDevice(device) {
      checkTfjsDevice(device);
      return Promise.resolve();
    },
    async create(options) {
      checkTfjsDevice(options.device);
      return createThreadedEngine('tfjs', options);
    },
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
