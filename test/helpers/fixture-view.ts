/** Views of runs as a coordinator would make them: three workers on Fashion-MNIST, finished or in the middle of epoch 7 of 12. */
import type { Confusion, ConfusionCell } from '../../coordinator/reporting/confusion.ts';
import { FASHION_MNIST_CLASSES } from '../../protocol/data/fashion-mnist.ts';
import type { RunConfig } from '../../coordinator/run-config.ts';
import type { EpochView, EventView, RunView, StepPoint, WorkerView } from '../../coordinator/dashboard/run-view.ts';

const EPOCHS = 12;
const STEPS_PER_EPOCH = 235;
const POINTS = 60;
const STARTED = Date.parse('2026-11-30T16:02:11Z');

export const CLASSES = FASHION_MNIST_CLASSES;

/** -0.5 to 0.5, the same for the same place. */
const noise = (at: number): number => {
  const x = Math.sin(at * 127.1 + 311.7) * 43_758.5453;
  return x - Math.floor(x) - 0.5;
};

const lossAt = (epochs: number): number => 0.24 + 1.9 * Math.exp(-2.6 * epochs) + 0.32 * Math.exp(-0.28 * epochs);
const accuracyAt = (epochs: number): number => 1 - 0.39 * lossAt(epochs) - 0.005;
const timeAt = (epochs: number): string => new Date(STARTED + epochs * 11_400).toISOString();

export const CONFIG: RunConfig = {
  model: {
    name: 'conv-pool',
    input: [1, 28, 28],
    numClasses: 10,
    layers: [
      { kind: 'conv', filters: 6, kernel: 5, activation: 'relu' },
      { kind: 'maxPool', size: 2 },
      { kind: 'flatten' },
      { kind: 'dense', units: 10, activation: 'none' },
    ],
  },
  dataset: { name: 'fashion-mnist', source: 'built in', shape: [1, 28, 28], classes: CLASSES, sha256: 'a'.repeat(64) },
  workers: 3,
  epochs: EPOCHS,
  globalBatch: 256,
  microbatches: 6,
  accumulate: 1,
  localSteps: 1,
  seed: 1,
  optimizer: {
    name: 'sgd',
    momentum: 0.9,
    nesterov: true,
    weightDecay: 0.0005,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
  },
  schedule: { name: 'cosine', learningRate: 0.1, warmupSteps: 100, decayEpochs: 10, decayFactor: 0.1 },
  wire: 'bf16',
  allReduce: 'auto',
  shares: 'auto',
  joinTimeoutSeconds: 60,
  stepTimeoutSeconds: 30,
};

/** `epochs`: done after the point. */
function stepPoint(i: number, epochs: number, numSteps: number): StepPoint {
  const slow = epochs > 3 && epochs < 4 ? 9 : 0;
  const parts = {
    computePartMs: 21 + 2 * noise(i),
    encodePartMs: 1.4 + 0.3 * noise(i + 1000),
    wirePartMs: 6.5 + 2 * noise(i + 2000),
    waitPartMs: 4 + slow + 2 * noise(i + 3000),
    reducePartMs: 2.2 + 0.4 * noise(i + 4000),
    applyPartMs: 1.1 + 0.1 * noise(i + 5000),
    otherPartMs: 0.6 + 0.2 * noise(i + 6000),
  };
  const stepMs = Object.values(parts).reduce((sum, part) => sum + part, 0);
  return {
    ...parts,
    step: Math.round(epochs * STEPS_PER_EPOCH),
    numSteps,
    epochs,
    loss: lossAt(epochs) + 0.05 * noise(i + 7000),
    trainAccuracy: Math.min(1, accuracyAt(epochs) + 0.02 * noise(i + 8000)),
    learningRate: 0.05 * (1 + Math.cos((Math.PI * epochs) / EPOCHS)),
    stepMs,
    samplesPerSecond: 256_000 / stepMs,
    bytesSent: 364_000 + 200 * noise(i),
    bytesReceived: 364_900 + 300 * noise(i + 9000),
  };
}

