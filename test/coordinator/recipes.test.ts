/** Augmentation, label smoothing, averages of the weights and validation, as a run has them all at once. */
import { describe, expect, test } from 'vitest';
import type { EpochRecord } from '../../coordinator/reporting/reporter.ts';
import type { RunConfig } from '../../coordinator/run-config.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import { createAugmenter } from '../../protocol/data/augmentation.ts';
import { FASHION_MNIST_SHAPE } from '../../protocol/data/fashion-mnist.ts';
import { IMAGE_BYTES } from '../helpers/fashion-mnist.ts';
import { planModel } from '../../protocol/state/model-spec.ts';
import { epochOrder } from '../../protocol/data/random.ts';
import { createReplica } from '../../protocol/state/replica.ts';
import type { Message } from '../../protocol/wire/messages.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { createReferenceEngine } from '../../worker/engines/reference/reference-engine.ts';
import { madeUpDataset, runCluster, runConfig, TINY_MODEL } from '../helpers/cluster.ts';
import type { ClusterOptions, ClusterOutcome } from '../helpers/cluster.ts';

const augmentation = {
  flipProbability: 0.5,
  shiftProbability: 0.5,
  shiftPixels: 2,
  eraseProbability: 0.3,
  erasePixels: 9,
};
const adamw = { ...runConfig().optimizer, name: 'adamw', weightDecay: 0.1 } as const;
const RECIPE: Partial<RunConfig> = {
  microbatches: 8,
  optimizer: { ...adamw, emaDecay: 0.9, emaEvery: 2 },
  labelSmoothing: 0.1,
  augmentation,
};

const recipe = (changes: Partial<RunConfig> = {}) => runConfig({ ...RECIPE, ...changes });

const figuresOf = ({ epochs }: ClusterOutcome) =>
  epochs.map(({ loss, trainAccuracy, testLoss, testAccuracy, validationLoss, validationAccuracy }) => {
    return [loss, trainAccuracy, testLoss, testAccuracy, validationLoss, validationAccuracy];
  });

function expectSame(outcome: ClusterOutcome, expected: ClusterOutcome): void {
  expect(outcome.replica.parametersSha256()).toBe(expected.replica.parametersSha256());
  expect(outcome.replica.averages).toEqual(expected.replica.averages);
  expect(outcome.replica.state).toEqual(expected.replica.state);
  expect(figuresOf(outcome)).toEqual(figuresOf(expected));
}

let quiet: Promise<ClusterOutcome> | undefined;
const quietRun = () => (quiet ??= runCluster({ config: recipe() }));

describe('a recipe', () => {
  test.each<[string, Partial<RunConfig>]>([
    ['all of it', {}],
    ['with two batches a step', { accumulate: 2 }],
    ['with local steps', { localSteps: 3 }],
    ['with validation', { validationSamples: 300 }],
  ])(
    'ends with the same bits and figures on 1, 2 and 3 workers and with the replica shared: %s',
    async (_, changes) => {
      const one = await runCluster({ config: recipe(changes) });
      for (const workers of [2, 3]) expectSame(await runCluster({ config: recipe({ ...changes, workers }) }), one);
      expectSame(await runCluster({ config: recipe(changes), shareReplica: true }), one);
    },
  );

  test.each<[string, Partial<RunConfig>]>([
    ['augmentation', { augmentation: undefined }],
    ['label smoothing', { labelSmoothing: undefined }],
  ])('without %s ends elsewhere', async (_, { ...left }) => {
    const { replica } = await runCluster({ config: recipe(left) });
    expect(replica.parametersSha256()).not.toBe((await quietRun()).replica.parametersSha256());
  });

  test('without averages ends with the same parameters, and evaluates those', async () => {
    const { replica, epochs } = await quietRun();
    const plain = await runCluster({ config: recipe({ optimizer: adamw }) });
    expect(plain.replica.averages).toBeUndefined();
    expect(plain.replica.parametersSha256()).toBe(replica.parametersSha256());
    expect(plain.epochs.map(({ loss }) => loss)).toEqual(epochs.map(({ loss }) => loss));
    expect(plain.epochs.map(({ testLoss }) => testLoss)).not.toEqual(epochs.map(({ testLoss }) => testLoss));
  });

  test('evaluates the averages, against labels that are not smoothed', async () => {
    const { replica, epochs } = await quietRun();
    const { evaluation } = madeUpDataset();
    const options = { plan: replica.plan, ...replica.averages!, maxBatch: 300, threads: 1 };
    const { lossSum, numCorrect } = await (await createReferenceEngine(options)).evaluate(evaluation);
    expect(epochs.at(-1)!.testLoss).toBeCloseTo(lossSum / 300, 10);
    expect(epochs.at(-1)!.testAccuracy).toBe(numCorrect / 300);
  });

  test('learns what can be learnt', async () => {
    // What can be learnt here is where an image is bright: a mirror would move it.
    const config = recipe({ workers: 2, epochs: 20, augmentation: { ...augmentation, flipProbability: 0 } });
    const { epochs } = await runCluster({ config });
    expect(epochs.at(-1)!.testAccuracy).toBeGreaterThan(0.85);
  });
});

