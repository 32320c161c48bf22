/** Prometheus: a reporter that keeps a run's figures as metrics, and writes them as text when they are asked for. */
import type { Contribution } from './contributions.ts';
import { createRunMetrics } from './prometheus-metrics.ts';
import type { RunMetrics, RunState } from './prometheus-metrics.ts';
import { NO_WORKERS, REISSUE_REASONS } from './reported-event.ts';
import type { ReadyWorker, ReportedEvent, WorkerCensus } from './reported-event.ts';
import type { EpochRecord, Progress, Reporter } from './reporter.ts';
import type { StepRecord } from './step-record.ts';
import { STEP_PARTS, StepSums } from './step-sums.ts';

export interface Prometheus {
  readonly reporter: Reporter;
  /** For HTTP: the exposition format in which the text is. */
  readonly contentType: string;
  readonly text: () => Promise<string>;
}

export interface BuildFacts {
  /** This program's. */
  readonly version: string;
  readonly node: string;
}

/**
 * Workers with series of their own; those that come later are counted together, as "other". Each time series costs memory
 * in the coordinator and in Prometheus, and workers of a long run may come and go without limit.
 */
const MOST_WORKERS = 1000;
const OTHERS = 'other';

export function createPrometheus(build: BuildFacts, mostWorkers = MOST_WORKERS): Prometheus {
  const reporter = new PrometheusReporter(build, mostWorkers);
  return { reporter, contentType: reporter.metrics.registry.contentType, text: () => reporter.text() };
}

class PrometheusReporter implements Reporter {
  readonly metrics: RunMetrics;
  readonly #mostWorkers: number;
  /** By the worker's id, its labels. */
  readonly #workers = new Map<string, Readonly<Record<'worker' | 'name' | 'engine' | 'device', string>>>();
  /** Of the steps since the metrics were written last: a step is too short for two dozen counters. */
  #sums = new StepSums();
  #learningRate: number | undefined;
  #progress: Progress | undefined;
  #state: RunState = 'waiting';
  #isPaused = false;
  #census: () => WorkerCensus = () => NO_WORKERS;

  constructor({ version, node }: BuildFacts, mostWorkers: number) {
    this.#mostWorkers = mostWorkers;
    this.metrics = createRunMetrics({ state: () => this.#stateNow(), census: () => this.#census() });
    const { buildInfo, partSeconds, reissued } = this.metrics;
    buildInfo.set({ version, node }, 1);
    // Known from the beginning: the rate of a series that begins with its first event misses that event.
    for (const [part] of STEP_PARTS) partSeconds.inc({ part }, 0);
    for (const reason of REISSUE_REASONS) reissued.inc({ reason }, 0);
  }

  readonly onStart: NonNullable<Reporter['onStart']> = ({ epochs }) => {
    this.#state = 'training';
    this.metrics.epochsPlanned.set(epochs);
  };

  readonly onPhase = (): void => {
    // What a run does besides steps, once it has begun, is to evaluate.
    if (this.#state === 'training') this.#state = 'evaluating';
  };

  readonly onProgress = (progress: Progress): void => {
    this.#state = 'training';
    this.#progress = progress;
  };

  readonly onStep = (record: StepRecord, contributions: readonly Contribution[]): void => {
    this.#sums.add(record, contributions);
    this.#learningRate = record.learningRate;
    this.metrics.stepSeconds.observe(record.stepMs / 1000);
  };

  readonly onEpoch = (record: EpochRecord): void => {
    this.#state = 'training';
    this.#evaluated('test', record.testLoss, record.testAccuracy);
    this.#evaluated('validation', record.validationLoss, record.validationAccuracy);
  };

  readonly onEnd: NonNullable<Reporter['onEnd']> = ({ status }) => {
    this.#state = status;
    this.#isPaused = false;
  };

  readonly onEvent = (event: ReportedEvent): void => {
    switch (event.kind) {
      case 'gathering':
        this.#census = event.census;
        return;
      case 'ready':
        this.#ready(event.worker, event.isBack);
        return;
      case 'refused':
        this.metrics.refused.inc({ reason: event.reason.replace(/^ERR_/, '').toLowerCase() });
        return;
      case 'reissued':
        this.metrics.reissued.inc({ reason: event.reason }, event.numMicrobatches);
        return;
      case 'saved':
        this.metrics.checkpointTime.set(Date.now() / 1000);
        return;
      case 'control':
        this.#isPaused = event.state === 'paused';
        return;
      case 'worker':
      case 'alone':
        // The census tells of both.
        return;
    }
  };

  text(): Promise<string> {
    this.#settle();
    return this.metrics.registry.metrics();
  }

  /** Moves what steps have added up to into the metrics. */
  #settle(): void {
    const { metrics } = this;
    const sums = this.#sums;
    this.#sums = new StepSums();
    metrics.steps.inc(sums.steps);
    metrics.samples.inc(sums.samples);
    metrics.transmitBytes.inc(sums.bytesSent);
    metrics.receiveBytes.inc(sums.bytesReceived);
    for (const [i, [part]] of STEP_PARTS.entries()) metrics.partSeconds.inc({ part }, sums.partsMs[i]! / 1000);
    for (const [id, { samples, computeMs, delayMs }] of sums.workers) {
      const labels = { worker: this.#labelOf(id) };
      metrics.workerSamples.inc(labels, samples);
      metrics.workerComputeSeconds.inc(labels, computeMs / 1000);
      metrics.workerDelaySeconds.inc(labels, delayMs / 1000);
    }
    if (this.#learningRate !== undefined) metrics.learningRate.set(this.#learningRate);
    if (!this.#progress) return;
    metrics.epoch.set(this.#progress.epoch);
    metrics.loss.set({ split: 'train' }, this.#progress.loss);
    metrics.accuracy.set({ split: 'train' }, this.#progress.trainAccuracy);
  }

  #stateNow(): RunState {
    if (this.#isPaused) return 'paused';
    return this.#state === 'training' && this.#census().working === 0 ? 'waiting' : this.#state;
  }

  #evaluated(split: string, loss: number | null | undefined, accuracy: number | null | undefined): void {
    if (loss !== null && loss !== undefined) this.metrics.loss.set({ split }, loss);
    if (accuracy !== null && accuracy !== undefined) this.metrics.accuracy.set({ split }, accuracy);
  }

  #ready({ id, name, engine, device }: ReadyWorker, isBack: boolean): void {
    const { workerInfo, workerReconnects, workerSamples, workerComputeSeconds, workerDelaySeconds } = this.metrics;
    const before = this.#workers.get(id);
    // One that comes back may have another engine: it is one worker all the same.
    if (before) workerInfo.remove(before);
    if (before || this.#workers.size < this.#mostWorkers) {
      const labels = { worker: id, name, engine, device };
      this.#workers.set(id, labels);
      workerInfo.set(labels, 1);
    }
    const labels = { worker: this.#labelOf(id) };
    workerReconnects.inc(labels, isBack ? 1 : 0);
    for (const counter of [workerSamples, workerComputeSeconds, workerDelaySeconds]) counter.inc(labels, 0);
  }

  #labelOf(id: string): string {
    return this.#workers.has(id) ? id : OTHERS;
  }
}