function epochView(epoch: number): EpochView {
  const seconds = 8.6 + 0.5 * noise(epoch);
  return {
    epoch,
    endedAt: timeAt(epoch),
    learningRate: 0.05 * (1 + Math.cos((Math.PI * epoch) / EPOCHS)),
    loss: lossAt(epoch - 0.4),
    trainAccuracy: accuracyAt(epoch - 0.4),
    evaluationLoss: lossAt(epoch) + 0.01 * epoch - 0.02 + 0.02 * noise(epoch),
    evaluationAccuracy: accuracyAt(epoch) - 0.004 * epoch ** 0.5 + 0.006 * noise(epoch),
    seconds,
    evaluationSeconds: 0.8,
    samples: 60_000,
    samplesPerSecond: 60_000 / seconds,
    steps: STEPS_PER_EPOCH,
    bytesSent: 85_600_000,
    bytesReceived: 85_700_000,
    slowestWorker: 'attic-pi',
    slowestDelaySeconds: 0.9,
    numWorkers: 3,
    computePartSeconds: 0.57 * seconds,
    encodePartSeconds: 0.04 * seconds,
    wirePartSeconds: 0.18 * seconds,
    waitPartSeconds: 0.11 * seconds,
    reducePartSeconds: 0.06 * seconds,
    applyPartSeconds: 0.03 * seconds,
    otherPartSeconds: 0.01 * seconds,
  };
}

const worker = (id: string, name: string, rest: Partial<WorkerView>): WorkerView => ({
  id,
  name,
  engine: 'native',
  device: 'cpu',
  threads: 4,
  host: `192.168.1.${10 + Number(id)}`,
  state: 'working',
  share: 1 / 3,
  computeMs: 20.8,
  delayMs: 0.4,
  numSamples: 134_000,
  numReconnects: 0,
  ...rest,
});

const EVENTS: readonly (readonly [epochs: number, tone: EventView['tone'], text: string])[] = [
  [0, 'neutral', 'worker desk joined from 192.168.1.11: engine native on cpu, 4 threads'],
  [0.02, 'neutral', 'worker rack-gpu joined from 192.168.1.12: engine onnx on cuda'],
  [0.05, 'neutral', 'worker attic-pi joined from 192.168.1.13: engine native on cpu, 4 threads'],
  [0.1, 'good', 'training begins with 3 workers: star, bf16'],
  [1, 'good', 'checkpoint after epoch 1'],
  [3.1, 'bad', 'worker attic-pi lost at step 729: its connection broke; its 2 microbatches went to desk'],
  [3.9, 'good', 'worker attic-pi is back at step 917, after 9.1 s'],
  [4, 'good', 'checkpoint after epoch 4'],
  [6, 'good', 'most accurate so far: epoch 6'],
];

const event = ([epochs, tone, text]: (typeof EVENTS)[number]): EventView => ({ at: timeAt(epochs), tone, text });

/** How many samples of a class are taken for another. */
const ALIKE: readonly (readonly [label: number, predicted: number, numSamples: number])[] = [
  [6, 0, 118],
  [0, 6, 92],
  [6, 2, 71],
  [2, 4, 64],
  [6, 4, 59],
  [4, 2, 55],
  [2, 6, 47],
  [4, 6, 44],
  [3, 4, 27],
  [9, 7, 31],
  [7, 9, 22],
  [5, 7, 18],
  [3, 0, 19],
  [0, 2, 14],
  [8, 0, 4],
  [1, 3, 11],
];

/** Of 1,000 test samples a class; with later epochs fewer errors. */
export function fixtureConfusion(epoch: number, numClasses = 10): Confusion {
  const cells: ConfusionCell[] = [];
  const wrong = new Map<number, number>();
  const add = (label: number, predicted: number, numSamples: number) => {
    const numShown = Math.min(numSamples, label === predicted ? 12 : 60);
    const worst = Array.from({ length: numShown }, (_, i) => (label * 1000 + predicted * 61 + i * 7) % 10_000);
    cells.push({ label, predicted, numSamples, worst, losses: worst.map((_, i) => 6.2 * 0.95 ** i) });
  };
  const pairs =
    numClasses === 10
      ? ALIKE
      : Array.from(
          { length: 3 * numClasses },
          (_, i) => [i % numClasses, (i * 7 + 3) % numClasses, 1 + ((i * 13) % 90)] as const,
        );
  for (const [label, predicted, base] of pairs) {
    if (label === predicted) continue;
    const numSamples = Math.round((base * (1 + 1.5 * Math.exp(-epoch / 3))) / 1.2);
    add(label, predicted, numSamples);
    wrong.set(label, (wrong.get(label) ?? 0) + numSamples);
  }
  for (let label = 0; label < numClasses; label++) add(label, label, 1000 - (wrong.get(label) ?? 0));
  return { epoch, split: 'test', numSamples: 1000 * numClasses, cells };
}

