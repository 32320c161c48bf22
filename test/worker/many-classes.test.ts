/** A dataset of more classes than a byte tells apart, from its canonical form to the trained model. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { toCanonical } from '../../protocol/data/canonical.ts';
import type { SampleSet } from '../../protocol/data/dataset.ts';
import { createLabels } from '../../protocol/data/labels.ts';
import { uniformFloats } from '../../protocol/data/random.ts';
import type { ModelSpec } from '../../protocol/state/model-spec.ts';
import { runCluster, runConfig } from '../helpers/cluster.ts';
import { temporaryFolder } from '../helpers/folder.ts';

const NUM_CLASSES = 300;
const NUM_PIXELS = 20;

const model: ModelSpec = {
  name: 'many-classes',
  input: [1, 4, 5],
  numClasses: NUM_CLASSES,
  layers: [{ kind: 'batchNorm' }, { kind: 'flatten' }, { kind: 'dense', units: NUM_CLASSES, activation: 'none' }],
};

/** Each class has pixels of its own, to which every sample adds a little noise. */
function samples(perClass: number, seed: number): SampleSet {
  const [pixels, noise] = [uniformFloats(1), uniformFloats(seed)];
  const templates = Uint8Array.from({ length: NUM_CLASSES * NUM_PIXELS }, () => pixels() * 200);
  const numSamples = perClass * NUM_CLASSES;
  const images = new Uint8Array(numSamples * NUM_PIXELS).map(
    (_, at) => templates[at % templates.length]! + noise() * 50,
  );
  return { images, labels: createLabels(numSamples, NUM_CLASSES).map((_, n) => n % NUM_CLASSES), numSamples };
}

const dataset = await toCanonical({
  shape: [1, 4, 5],
  classes: Array.from({ length: NUM_CLASSES }, (_, label) => `class ${label}`),
  train: samples(5, 2),
  test: samples(1, 3),
});

beforeEach(() => {
  vi.stubEnv('XDG_CACHE_HOME', temporaryFolder());
});
afterEach(() => {
  vi.unstubAllEnvs();
});

const config = runConfig({
  model,
  epochs: 4,
  globalBatch: 60,
  schedule: { ...runConfig().schedule, name: 'constant', warmupSteps: 0, learningRate: 0.5 },
});

async function trained(workers: number) {
  const lines: string[] = [];
  const onDatasetLine = (line: string) => void lines.push(line);
  const { epochs, replica } = await runCluster({ config: { ...config, workers }, served: dataset, onDatasetLine });
  return { accuracy: epochs.at(-1)!.testAccuracy!, sha256: replica.parametersSha256(), numSent: lines.length };
}

test('300 classes are learnt to the same bits by one worker and by two, sent to them or found on their machine', async () => {
  const one = await trained(1);
  expect(one.numSent).toBe(1);
  expect(one.accuracy).toBeGreaterThan(0.8);
  expect(await trained(2)).toEqual({ ...one, numSent: 0 });
  vi.stubEnv('XDG_CACHE_HOME', temporaryFolder());
  expect(await trained(2)).toEqual({ ...one, numSent: 2 });
});
