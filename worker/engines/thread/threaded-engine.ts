/**
 * An engine in a thread of its own: the event loop is free while it computes, so that pings are answered and signals heard.
 * It computes the same bits as the engine itself does.
 */
import { internalError } from '../../../protocol/errors.ts';
import type { Engine, EngineOptions, Microbatch } from '../engine.ts';
import type { BlockingEngineName } from './blocking-engines.ts';
import { createEngineThread } from './engine-thread.ts';
import type { EngineThread } from './engine-thread.ts';
import type { BatchSize, EngineMemory } from './messages.ts';

/**
 * One for each kind of engine, for the life of the process: native libraries do not all survive being unloaded with a
 * thread and loaded by another, and a worker that rejoins needs its engine again.
 */
const threads = new Map<BlockingEngineName, EngineThread>();

let numEngines = 0;

/** The thread of all engines of a name. */
function threadOf(name: BlockingEngineName): EngineThread {
  const thread = threads.get(name) ?? createEngineThread(name);
  threads.set(name, thread);
  return thread;
}

/**
 * Makes the engine `name` in its thread. Reads the caller's vectors at every call, as any engine, and writes results into
 * those that it is given; holds copies of all of them, and of a batch, twice.
 *
 * Rejects as the engine itself does, with errors of the same kind and code, and when the thread ends.
 */
export async function createThreadedEngine(
  name: BlockingEngineName,
  options: EngineOptions,
  thread: EngineThread = threadOf(name),
): Promise<Engine> {
  const { parameters, buffers, ...others } = options;
  const engineId = ++numEngines;
  const memory = allocate(options);
  const copyState = () => {
    memory.parameters.set(parameters);
    memory.buffers.set(buffers);
  };
  copyState();
  const identity = await thread.call(engineId, { kind: 'create', engine: name, options: others, memory });

  let isBusy = false;
  /** Calls share one memory. */
  const alone = async <T>(compute: () => Promise<T>): Promise<T> => {
    if (isBusy) throw internalError(`a call of the engine ${name} before the last one has ended`);
    isBusy = true;
    try {
      return await compute();
    } finally {
      isBusy = false;
    }
  };

  return {
    ...identity,

    computeGradient: (batch, into) =>
      alone(async () => {
        memory.parameters.set(parameters);
        const result = await thread.call(engineId, { kind: 'computeGradient', batch: copyBatch(batch, memory) });
        into.gradient.set(memory.gradient);
        into.statistics.set(memory.statistics);
        return result;
      }),

    evaluate: (batch, outputs) =>
      alone(async () => {
        copyState();
        const request = {
          kind: 'evaluate',
          batch: copyBatch(batch, memory),
          hasOutputs: outputs !== undefined,
        } as const;
        const result = await thread.call(engineId, request);
        outputs?.set(memory.outputs.subarray(0, batch.numSamples * options.plan.spec.numClasses));
        return result;
      }),

    async dispose() {
      await thread.call(engineId, { kind: 'dispose' });
    },
  };
}

function allocate({ plan, maxBatch }: EngineOptions): EngineMemory {
  const floats = (length: number) => new Float32Array(new SharedArrayBuffer(length * Float32Array.BYTES_PER_ELEMENT));
  return {
    parameters: floats(plan.numParameters),
    buffers: floats(plan.numBuffers),
    images: new Uint8Array(new SharedArrayBuffer(maxBatch * plan.inputSize)),
    labels: new Uint16Array(new SharedArrayBuffer(maxBatch * Uint16Array.BYTES_PER_ELEMENT)),
    gradient: floats(plan.numParameters),
    statistics: floats(plan.numBuffers),
    outputs: floats(maxBatch * plan.spec.numClasses),
  };
}

/** Copies what there is of the samples, and no more than fits: what is missing, the engine refuses. */
function copyBatch({ images, labels, numSamples, dropoutKeys }: Microbatch, memory: EngineMemory): BatchSize {
  const sampleBytes = memory.images.length / memory.labels.length;
  const numBytes = Math.min(images.length, numSamples * sampleBytes, memory.images.length);
  const numLabels = Math.min(labels.length, numSamples, memory.labels.length);
  memory.images.set(images.subarray(0, numBytes));
  memory.labels.set(labels.subarray(0, numLabels));
  return { numBytes, numLabels, numSamples, dropoutKeys };
}
