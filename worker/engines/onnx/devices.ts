/**
 * The devices that `--device` can name for the onnx engine, and what each asks of ONNX Runtime: `cpu`; `webgpu`, any GPU
 * through Vulkan, Metal or Direct3D 12; `cuda`, an NVIDIA GPU, where that provider is installed. What plainly cannot
 * start is refused before ONNX Runtime is asked: it would say less, and write to stderr itself.
 */
import type { InferenceSession } from 'onnxruntime-node';
import { ConfigError, describeError } from '../../../protocol/errors.ts';
import { CUDA_HOST, cudaAbsence, cudaStartFailure, type CudaHost } from './cuda.ts';
import type { GraphTarget } from './graph-builder.ts';
import { isSoftwareOnly, vulkanDriverReason, type AdapterHost } from './adapters.ts';

export interface OnnxDevice {
  /** As `--device` gives it. */
  readonly name: string;
  /** What runs, for people and records. */
  readonly description: string;
  readonly target: GraphTarget;
  readonly sessionOptions: InferenceSession.SessionOptions;
  /** What a failure to start a session on it means, and its cure. */
  readonly startFailure: (error: unknown) => string;
}

export type DeviceHost = CudaHost;

const DEVICES: Record<string, (index: number | undefined, host: DeviceHost) => OnnxDevice> = { cpu, webgpu, cuda };

/**
 * The device of a name, `NAME` or `NAME:INDEX`. Starts nothing.
 *
 * Throws `ConfigError` for an unknown name or index, and when the device cannot be had, with the cure.
 */
export function findDevice(name: string, host: DeviceHost = CUDA_HOST): OnnxDevice {
  const [, kind = '', index] = /^([^:]*)(?::(\d+))?$/.exec(name) ?? [];
  if (!Object.hasOwn(DEVICES, kind)) {
    throw new ConfigError(`--device ${name}: the onnx engine runs on ${Object.keys(DEVICES).join(', ')}; choose one`);
  }
  return DEVICES[kind]!(index === undefined ? undefined : Number(index), host);
}

/** What the user sees when `device` cannot start a session. */
export function startError(device: OnnxDevice, error: unknown): ConfigError {
  return new ConfigError(
    `--engine onnx --device ${device.name}: ${device.startFailure(error)}, or choose another --device or --engine`,
    { cause: error },
  );
}

function cpu(index: number | undefined): OnnxDevice {
  if (index !== undefined) throw new ConfigError(`--device cpu:${index}: the cpu has no number; use cpu`);
  return {
    name: 'cpu',
    description: 'cpu',
    target: 'cpu',
    sessionOptions: { executionProviders: ['cpu'] },
    startFailure: (error) => `ONNX Runtime does not start: ${describeError(error)}; run npm ci anew`,
  };
}

function webgpu(index: number | undefined, host: AdapterHost): OnnxDevice {
  if (index !== undefined && index > 0) {
    throw new ConfigError(
      `--device webgpu:${index}: ONNX Runtime takes the fastest adapter and no number; use webgpu, and on a machine of ` +
        'several GPUs name the driver of one in VK_DRIVER_FILES',
    );
  }
  const reason = vulkanDriverReason(host);
  if (reason !== undefined) {
    throw new ConfigError(
      `--engine onnx --device webgpu: ${reason}; install the GPU's Vulkan driver, see that vulkaninfo lists it, or ` +
        'choose another --device or --engine',
    );
  }
  return {
    name: 'webgpu',
    // Which adapter was taken cannot be asked.
    description: isSoftwareOnly(host) ? 'webgpu (software)' : 'webgpu',
    target: 'gpu',
    sessionOptions: {
      executionProviders: ['webgpu'],
      // Warnings of its start are for those who debug it.
      logSeverityLevel: 3,
      // No operator may fall back to the CPU: each would wait for the GPU, copy there, and copy back.
      extra: { session: { disable_cpu_ep_fallback: '1' } },
    },
    startFailure: (error) =>
      `${withoutSource(describeError(error))}; see that vulkaninfo (Debian: vulkan-tools) lists the GPU and that the ` +
      'Vulkan loader is installed (libvulkan.so.1; Debian: libvulkan1)',
  };
}

function cuda(index: number | undefined, host: DeviceHost): OnnxDevice {
  const name = index === undefined ? 'cuda' : `cuda:${index}`;
  const absence = cudaAbsence(host);
  if (absence !== undefined) {
    throw new ConfigError(`--engine onnx --device ${name}: ${absence}, or choose another --device or --engine`);
  }
  // Float32 throughout: GPUs since Ampere else round the factors of a product to 10 bits, and fail the probe.
  host.environment['NVIDIA_TF32_OVERRIDE'] ??= '0';
  return {
    name,
    description: name,
    target: 'gpu',
    sessionOptions: { executionProviders: [{ name: 'cuda', deviceId: index ?? 0 }] },
    startFailure: (error) => cudaStartFailure(withoutSource(describeError(error)), index ?? 0, host),
  };
}

/** ONNX Runtime's message without the source line and expression that it begins with. */
function withoutSource(message: string): string {
  const text = message.trim().split('\n')[0]!;
  return text.replace(/^\/.*? was false\. /, '');
}
