/** Engines that run out of memory: how each library says so, and what the user can do about it. */
import { countOf } from '../../protocol/counts.ts';
import { describeError } from '../../protocol/errors.ts';
import type { Engine } from './engine.ts';

/** In the words of V8, our addon, the C++ library, ONNX Runtime, Emscripten, CUDA and TensorFlow. */
const WORDS = [
  /array buffer allocation failed/i,
  /invalid typed array length/i,
  /no memory for batches/,
  /bad_alloc/,
  /failed to allocate memory/i,
  /cannot enlarge memory/i,
  /\bOOM\b/,
  /out of memory/i,
  /CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation/,
];

/** What a thread ends with when its heap is full, and a process that finds no memory for a buffer. */
const CODES = ['ERR_WORKER_OUT_OF_MEMORY', 'ERR_MEMORY_ALLOCATION_FAILED', 'ENOMEM'];

/** Whether the error says that there was not enough memory. */
export function isOutOfMemory(error: unknown): boolean {
  if (error instanceof Error && 'code' in error && CODES.includes(String(error.code))) return true;
  return WORDS.some((words) => words.test(describeError(error)));
}

/** For a batch of at most `numSamples`: what happened, and the cure. */
export function describeOutOfMemory(engine: string, device: string | undefined, numSamples: number, error: unknown) {
  const where = device === undefined ? '' : ` on ${device}`;
  const [words] = describeError(error).split('\n');
  return (
    `--engine ${engine}${where} ran out of memory for ${countOf(numSamples, 'sample')} at a time (${words!.trim()}): ` +
    `use more --microbatches, which makes each smaller, or a smaller --global-batch`
  );
}

/** The engine, whose calls that fail for want of memory say so, and what to do. */
export function tellingOfMemory(engine: Engine): Engine {
  const { name, device } = engine;
  const telling = async <T>(numSamples: number, compute: () => Promise<T>): Promise<T> => {
    try {
      return await compute();
    } catch (error) {
      if (!isOutOfMemory(error)) throw error;
      throw new Error(describeOutOfMemory(name, device, numSamples, error), { cause: error });
    }
  };
  return {
    ...engine,
    computeGradient: (batch, into) => telling(batch.numSamples, () => engine.computeGradient(batch, into)),
    evaluate: (batch, outputs) => telling(batch.numSamples, () => engine.evaluate(batch, outputs)),
  };
}
