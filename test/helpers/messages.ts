/** One sound message of every kind, for tests of whatever carries messages. */
import { FASHION_MNIST_SHA256 } from '../../protocol/data/fashion-mnist.ts';
import { MODELS } from '../../protocol/state/models.ts';
import { PLAIN_SGD } from './optimizers.ts';
import type { Message, MessageKind, MessageOf } from '../../protocol/wire/messages.ts';

const parametersSha256 = 'ab'.repeat(32);
const assignment = { step: 7, epoch: 2, stepInEpoch: 3, firstMicrobatch: 1, numMicrobatches: 2, numBuckets: 3 };
const sums = { lossSum: 1.5, numCorrect: 3, numSamples: 4 };

export const SAMPLE_MESSAGES: { [K in MessageKind]: MessageOf<K> } = {
  hello: { kind: 'hello', name: 'local-1' },
  challenge: { kind: 'challenge', nonce: 'cd'.repeat(32), proof: 'ef'.repeat(32) },
  proof: { kind: 'proof', proof: '01'.repeat(32) },
  welcome: {
    kind: 'welcome',
    runId: 'abc123',
    workerId: 'w1',
    model: MODELS['conv-pool'],
    seed: -7,
    optimizer: PLAIN_SGD,
    globalBatch: 256,
    numMicrobatches: 2,
    evaluationBatch: 256,
    wire: 'bf16',
    numTrainSamples: 60000,
    numTestSamples: 10000,
    patienceMs: 1000,
    dataset: { name: 'fashion-mnist', sha256: FASHION_MNIST_SHA256, totalBytes: 54_950_520 },
  },
  datasetRequest: { kind: 'datasetRequest', offsetBytes: 0, numBytes: 3 },
  datasetChunk: {
    kind: 'datasetChunk',
    offsetBytes: 0,
    payload: Uint8Array.of(1, 2, 3),
  },
  ready: { kind: 'ready', engine: 'onnx', device: 'cpu', threads: 1, sharesMemory: false },
  snapshot: { kind: 'snapshot', step: 0, parametersSha256, payload: Float32Array.of(0.1, NaN, Infinity, -0) },
  applied: { kind: 'applied', step: 7, parametersSha256, applyMs: 0.5, hashMs: 0.25 },
  step: { kind: 'step', assignment },
  gradient: {
    kind: 'gradient',
    step: 7,
    firstMicrobatch: 1,
    numMicrobatches: 2,
    microbatches: [sums, sums],
    computeMs: 12.5,
    encodeMs: 0.25,
    applyMs: 0.125,
    payload: Uint8Array.of(0, 255, 7, 1),
  },
  gradientBucket: {
    kind: 'gradientBucket',
    step: 7,
    firstMicrobatch: 1,
    numMicrobatches: 2,
    bucket: 0,
    payload: Uint8Array.of(0, 255, 7, 1),
  },
  notFinite: {
    kind: 'notFinite',
    step: 7,
    firstMicrobatch: 1,
    numMicrobatches: 2,
    what: 'the gradient of conv1.weight',
  },
  averageBucket: { kind: 'averageBucket', step: 7, bucket: 1, payload: Uint8Array.of(9, 8, 7, 6) },
  update: {
    kind: 'update',
    step: 7,
    rates: { learningRate: 0.1, stepSize: 0.1, secondMomentScale: 1 },
    next: assignment,
    payload: Uint8Array.of(3, 4, 5, 6, 7, 8, 9, 10),
  },
  standBy: { kind: 'standBy', reason: 'all 2 microbatches of a step have a worker' },
  hold: { kind: 'hold' },
  evaluate: { kind: 'evaluate', epoch: 1, firstChunk: 0, numChunks: 20, predictions: true },
  evaluation: {
    kind: 'evaluation',
    epoch: 1,
    chunks: [sums],
    computeMs: 3,
    // Of four samples: classes, then losses.
    payload: Float32Array.of(0, 9, 2, 2, 0.5, Infinity, NaN, 0),
  },
  shutdown: { kind: 'shutdown', reason: 'the run is completed' },
  leave: { kind: 'leave', reason: 'asked to' },
  ringPrepare: { kind: 'ringPrepare', token: '0123456789abcdef'.repeat(4) },
  ringListening: { kind: 'ringListening', url: 'ws://10.0.0.1:40123' },
  ringUnavailable: { kind: 'ringUnavailable', because: 'successor', reason: 'no answer' },
  ringConnect: {
    kind: 'ringConnect',
    rank: 2,
    size: 3,
    successorUrl: 'ws://10.0.0.1:40123',
    successor: 'local-1',
    predecessor: 'local-2',
    stepTimeoutMs: 60000,
  },
  ringReady: { kind: 'ringReady', rank: 2 },
  ringClose: { kind: 'ringClose', reason: 'local-1 cannot reach local-2' },
  peerHello: { kind: 'peerHello', token: '0123456789abcdef'.repeat(4), rank: 1 },
  ringStep: {
    kind: 'ringStep',
    step: 7,
    numSamples: 256,
    rates: { learningRate: 0.1, stepSize: 0.1, secondMomentScale: 1 },
    assignment,
  },
  ringSum: {
    kind: 'ringSum',
    step: 7,
    firstMicrobatch: 1,
    microbatches: [sums, sums],
    computeMs: 12.5,
    encodeMs: 0.25,
    applyMs: 0.125,
  },
  ringChunk: { kind: 'ringChunk', step: 7, phase: 'gather', piece: 5, payload: Uint8Array.of(9, 8, 7, 6) },
  ringDone: {
    kind: 'ringDone',
    step: 7,
    isFinite: true,
    encodeMs: 0.5,
    reduceMs: 0.25,
    bytesSent: 1000,
    bytesReceived: 1001,
  },
  ringProve: { kind: 'ringProve', sendState: true },
  ringBroken: { kind: 'ringBroken', step: 7, neighbour: 'successor', reason: 'the link to local-1 failed' },
  ringClosed: { kind: 'ringClosed', step: 6 },
  error: { kind: 'error', code: 'ERR_STALE_RESULT', message: 'too late' },
};

export const ALL_MESSAGES: Message[] = Object.values(SAMPLE_MESSAGES);

/** A welcome with all that a recipe asks for. */
export const RECIPE_WELCOME: MessageOf<'welcome'> = {
  ...SAMPLE_MESSAGES.welcome,
  optimizer: { ...PLAIN_SGD, emaDecay: 0.98, emaEvery: 8 },
  numTrainSamples: 55000,
  numTestSamples: 0,
  numValidationSamples: 5000,
  labelSmoothing: 0.1,
  augmentation: {
    flipProbability: 0.5,
    shiftProbability: 0.3,
    shiftPixels: 1,
    eraseProbability: 0.25,
    erasePixels: 8,
  },
};
