/** A model at work: what it sees in images, and how well it does on samples. */
import { Command } from 'commander';
import { countOf } from '../../protocol/counts.ts';
import { createLabels } from '../../protocol/data/labels.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { argmax, softmax } from '../../protocol/vectors/softmax.ts';
import { evaluationFlags, readingFlags } from '../flags/commands.ts';
import type { EvaluationFlags } from '../flags/commands.ts';
import { setFlags } from '../flags/given.ts';
import { addFlags } from '../flags/run-flags.ts';
import type { EngineFlags } from '../flags/run-flags.ts';
import { assess } from '../inference/assessment.ts';
import { openEvaluationData } from '../inference/evaluation-data.ts';
import type { FoundModel } from '../inference/evaluation-data.ts';
import { BATCH, createPredictor } from '../inference/predictor.ts';
import type { Predictor } from '../inference/predictor.ts';
import type { Model, Prediction } from './model.ts';
import { ownBytes, sourceInMemory } from './samples.ts';

/** `found` is kept, and not changed. */
export function createModel(found: FoundModel, engine: EngineFlags): Model {
  const { plan, classes, path, parameters, buffers } = found;
  const { inputSize } = plan;
  let predictor: Promise<Predictor> | undefined;
  let isDisposed = false;
  let last: Promise<unknown> = Promise.resolve();
  /** One after the other: an engine answers one call at a time. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    if (isDisposed) return Promise.reject(new ConfigError(`model ${plan.spec.name}: it is disposed of: load it again`));
    const turn = last.then(work);
    last = turn.catch(() => {});
    return turn;
  };
  const ready = async (): Promise<Predictor> => {
    predictor ??= createPredictor(found, engine);
    try {
      return await predictor;
    } catch (error) {
      predictor = undefined;
      throw error;
    }
  };

  return {
    spec: plan.spec,
    classes,
    path,
    parameters,
    buffers,
    predict(images, numImages = images.length / inputSize) {
      return inTurn(async () => {
        if (!Number.isInteger(numImages) || images.length !== numImages * inputSize) {
          throw new ConfigError(
            `images: expected ${countOf(inputSize, 'byte')} each, [${plan.spec.input.join(', ')}], got ${images.length} ` +
              `for ${Math.floor(numImages)}`,
          );
        }
        const atWork = await ready();
        const bytes = ownBytes(images);
        const predictions: Prediction[] = [];
        for (let first = 0; first < numImages; first += BATCH) {
          const numSamples = Math.min(BATCH, numImages - first);
          const batch = bytes.subarray(first * inputSize, (first + numSamples) * inputSize);
          const { outputs } = await atWork.compute({
            images: batch,
            labels: createLabels(numSamples, plan.spec.numClasses),
            numSamples,
          });
          predictions.push(...predictionsOf(outputs, numSamples, classes));
        }
        return predictions;
      });
    },
    evaluate(data, options = {}) {
      return inTurn(async () => {
        const { onProgress, logger, ...named } = options;
        const command = addFlags(new Command('evaluate'), [...evaluationFlags(), ...readingFlags()]);
        const given = typeof data === 'object' ? sourceInMemory(data) : undefined;
        setFlags(command, { ...named, ...(typeof data === 'string' && { data }) });
        const flags = command.opts<EvaluationFlags>();
        const log = (line: string) => logger?.info?.(line);
        const { name, dataset, samples } = await openEvaluationData(found, flags, { given, log });
        const atWork = await ready();
        const assessment = await assess(atWork, samples, {
          shape: dataset.shape,
          classes: dataset.classes,
          numWorst: flags.worst,
          onProgress: (numDone) => onProgress?.(numDone, samples.numSamples),
        });
        const { name: engineName, device } = atWork.engine;
        return { data: name, split: flags.split, engine: engineName, device, ...assessment };
      });
    },
    async dispose() {
      isDisposed = true;
      await last;
      await (await predictor?.catch(() => undefined))?.dispose();
      predictor = undefined;
    },
  };
}

function predictionsOf(outputs: Float32Array, numSamples: number, classes: readonly string[]): Prediction[] {
  const numClasses = classes.length;
  return Array.from({ length: numSamples }, (_, i) => {
    const ofSample = outputs.subarray(i * numClasses, (i + 1) * numClasses);
    const label = argmax(ofSample);
    return { label, className: classes[label]!, probabilities: softmax(ofSample) };
  });
}
