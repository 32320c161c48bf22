/** What must hold of a simulated run when it is over. */
import { getEventListeners } from 'node:events';
import type { EpochRecord } from '../../coordinator/reporting/reporter.ts';
import { describeError, ProtocolError } from '../../protocol/errors.ts';
import type { Cluster } from './cluster.ts';
import { RECORDS } from './coordinator-process.ts';
import { expectedCells, expectedLoss } from './engine.ts';
import { sumOfParts } from '../helpers/parts.ts';
import { NUM_TEST, NUM_TRAIN } from './run-config.ts';
import { BEYOND_PATIENCE_MS, CALM_WORKER } from './schedule.ts';
import type { ControlSchedule, Schedule } from './schedule.ts';
import type { SimulationResult } from './simulate.ts';

const EXPECTED_CELLS = expectedCells(NUM_TEST);

/** The first broken promise about records, workers and what is left; undefined when all are kept. */
export function checkOutcome(schedule: Schedule, cluster: Cluster): string | undefined {
  return (
    checkRecords(schedule, cluster) ??
    checkConfusions(schedule, cluster) ??
    checkWorkers(cluster) ??
    checkListeners(cluster)
  );
}

/** Each epoch once, with every sample in it once. */
function checkRecords({ epochs, controls = [] }: Schedule, { disk }: Cluster): string | undefined {
  const lines = (disk.readText(RECORDS) ?? '').trimEnd().split('\n');
  const records = lines.map((line) => JSON.parse(line) as EpochRecord);
  const numbers = records.map(({ epoch }) => epoch).join();
  if (numbers !== Array.from({ length: epochs }, (_, i) => i + 1).join()) {
    return `records of epochs ${numbers}, expected 1 to ${epochs}`;
  }
  for (const record of records) {
    const { epoch, samples, loss, testLoss, seconds } = record;
    const parts = sumOfParts(record);
    if (Math.abs(parts - seconds) > 1e-6) return `epoch ${epoch}: its parts are ${parts} s, expected ${seconds} s`;
    if (seconds >= longestEpochSeconds(controls)) return `epoch ${epoch} has ${seconds} s: a pause counts as its time`;
    if (samples !== NUM_TRAIN) return `epoch ${epoch} has ${samples} samples, expected ${NUM_TRAIN}`;
    if (loss !== expectedLoss(NUM_TRAIN)) return `epoch ${epoch}: loss ${loss}: some sample did not count once`;
    if (testLoss !== expectedLoss(NUM_TEST)) return `epoch ${epoch}: test loss ${testLoss}: some did not count once`;
  }
  return undefined;
}

/** What each sample was predicted as is known of every epoch, once. */
function checkConfusions({ epochs }: Schedule, { confusions }: Cluster): string | undefined {
  for (let epoch = 1; epoch <= epochs; epoch++) {
    const cells = confusions.get(epoch)?.cells ?? [];
    const found = new Map(cells.map(({ label, predicted, numSamples }) => [`${label} ${predicted}`, numSamples]));
    const isRight = [...EXPECTED_CELLS].every(([cell, numSamples]) => found.get(cell) === numSamples);
    if (!isRight || found.size !== EXPECTED_CELLS.size) return `epoch ${epoch}: the confusion matrix is wrong`;
  }
  return undefined;
}
/** Where the run was paused beyond a worker's patience, nothing else takes as long. */
const longestEpochSeconds = (controls: readonly ControlSchedule[]): number => {
  const wasPaused = controls.some((one) => one.kind === 'pause' && one.pauseMs >= BEYOND_PATIENCE_MS);
  return wasPaused ? BEYOND_PATIENCE_MS / 1000 : Infinity;
};

/** All that live have ended, as the coordinator told them. */
function checkWorkers({ workers, isCoordinatorExcused }: Cluster): string | undefined {
  for (const { name, process, outcome, isExcused } of workers) {
    if (process.isDead) continue;
    if (!outcome) return `${name} still waits for something after the run`;
    if ('reason' in outcome || isExcused || isCoordinatorExcused || isLatecomer(outcome.error)) continue;
    return `${name} ended with ${describeError(outcome.error)}`;
  }
  return undefined;
}

/** It started when the run was over, or joined as it ended. */
const isLatecomer = (error: unknown): boolean =>
  error instanceof ProtocolError && (error.code === 'ERR_CLOSED' || error.code === 'ERR_RUN_FULL');

/** What a process that was killed has left behind is gone with it. */
function checkListeners({ workers, signals, isCoordinatorExcused }: Cluster): string | undefined {
  if (isCoordinatorExcused || workers.some(({ process }) => process.isDead)) return undefined;
  const numLeft = signals.reduce((sum, signal) => sum + getEventListeners(signal, 'abort').length, 0);
  return numLeft > 0 ? `${numLeft} listeners are left at signals` : undefined;
}

/**
 * Compares the final state with that of an undisturbed run on one worker, as far as equal bits are promised: all of it in
 * a star with float32; else the one parameter that counts gradients, in every format that keeps it exact.
 */
export function checkBits(schedule: Schedule, result: SimulationResult, quiet: SimulationResult): string | undefined {
  const { allReduce, wire, localSteps } = schedule;
  const isExact = allReduce === 'star' && wire === 'f32';
  if (isExact && quiet.parametersSha256 !== result.parametersSha256) return 'the parameters have other bits';
  // int8 rounds it, and with local steps its change is what travels, which is no whole number.
  const keepsCounter = wire !== 'int8' && localSteps === 1;
  if (keepsCounter && quiet.counter !== result.counter) return 'some sample did not count once in a gradient';
  return undefined;
}

/** The same run with nothing wrong, on one worker. */
export function undisturbed({ numBuckets, microbatches, localSteps, epochs }: Schedule): Schedule {
  return {
    seed: 0,
    allReduce: 'star',
    wire: 'f32',
    numBuckets,
    microbatches,
    localSteps,
    epochs,
    checkpointEvery: undefined,
    numAwaited: 1,
    workers: [CALM_WORKER],
    coordinatorFaults: [],
  };
}
