import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../../protocol/errors.ts';
import { findDevice, startError } from '../../../../worker/engines/onnx/devices.ts';
import { machineWith } from './machines.ts';

const GPU = '/dev/nvidia0';
const LIBRARY = '/app/node_modules/onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime_providers_cuda.so';
const DRIVER = '/etc/vulkan/icd.d/nvidia_icd.json';

describe('cuda', () => {
  it.each([
    ['cuda', 0],
    ['cuda:1', 1],
  ])('%s asks ONNX Runtime for GPU %i, in float32', (name, deviceId) => {
    const machine = machineWith([GPU, LIBRARY]);
    const device = findDevice(name, machine);
    expect(device).toMatchObject({ description: name, target: 'gpu' });
    expect(device.sessionOptions).toEqual({ executionProviders: [{ name: 'cuda', deviceId }] });
    expect(machine.environment).toEqual({ NVIDIA_TF32_OVERRIDE: '0' });
  });

  it.each([
    ['without a GPU', machineWith([LIBRARY]), 'this process sees no NVIDIA GPU (no /dev/nvidia0); install its driver'],
    [
      'without its library',
      machineWith([GPU]),
      'the CUDA provider is not installed; where api.nuget.org can be reached, run ONNXRUNTIME_NODE_INSTALL=true ' +
        'node /app/node_modules/onnxruntime-node/script/install.js',
    ],
    [
      'on macOS',
      { ...machineWith([]), platform: 'darwin' as const, architecture: 'arm64', providers: ['cpu', 'webgpu'] },
      'onnxruntime-node has no CUDA provider for darwin on arm64; use webgpu',
    ],
  ])('is refused %s, with the cure', (_, machine, message) => {
    const find = () => findDevice('cuda', machine);
    expect(find).toThrow(ConfigError);
    expect(find).toThrow(`--engine onnx --device cuda: ${message}`);
    expect(machine.environment).toEqual({});
  });

  it('what ONNX Runtime says of a failed start is told apart', () => {
    const device = findDevice('cuda:3', machineWith([GPU, LIBRARY]));
    expect(startError(device, new Error('CUDA failure 101: invalid device ordinal ; GPU=3')).message).toBe(
      '--engine onnx --device cuda:3: there is no GPU 3 (CUDA failure 101: invalid device ordinal ; GPU=3); ' +
        'take a number that nvidia-smi -L lists, or choose another --device or --engine',
    );
    const { message } = startError(device, new Error('Failed to load shared library\n\nmore'));
    expect(message).toContain('the CUDA provider does not load: Failed to load shared library; install CUDA 12');
    expect(message).toContain(`ldd ${LIBRARY} names what is missing`);
  });
});

describe('webgpu', () => {
  it('runs all of a graph on the GPU, or does not start', () => {
    const { sessionOptions, target, description } = findDevice('webgpu:0', machineWith([DRIVER]));
    expect({ target, description }).toEqual({ target: 'gpu', description: 'webgpu' });
    expect(sessionOptions).toMatchObject({
      executionProviders: ['webgpu'],
      extra: { session: { disable_cpu_ep_fallback: '1' } },
    });
  });

  it('has no choice of adapters', () => {
    expect(() => findDevice('webgpu:1', machineWith([DRIVER]))).toThrow(
      '--device webgpu:1: ONNX Runtime takes the fastest adapter and no number; use webgpu',
    );
  });

  it('is refused where Vulkan has no driver, with the cure', () => {
    const find = () => findDevice('webgpu', machineWith([GPU]));
    expect(find).toThrow(ConfigError);
    expect(find).toThrow(/^--engine onnx --device webgpu: no Vulkan driver is installed .* see that vulkaninfo lists/);
  });

  it('a failed start is told without the source line that ONNX Runtime begins with', () => {
    const error = new Error('/src/webgpu_context.cc:1 Initialize() result.ok was false. No supported adapters\n');
    expect(startError(findDevice('webgpu', machineWith([DRIVER])), error).message).toMatch(
      /^--engine onnx --device webgpu: No supported adapters; see that vulkaninfo .* choose another --device/,
    );
  });
});

it('the cpu has no number', () => {
  expect(() => findDevice('cpu:0', machineWith([]))).toThrow('--device cpu:0: the cpu has no number; use cpu');
});
