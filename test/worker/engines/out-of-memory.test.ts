import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../protocol/errors.ts';
import { MODELS } from '../../../protocol/state/models.ts';
import type { Engine, EngineOptions } from '../../../worker/engines/engine.ts';
import { isOutOfMemory } from '../../../worker/engines/out-of-memory.ts';
import { createReferenceEngine } from '../../../worker/engines/reference/reference-engine.ts';
import { createEngine } from '../../../worker/engines/choose-engine.ts';
import { gradientBuffers, trainedState } from '../../helpers/models.ts';
import { syntheticSamples } from '../../helpers/samples.ts';

const options: EngineOptions = { ...trainedState(MODELS.dense, 1), maxBatch: 8, threads: 1 };

const error = (message: string, code?: string) => Object.assign(new Error(message), code !== undefined && { code });

describe('an error', () => {
  it.each([
    ['V8', error('Array buffer allocation failed')],
    ['V8', error('Invalid typed array length: 9007199254740992')],
    ['a thread of Node', error('Worker terminated due to reaching memory limit: JS heap', 'ERR_WORKER_OUT_OF_MEMORY')],
    ['the native engine', error('no memory for batches of 60000: use smaller ones')],
    ['the C++ library', error('std::bad_alloc')],
    ['ONNX Runtime', error('Failed to allocate memory for requested buffer of size 4831838208')],
    ['CUDA', error('CUDA failure 2: out of memory ; GPU=0 ; hostname=a')],
    ['Emscripten', error('Aborted(OOM). Build with -sASSERTIONS for more info.')],
    ['TensorFlow', error('OOM when allocating tensor with shape[60000,32,26,26] and type float')],
    ['the system', error('mmap: Cannot allocate memory', 'ENOMEM')],
  ])('of %s is known as one of memory: %s', (_, thrown) => {
    expect(isOutOfMemory(thrown)).toBe(true);
  });

  it.each([error('device lost'), error('the room is empty'), 'Boom', undefined])('%s is not', (thrown) => {
    expect(isOutOfMemory(thrown)).toBe(false);
  });
});

describe('an engine that runs out of memory', () => {
  const registryOf = (change: Partial<Engine>) => {
    const create = async (made: EngineOptions) => ({ ...(await createReferenceEngine(made)), ...change });
    return { engines: { full: { devices: ['cpu'], isProbed: false, create } }, autoOrder: [] };
  };
  const fail = () => Promise.reject(error('std::bad_alloc\nin a kernel'));

  it('in a step says so, and names --microbatches', async () => {
    const { engine } = await createEngine('full', options, registryOf({ name: 'full', computeGradient: fail }));
    const step = engine.computeGradient(syntheticSamples(options.plan, 6, 1), gradientBuffers(options.plan));
    await expect(step).rejects.toThrow(
      '--engine full on cpu ran out of memory for 6 samples at a time (std::bad_alloc): use more --microbatches, ' +
        'which makes each smaller, or a smaller --global-batch',
    );
  });

  it('in evaluation says so; another error stays what it is', async () => {
    const { engine } = await createEngine(
      'full',
      options,
      registryOf({ evaluate: fail, computeGradient: () => Promise.reject(error('device lost')) }),
    );
    const batch = syntheticSamples(options.plan, 6, 1);
    await expect(engine.evaluate(batch)).rejects.toThrow(/ran out of memory for 6 samples/);
    await expect(engine.computeGradient(batch, gradientBuffers(options.plan))).rejects.toThrow(/^device lost$/);
  });

  it('when it is made, before a run, is a mistake of the configuration', async () => {
    // More than any array buffer can hold.
    const refusal = createEngine('reference', { ...options, maxBatch: 2 ** 43 });
    await expect(refusal).rejects.toThrow(ConfigError);
    await expect(refusal).rejects.toThrow(
      /^--engine reference ran out of memory for 8796093022208 samples .*--microbatches/,
    );
  });
});