/** In the middle of epoch 7. */
export function runningView(): RunView {
  return viewAt(6.4, EPOCHS, 'running');
}

/** After all its epochs. */
export function finishedView(): RunView {
  const view = viewAt(EPOCHS, EPOCHS, 'completed');
  const last = view.epochs.at(-1)!;
  return {
    ...view,
    now: {
      ...view.now,
      result: {
        status: 'completed',
        steps: EPOCHS * STEPS_PER_EPOCH,
        epochs: EPOCHS,
        testAccuracy: last.evaluationAccuracy,
        bestEpoch: 11,
        bestAccuracy: 0.9,
        seconds: 128,
        trainingSeconds: 117,
        waitingSeconds: 11,
        parametersSha256: 'b'.repeat(64),
      },
    },
  };
}

/** `done`: epochs that are done, of `epochs`. */
export function viewAt(done: number, epochs: number, state: RunView['now']['state'], numPoints = POINTS): RunView {
  const whole = Math.floor(done);
  const series = Array.from({ length: numPoints }, (_, i) =>
    stepPoint(i, ((i + 1) / numPoints) * done, Math.ceil((done * STEPS_PER_EPOCH) / numPoints)),
  );
  const last = series.at(-1)!;
  return {
    head: {
      name: '2026-11-30-conv-pool-k3x9',
      config: { ...CONFIG, epochs },
      stepsPerEpoch: STEPS_PER_EPOCH,
      classes: CLASSES,
      evaluates: 'test',
      startedAt: new Date(STARTED).toISOString(),
      command:
        'gradsock coordinator --model conv-pool --workers 3 --epochs 12 --wire bf16 --schedule cosine --listen 0.0.0.0:7070',
      environment: { gradsock: '0.1.0', node: 'v20.19.2', platform: 'linux x64', cpu: 'AMD Ryzen 7 5700X, 16 threads' },
      reference: {
        name: 'homework report, MXNet on a GPU',
        loss: Array.from({ length: epochs }, (_, i) => lossAt(i + 0.9) + 0.08),
        trainAccuracy: Array.from({ length: epochs }, (_, i) => accuracyAt(i + 0.9) - 0.02),
        testAccuracy: Array.from({ length: epochs }, (_, i) => accuracyAt(i + 1) - 0.025),
      },
    },
    now: {
      state,
      progress: {
        epoch: Math.min(whole + 1, epochs),
        epochs,
        step: last.step,
        stepInEpoch: last.step - whole * STEPS_PER_EPOCH,
        stepsPerEpoch: STEPS_PER_EPOCH,
        loss: last.loss,
        trainAccuracy: last.trainAccuracy,
        samplesPerSecond: last.samplesPerSecond,
        runSecondsLeft: (epochs - done) * 9.4,
      },
      verdict:
        'Computing takes 57 % of a step, and the wire 18 %: a second worker as fast as desk would save a quarter of the time. attic-pi keeps the others waiting for 2.9 ms a step.',
      bytesSent: done * 85_600_000,
      bytesReceived: done * 85_700_000,
      confusions: Array.from({ length: whole }, (_, i) => i + 1),
    },
    workers: [
      worker('1', 'desk', { share: 0.33 }),
      worker('2', 'rack-gpu', {
        engine: 'onnx',
        device: 'cuda',
        share: 0.5,
        computeMs: 18.1,
        delayMs: 0,
        numSamples: 201_000,
      }),
      worker('3', 'attic-pi', {
        share: 0.17,
        computeMs: 22.9,
        delayMs: 2.9,
        numSamples: 61_400,
        numReconnects: 1,
        state: 'late',
      }),
    ],
    epochs: Array.from({ length: whole }, (_, i) => epochView(i + 1)),
    series,
    events: EVENTS.filter(([at]) => at <= done).map(event),
  };
}
