/** The coordinator of this benchmark as a process that has nothing else to do: its memory and processor time are the run's. */
import { performance } from 'node:perf_hooks';
import { startCoordinator } from '../../library/index.ts';
import { uniformFloats } from '../../../protocol/data/random.ts';
import type { CoordinatorOrder, CoordinatorReport } from './messages.ts';

/** Images as small as convolutions and pools of the models allow, so that workers hold little. */
const SHAPE = [1, 28, 28] as const;
const NUM_CLASSES = 10;

const report = (what: CoordinatorReport) => void process.send!(what);

process.once('message', (order: CoordinatorOrder) => void run(order));
process.on('disconnect', () => process.exit());

async function run(order: CoordinatorOrder): Promise<void> {
  const { numWorkers, model, steps, stepsPerEpoch, samplesPerWorker, runDir, allReduce } = order;
  const globalBatch = numWorkers * samplesPerWorker;
  let before = { wallMs: 0, cpuMs: 0, busyMs: 0 };
  let numSteps = 0;
  let listeningMs = 0;
  const coordinator = await startCoordinator({
    ...{ model, globalBatch, microbatches: numWorkers, epochs: Math.ceil(steps / stepsPerEpoch), maxSteps: steps },
    ...{ workers: numWorkers, listen: '127.0.0.1:0', sharedMemory: false, allReduce, dashboard: true, runDir },
    ...{ report: false, tensorboard: false, recordSteps: 1 },
    data: randomData(globalBatch * stepsPerEpoch),
    logger: { info: (text) => report({ kind: 'line', text }), warn: (text) => report({ kind: 'line', text }) },
    onEvent(event) {
      if (event.kind === 'listening') {
        listeningMs = performance.now();
        report({ kind: 'listening', joinUrl: event.joinUrl });
      }
      if (event.kind !== 'started') return;
      report({ kind: 'started', joinSeconds: (performance.now() - listeningMs) / 1000 });
      before = usage();
    },
    onStep() {
      const now = usage();
      const { wallMs, cpuMs, busyMs } = before;
      const cost = { wallMs: now.wallMs - wallMs, cpuMs: now.cpuMs - cpuMs, busyMs: now.busyMs - busyMs };
      report({ kind: 'step', step: ++numSteps, ...cost });
      before = now;
    },
  });
  const { result } = await coordinator.finished;
  const peakMegabytes = process.resourceUsage().maxRSS / 1024;
  const { status, parametersSha256 } = result;
  report({ kind: 'ended', status, parametersSha256, peakMegabytes });
  process.disconnect();
}

function usage() {
  const { user, system } = process.cpuUsage();
  return {
    wallMs: performance.now(),
    cpuMs: (user + system) / 1000,
    busyMs: performance.eventLoopUtilization().active,
  };
}

/** The same in every run: noise that no model learns, which no measurement here is about. */
function randomData(numSamples: number) {
  const random = uniformFloats(1);
  const images = new Uint8Array(numSamples * SHAPE[0] * SHAPE[1] * SHAPE[2]).map(() => random() * 256);
  const labels = new Uint8Array(numSamples).map((_, i) => i % NUM_CLASSES);
  return { train: { images, labels }, shape: SHAPE, classes: NUM_CLASSES };
}