describe('augmentation in a run', () => {
  test('gives the engine each sample of each epoch as its index makes it, whoever has it', async () => {
    const dataset = madeUpDataset();
    const seen = [new Set<string>(), new Set<string>()];
    let epoch = 0;
    await runCluster({
      config: recipe({ workers: 3 }),
      dataset,
      onProgress: ({ epoch: current, stepInEpoch }) => (epoch = stepInEpoch === 5 ? current : current - 1),
      createEngine: async (options) => {
        const engine = await createReferenceEngine(options);
        return {
          ...engine,
          computeGradient(batch, into) {
            for (let i = 0; i < batch.numSamples; i++) {
              const image = batch.images.slice(i * IMAGE_BYTES, (i + 1) * IMAGE_BYTES);
              seen[epoch]!.add(`${batch.labels[i]}:${Buffer.from(image).toString('base64')}`);
            }
            return engine.computeGradient(batch, into);
          },
        };
      },
    });
    const augment = createAugmenter(augmentation, FASHION_MNIST_SHAPE);
    for (const [i, samples] of seen.entries()) {
      const { images, labels, numSamples } = dataset.train;
      const indices = epochOrder(7, i + 1, numSamples);
      const expected = new Set<string>();
      for (const index of indices) {
        const image = images.slice(index * IMAGE_BYTES, (index + 1) * IMAGE_BYTES);
        augment(image, { seed: 7, epoch: i + 1, indices: Uint32Array.of(index) });
        expected.add(`${labels[index]}:${Buffer.from(image).toString('base64')}`);
      }
      expect(samples).toEqual(expected);
    }
  });

  test('leaves the dataset and the samples that are evaluated as they are', async () => {
    const dataset = madeUpDataset();
    await runCluster({ config: recipe({ epochs: 1 }), dataset });
    const untouched = madeUpDataset();
    for (const set of ['train', 'evaluation'] as const) {
      expect(Buffer.compare(dataset[set].images, untouched[set].images)).toBe(0);
      expect(dataset[set].labels).toEqual(untouched[set].labels);
    }
  });
});

