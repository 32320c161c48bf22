import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../protocol/errors.ts';
import type { Engine } from '../../../worker/engines/engine.ts';
import { announceChoice, choiceLine, passOver, type PassedOver } from '../../../worker/engines/passed-over.ts';

const candidate = { engine: 'onnx', device: 'webgpu' };
const absent = passOver({ ...candidate, device: 'cuda' }, 'no NVIDIA GPU', false);
const failed = passOver(candidate, new ConfigError('--engine onnx: it does not start; install it, or another'), true);

function chosen(passedOver: readonly PassedOver[], gpu?: { index: number; numGpus: number; cudaName: string }) {
  return { engine: { name: 'native', device: 'cpu (avx2)' } as Engine, probe: undefined, gpu, passedOver };
}

describe('what was passed over', () => {
  it.each([
    ['--engine native: no C++ compiler was found; install g++', 'no C++ compiler was found'],
    ['--device webgpu: no adapter; choose another', 'no adapter'],
    ['--engine onnx cannot be used here: device lost; choose', 'cannot be used here: device lost'],
    [
      '--engine onnx on webgpu (A, B: C) computes wrongly: dense1.weight is off; choose',
      'computes wrongly: dense1.weight is off',
    ],
    ['--engine onnx --device webgpu (software): no adapter (no file); install a driver', 'no adapter'],
    ['a library speaks\nat some length', 'a library speaks'],
  ])('%j is said in a few words', (message, reason) => {
    expect(passOver(candidate, new Error(message), true)).toMatchObject({ ...candidate, reason, isSurprise: true });
  });

  it('keeps the cure for those who ask', () => {
    expect(failed.message).toBe('it does not start; install it, or another');
  });
});

describe('the line about the choice', () => {
  it('names the engine, and all that was passed over', () => {
    expect(choiceLine(chosen([]))).toBe('engine native on cpu (avx2)');
    expect(choiceLine(chosen([absent]))).toBe('engine native on cpu (avx2); passed over: onnx on cuda (no NVIDIA GPU)');
    expect(choiceLine(chosen([absent, failed]))).toBe(
      'engine native on cpu (avx2); passed over: onnx on cuda (no NVIDIA GPU), onnx on webgpu (it does not start); ' +
        'what to do: gradsock engines',
    );
  });

  it('says which of several GPUs', () => {
    expect(choiceLine(chosen([], { index: 1, numGpus: 4, cudaName: 'GPU-9' }))).toMatch(/, gpu 1 of 4$/);
  });

  it('is news only when something failed that seemed to be there', () => {
    const said: string[] = [];
    const speakers = { log: () => said.push('log'), warn: () => said.push('warn') };
    announceChoice(chosen([]), speakers);
    announceChoice(chosen([absent]), speakers);
    announceChoice(chosen([absent, failed]), speakers);
    expect(said).toEqual(['log', 'log', 'warn']);
  });
});
