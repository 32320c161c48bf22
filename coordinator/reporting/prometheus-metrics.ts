/** The metrics of a run for Prometheus: names, labels and help. Base units: seconds, bytes, ratios from 0 to 1. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { WORKER_STATES } from './reported-event.ts';
import type { WorkerCensus } from './reported-event.ts';

/** `waiting`: for workers, at the beginning or because none is left. `paused`: by a person. */
const RUN_STATES = ['waiting', 'training', 'evaluating', 'paused', 'completed', 'failed', 'interrupted'] as const;
export type RunState = (typeof RUN_STATES)[number];

/** Powers of ten, and what lies between: seconds of steps from a tiny model on one machine to a large one over a slow link. */
const STEP_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** What is asked when the metrics are. */
export interface Asked {
  readonly state: () => RunState;
  readonly census: () => WorkerCensus;
}

export type RunMetrics = ReturnType<typeof createRunMetrics>;

/** A registry of their own: programs that embed a run may have another. */
export function createRunMetrics(asked: Asked) {
  const registry = new Registry();
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, ...labelNames: L[]) =>
    new Counter({ name, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, ...labelNames: L[]) =>
    new Gauge({ name, help, labelNames, registers });
  /** A gauge without labels, which is absent until it is set. */
  const unset = (name: string, help: string) => {
    const created = gauge(name, help);
    created.remove();
    return created;
  };
  new Gauge({
    name: 'gradsock_workers',
    help: 'Workers by what they do in the run.',
    labelNames: ['state'],
    registers,
    collect() {
      const census = asked.census();
      for (const state of WORKER_STATES) this.set({ state }, census[state]);
    },
  });
  new Gauge({
    name: 'gradsock_run_state',
    help: '1 for what the run does, 0 for the other states.',
    labelNames: ['state'],
    registers,
    collect() {
      const current = asked.state();
      for (const state of RUN_STATES) this.set({ state }, state === current ? 1 : 0);
    },
  });
  return {
    registry,
    steps: counter('gradsock_steps_total', 'Steps that every replica has applied, since this process began.'),
    samples: counter('gradsock_samples_total', 'Samples of those steps.'),
    partSeconds: counter(
      'gradsock_step_part_seconds_total',
      'Wall time of steps by what it was spent on; the parts add up to the time of all steps.',
      'part',
    ),
    stepSeconds: new Histogram({
      name: 'gradsock_step_duration_seconds',
      help: 'Wall time of a step; with local steps of a round.',
      buckets: STEP_BUCKETS,
      registers,
    }),
    transmitBytes: counter(
      'gradsock_network_transmit_bytes_total',
      'Bytes of frames sent to workers in training, and in a ring by workers to each other; not those in shared memory.',
    ),
    receiveBytes: counter(
      'gradsock_network_receive_bytes_total',
      'Bytes of frames received from workers in training, and in a ring by workers from each other; not those in shared memory.',
    ),
    reissued: counter(
      'gradsock_microbatches_reissued_total',
      'Microbatches that were given out again, by the reason.',
      'reason',
    ),
    workerSamples: counter('gradsock_worker_samples_total', 'Samples whose gradients a worker has computed.', 'worker'),
    workerComputeSeconds: counter(
      'gradsock_worker_compute_seconds_total',
      'Time in which a worker computed gradients, by its own clock.',
      'worker',
    ),
    workerDelaySeconds: counter(
      'gradsock_worker_delay_seconds_total',
      'Time in which all other workers were done, and steps waited for this one alone.',
      'worker',
    ),
    workerReconnects: counter(
      'gradsock_worker_reconnects_total',
      'How often a worker has come back after its connection was lost.',
      'worker',
    ),
    refused: counter(
      'gradsock_connections_refused_total',
      'Connections that have not become a worker, by the reason.',
      'reason',
    ),
    epoch: unset('gradsock_epoch', 'The epoch of the last step, from 1.'),
    epochsPlanned: unset('gradsock_epochs_planned', 'The epochs that the run is to have.'),
    loss: gauge(
      'gradsock_loss',
      'Mean loss in nats: of training samples over the epoch so far, of evaluated ones after the last epoch.',
      'split',
    ),
    accuracy: gauge(
      'gradsock_accuracy_ratio',
      'Part of the samples that is classified correctly; as gradsock_loss.',
      'split',
    ),
    learningRate: unset('gradsock_learning_rate', 'Learning rate of the last step.'),
    checkpointTime: unset(
      'gradsock_checkpoint_last_success_timestamp_seconds',
      'When the last checkpoint was on the disk, in Unix time.',
    ),
    buildInfo: gauge('gradsock_build_info', 'What runs: always 1.', 'version', 'node'),
    workerInfo: gauge(
      'gradsock_worker_info',
      'What each worker is: always 1.',
      ...(['worker', 'name', 'engine', 'device'] as const),
    ),
  };
}
