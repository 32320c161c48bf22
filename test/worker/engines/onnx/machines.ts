/** Machines that are not there, for the code that looks for devices: Linux on x64 with the files given. */
import { dirname, basename } from 'node:path';
import type { CudaHost } from '../../../../worker/engines/onnx/cuda.ts';

export function machineWith(files: readonly string[], environment: Record<string, string> = {}): CudaHost {
  return {
    platform: 'linux',
    architecture: 'x64',
    environment,
    homeDirectory: '/home/user',
    packageDirectory: '/app/node_modules/onnxruntime-node',
    providers: ['cpu', 'webgpu', 'cuda'],
    list: (directory) => files.filter((file) => dirname(file) === directory).map((file) => basename(file)),
    exists: (path) => files.includes(path),
  };
}
