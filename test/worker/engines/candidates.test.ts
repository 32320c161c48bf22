import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../protocol/errors.ts';
import { planCandidates } from '../../../worker/engines/candidates.ts';
import { AUTO_ORDER, ENGINE_NAMES, ENGINES } from '../../../worker/engines/registry.ts';

const registry = { engines: ENGINES, autoOrder: AUTO_ORDER };

/** "native on cpu", in the order in which they are tried, and the number of the GPU. */
function planOf(engine: string, device?: string) {
  const { candidates, gpuIndex } = planCandidates(engine, device, registry);
  return [candidates.map((candidate) => `${candidate.engine} on ${candidate.device ?? 'default'}`), gpuIndex];
}

describe('what is tried', () => {
  it.each<[string, string | undefined, string[], number?]>([
    ['onnx', undefined, ['onnx on default']],
    ['onnx', 'webgpu', ['onnx on webgpu']],
    ['onnx', 'cuda:1', ['onnx on cuda'], 1],
    ['onnx', '1', ['onnx on cuda'], 1],
    ['tfjs', '0', ['tfjs on tensorflow-gpu'], 0],
    ['tfjs', 'tensorflow-gpu:12', ['tfjs on tensorflow-gpu'], 12],
    ['auto', undefined, AUTO_ORDER.map(({ engine, device }) => `${engine} on ${device}`)],
    ['auto', 'cpu', ['native on cpu', 'onnx on cpu', 'tfjs on cpu']],
    ['auto', 'wasm', ['tfjs on wasm']],
    ['auto', 'tensorflow', ['tfjs on tensorflow']],
    ['auto', 'avx2', ['native on avx2']],
    ['auto', 'webgpu', ['onnx on webgpu']],
    // An engine that counts its adapters itself.
    ['auto', 'webgpu:1', ['onnx on webgpu:1']],
    ['onnx', 'webgpu:0', ['onnx on webgpu:0']],
    ['auto', 'cuda:2', ['onnx on cuda'], 2],
    ['auto', '3', ['tfjs on tensorflow-gpu', 'onnx on cuda'], 3],
    // What an engine does not know, it refuses itself, with its devices.
    ['native', 'webgpu', ['native on webgpu']],
    ['native', 'cuda:1', ['native on cuda:1']],
  ])('--engine %s --device %s: %j', (engine, device, candidates, gpuIndex) => {
    expect(planOf(engine, device)).toEqual([candidates, gpuIndex]);
  });
});

describe('a mistake is an error that says what there is:', () => {
  it.each([
    ['abacus', undefined, `--engine abacus: no such engine; use auto, ${ENGINE_NAMES.join(', ')}`],
    ['auto', 'abacus', '--device abacus: no engine has it; there are tensorflow-gpu, tensorflow, wasm, cpu, cuda, web'],
    ['auto', 'constructor', '--device constructor: no engine has it'],
    ['auto', '', '--device : no engine has it'],
    ['auto', 'cpu:1', '--device cpu:1: cpu has no number, only GPUs have; use --device cpu'],
    ['native', 'cpu:0', '--device cpu:0: cpu has no number'],
    ['tfjs', 'wasm:0', '--device wasm:0: wasm has no number'],
    ['auto', 'cuda:', '--device cuda:: expected the number of a GPU after the colon, from 0: cuda:0'],
    ['auto', 'cuda:-1', '--device cuda:-1: expected the number of a GPU after the colon'],
    ['onnx', 'cuda:first', '--device cuda:first: expected the number of a GPU after the colon'],
    [
      'native',
      '1',
      '--device 1: the number of an NVIDIA GPU, which --engine native does not use; choose --engine auto, ',
    ],
    ['reference', '0', '--device 0: the number of an NVIDIA GPU, which --engine reference does not use'],
  ])('--engine %s --device %s', (engine, device, message) => {
    const plan = () => planCandidates(engine, device, registry);
    expect(plan).toThrow(ConfigError);
    expect(plan).toThrow(message);
  });
});