describe('a run with averages', () => {
  const closing = () => new ProtocolError('ERR_CLOSED', 'the cable was cut');
  /** The worker's end of a connection that breaks before the n-th message of a kind. */
  const cutBefore = (transport: Transport, kind: Message['kind'], n: number): Transport => {
    let count = 0;
    return {
      ...transport,
      send(message) {
        if (message.kind === kind && ++count === n) {
          transport.close();
          throw closing();
        }
        transport.send(message);
      },
    };
  };

  test.each<[string, Message['kind'], number]>([
    ['in mid-step', 'gradient', 4],
    ['while it evaluates', 'evaluation', 1],
  ])('ends with the same bits when a worker is lost %s', async (_, kind, n) => {
    const said: string[] = [];
    const outcome = await runCluster({
      config: recipe({ workers: 3 }),
      say: (line) => said.push(line),
      tamper: (transport, index) => (index === 1 ? cutBefore(transport, kind, n) : transport),
    });
    expect(said).toEqual([expect.stringMatching(/^lost worker worker-1/)]);
    expectSame(outcome, await quietRun());
  });

  test('hands them to a worker that joins when all others are lost', async () => {
    let join!: () => Promise<string>;
    const options: ClusterOptions = {
      config: recipe(),
      waitMs: 20_000,
      onStart: (given) => (join = given),
      say: (line) => {
        if (line.startsWith('no worker is left')) void join();
      },
      tamper: (transport, index) => (index === 0 ? cutBefore(transport, 'gradient', 7) : transport),
    };
    const outcome = await runCluster(options);
    expect(outcome.sessions.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    expectSame(outcome, await quietRun());
  });

  test('in a ring has them at the coordinator too, and evaluates them', async () => {
    const { replica, epochs } = await runCluster({ config: recipe({ workers: 3, allReduce: 'ring' }) });
    const star = await quietRun();
    for (const [i, value] of replica.averages!.parameters.entries()) {
      expect(value).toBeCloseTo(star.replica.averages!.parameters[i]!, 4);
    }
    expect(epochs.at(-1)!.testLoss).toBeCloseTo(star.epochs.at(-1)!.testLoss!, 4);
  });

  test('with local steps has about those that it has without', async () => {
    // One microbatch: its local steps are the steps of a run without them.
    const changes = { microbatches: 1, optimizer: { ...RECIPE.optimizer!, name: 'sgd' } as const };
    const every = await runCluster({ config: recipe(changes) });
    const local = await runCluster({ config: recipe({ ...changes, localSteps: 3 }) });
    for (const which of ['parameters', 'buffers'] as const) {
      for (const [i, value] of local.replica.averages![which].entries()) {
        expect(value).toBeCloseTo(every.replica.averages![which][i]!, 4);
      }
    }
    const start = createReplica(planModel(TINY_MODEL), RECIPE.optimizer!, 7);
    expect(local.replica.averages).not.toEqual(start.averages);
  });

  test.each(['bf16', 'int8'] as const)('and local steps learns with %s on the wire', async (wire) => {
    const optimizer = { ...runConfig().optimizer, emaDecay: 0.9, emaEvery: 1 };
    const { epochs, replica } = await runCluster({
      config: runConfig({ workers: 2, epochs: 10, localSteps: 3, wire, optimizer }),
    });
    expect(replica.averages!.buffers.every(Number.isFinite)).toBe(true);
    const variances = replica.plan.buffers.filter(({ name }) => name.endsWith('.variance'));
    for (const { offset, size } of variances) {
      const values = replica.averages!.buffers.slice(offset, offset + size);
      expect(values.every((variance) => variance >= 0)).toBe(true);
    }
    expect(epochs.at(-1)!.testLoss).toBeLessThan(epochs[0]!.testLoss! / 1.3);
  });
});

describe('validation', () => {
  test('puts its figures where those of the test samples were', async () => {
    const validated = await runCluster({ config: recipe({ validationSamples: 300 }) });
    const tested = await quietRun();
    for (const [i, record] of validated.epochs.entries()) {
      const { testLoss, testAccuracy, validationLoss, validationAccuracy } = record;
      expect([testLoss, testAccuracy]).toEqual([null, null]);
      // The same samples were given for both: so they were evaluated alike.
      const expected: EpochRecord = tested.epochs[i]!;
      expect([validationLoss, validationAccuracy]).toEqual([expected.testLoss, expected.testAccuracy]);
      expect(expected).not.toHaveProperty('validationLoss');
      expect(expected).not.toHaveProperty('validationAccuracy');
    }
  });

  test('tells workers that there are no test samples, and how many are held back', async () => {
    const welcomes: Message[] = [];
    await runCluster({
      config: recipe({ validationSamples: 300, epochs: 1 }),
      tamper: (transport) => ({
        ...transport,
        async receive(timeoutMs, awaited) {
          const message = await transport.receive(timeoutMs, awaited);
          if (message.kind === 'welcome') welcomes.push(message);
          return message;
        },
      }),
    });
    expect(welcomes).toMatchObject([
      { numTrainSamples: 150, numTestSamples: 0, numValidationSamples: 300, labelSmoothing: 0.1, augmentation },
    ]);
  });

  test('has no figures at the end of an epoch that was left in the middle', async () => {
    const controller = new AbortController();
    const { status, epochs } = await runCluster({
      config: recipe({ validationSamples: 300 }),
      signal: controller.signal,
      onProgress: ({ stepInEpoch }) => {
        if (stepInEpoch === 2) controller.abort();
      },
    });
    expect(status).toBe('interrupted');
    expect(epochs.at(-1)).toMatchObject({ validationLoss: null, validationAccuracy: null, testLoss: null });
  });
});
