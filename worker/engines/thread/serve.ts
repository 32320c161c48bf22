/** The thread's side: makes engines on vectors of its own, and computes what it is asked for, one call after another. */
import type { MessagePort } from 'node:worker_threads';
import { createLabels } from '../../../protocol/data/labels.ts';
import { internalError } from '../../../protocol/errors.ts';
import type { Engine, EngineOptions, Microbatch } from '../engine.ts';
import { encodeError } from './messages.ts';
import type { BatchSize, EngineAnswers, EngineCall, EngineReply, EngineRequest } from './messages.ts';

export type EngineFactory = (options: EngineOptions) => Promise<Engine>;

interface ServedEngine {
  compute(batch: BatchSize): Promise<EngineAnswers['computeGradient']>;
  evaluate(batch: BatchSize, hasOutputs: boolean): Promise<EngineAnswers['evaluate']>;
  dispose(): Promise<void>;
}

/** Answers the calls that come through `port`, for engines of `factories`. An error is an answer; it ends nothing. */
export function serveEngines(port: MessagePort, factories: Readonly<Record<string, EngineFactory>>): void {
  const engines = new Map<number, ServedEngine>();

  const engineOf = (engineId: number): ServedEngine => {
    const engine = engines.get(engineId);
    if (!engine) throw internalError(`engine ${engineId} is not in this thread`);
    return engine;
  };

  const answer = async (engineId: number, request: EngineRequest): Promise<EngineAnswers[keyof EngineAnswers]> => {
    switch (request.kind) {
      case 'create': {
        const factory = factories[request.engine];
        if (!factory) throw internalError(`no engine ${request.engine} for a thread`);
        const { identity, served } = await createServed(factory, request);
        engines.set(engineId, served);
        return identity;
      }
      case 'computeGradient':
        return engineOf(engineId).compute(request.batch);
      case 'evaluate':
        return engineOf(engineId).evaluate(request.batch, request.hasOutputs);
      case 'dispose': {
        const engine = engines.get(engineId);
        engines.delete(engineId);
        await engine?.dispose();
        return null;
      }
    }
  };

  let last: Promise<void> = Promise.resolve();
  port.on('message', ({ call, engineId, request }: EngineCall) => {
    const reply = (message: EngineReply) => port.postMessage(message);
    last = last.then(() =>
      answer(engineId, request).then(
        (found) => reply({ call, answer: found }),
        (error: unknown) => reply({ call, error: encodeError(error) }),
      ),
    );
  });
}

async function createServed(
  factory: EngineFactory,
  { options, memory }: Extract<EngineRequest, { kind: 'create' }>,
): Promise<{ identity: EngineAnswers['create']; served: ServedEngine }> {
  const { plan, maxBatch } = options;
  const parameters = Float32Array.from(memory.parameters);
  const buffers = Float32Array.from(memory.buffers);
  const engine = await factory({ ...options, parameters, buffers });
  const into = {
    gradient: new Float32Array(plan.numParameters),
    statistics: new Float32Array(plan.numBuffers),
  };
  const images = new Uint8Array(maxBatch * plan.inputSize);
  const labels = createLabels(maxBatch, plan.spec.numClasses);
  /** Made when outputs are asked for first. */
  let outputs: Float32Array<ArrayBuffer> | undefined;

  /** As the caller gave it: an engine must see that there are fewer bytes than it was told. */
  const takeBatch = ({ numBytes, numLabels, numSamples, dropoutKeys }: BatchSize): Microbatch => {
    images.set(memory.images.subarray(0, numBytes));
    labels.set(memory.labels.subarray(0, numLabels));
    return { images: images.subarray(0, numBytes), labels: labels.subarray(0, numLabels), numSamples, dropoutKeys };
  };

  const { name, device, threads } = engine;
  return {
    identity: { name, device, threads },
    served: {
      async compute(batch) {
        parameters.set(memory.parameters);
        const result = await engine.computeGradient(takeBatch(batch), into);
        memory.gradient.set(into.gradient);
        memory.statistics.set(into.statistics);
        return result;
      },
      async evaluate(batch, hasOutputs) {
        parameters.set(memory.parameters);
        buffers.set(memory.buffers);
        if (!hasOutputs) return engine.evaluate(takeBatch(batch));
        outputs ??= new Float32Array(maxBatch * plan.spec.numClasses);
        const result = await engine.evaluate(takeBatch(batch), outputs);
        memory.outputs.set(outputs);
        return result;
      },
      dispose: () => engine.dispose(),
    },
  };
}
