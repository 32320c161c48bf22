/**
 * Whether ONNX Runtime's CUDA provider can be had: onnxruntime-node is published without it, and its install script
 * fetches it, for Linux on x64 only.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { listSupportedBackends } from 'onnxruntime-node';
import { ADAPTER_HOST, hasNvidiaNode, type AdapterHost } from './adapters.ts';

export interface CudaHost extends AdapterHost {
  /** Written to: libraries read it when they start. */
  readonly environment: Record<string, string | undefined>;
  readonly architecture: string;
  /** Where onnxruntime-node is installed. */
  readonly packageDirectory: string;
  /** What its binary was built for, whether installed or not. */
  readonly providers: readonly string[];
}

export const CUDA_HOST: CudaHost = {
  ...ADAPTER_HOST,
  environment: process.env,
  architecture: process.arch,
  packageDirectory: join(dirname(createRequire(import.meta.url).resolve('onnxruntime-node')), '..'),
  providers: listSupportedBackends().map(({ name }) => name),
};

/** Why a session cannot start on CUDA, and the cure; undefined where it may. Starts nothing. */
export function cudaAbsence(host: CudaHost): string | undefined {
  const { platform, architecture, providers, packageDirectory, exists } = host;
  if (!providers.includes('cuda')) {
    return `onnxruntime-node has no CUDA provider for ${platform} on ${architecture}; use webgpu`;
  }
  if (!hasNvidiaNode(host)) {
    return 'this process sees no NVIDIA GPU (no /dev/nvidia0); install its driver, see that nvidia-smi lists it';
  }
  if (!exists(providerLibrary(host))) {
    const script = join(packageDirectory, 'script/install.js');
    return (
      'the CUDA provider is not installed; where api.nuget.org can be reached, run ' +
      `ONNXRUNTIME_NODE_INSTALL=true node ${script}`
    );
  }
  return undefined;
}

/** What ONNX Runtime's `message` means when a session did not start on GPU `index`, and the cure. */
export function cudaStartFailure(message: string, index: number, host: CudaHost): string {
  if (/invalid device (ordinal|id)/i.test(message)) {
    return `there is no GPU ${index} (${message}); take a number that nvidia-smi -L lists`;
  }
  return (
    `the CUDA provider does not load: ${message}; install CUDA 12 and cuDNN 9 where the loader finds them ` +
    `(LD_LIBRARY_PATH; ldd ${providerLibrary(host)} names what is missing)`
  );
}

function providerLibrary({ packageDirectory, platform, architecture }: CudaHost): string {
  return join(packageDirectory, 'bin/napi-v6', platform, architecture, 'libonnxruntime_providers_cuda.so');
}
