/** Where the workers of a scaling measurement are: on this machine, or on emulated hosts behind links of a given rate. */
import { availableParallelism } from 'node:os';
import { ConfigError } from '../../protocol/errors.ts';
import { trainAcross } from '../network/distributed-run.ts';
import type { DistributedRun, RunRecords } from '../network/distributed-run.ts';
import { describeLink } from '../network/link.ts';
import type { Link } from '../network/link.ts';
import { leftoverNamespaces, removeNamespaces } from '../network/namespaces.ts';
import { findEmulation, loopbackPlace, makePlace } from '../network/place.ts';
import type { Place } from '../network/place.ts';
import type { ScaleRecord } from './record.ts';

export interface ScalePlace {
  readonly facts: ScaleRecord['place'];
  /** Whether a vector is cut into buckets: only where it is sent. */
  readonly isLocal: boolean;
  /** Carries out one run. Rejects as `trainAcross` does. */
  train(run: ScaleTraining, signal: AbortSignal): Promise<RunRecords>;
}

/** One run, without the flags that only its place knows. */
export interface ScaleTraining extends Omit<DistributedRun, 'workerFlags'> {
  /** Of each worker: where it computes. */
  readonly engineFlags: readonly string[];
  /** Where a worker on this machine finds the data. */
  readonly workerDataFlags: readonly string[];
}

/** Worker processes on this machine, which share memory with the coordinator. */
export function localPlace(): ScalePlace {
  return {
    facts: { description: 'this machine', sharedCores: availableParallelism(), link: null, delaysPeers: true },
    isLocal: true,
    train: (run, signal) => trainAt(loopbackPlace(), run, signal),
  };
}

/**
 * Hosts in network namespaces. Namespaces that a killed process of this program left behind are removed first.
 *
 * Throws `ConfigError` with the cure where this machine cannot have them.
 */
export function emulatedPlace(link: Link, say: (line: string) => void): ScalePlace {
  const emulation = findEmulation();
  if (emulation.delay === 'none') {
    throw new ConfigError(
      `--emulate: ${emulation.reason}: run it as root on Linux, where \`ip\` and \`tc\` of iproute2 are installed, or leave ` +
        'out --emulate',
    );
  }
  const leftover = leftoverNamespaces();
  removeNamespaces(leftover);
  if (leftover.length > 0) say(`removed network namespaces that a killed process left behind: ${leftover.join(', ')}`);
  const isRelayed = emulation.delay === 'relay' && link.roundTripMs > 0;
  const delay = isRelayed
    ? '; this kernel has no netem, so the delay is between workers and the coordinator, and none between workers'
    : '';
  return {
    facts: {
      description: `emulated hosts on this machine, each on a link of ${describeLink(link)}${delay}`,
      ...{ sharedCores: availableParallelism(), link, delaysPeers: !isRelayed },
    },
    isLocal: false,
    train: (run, signal) => trainAt(makePlace(run.numWorkers, link, emulation), run, signal),
  };
}

/** The place is removed when the run is over. */
async function trainAt(
  place: Place,
  { engineFlags, workerDataFlags, ...run }: ScaleTraining,
  signal: AbortSignal,
): Promise<RunRecords> {
  try {
    return await trainAcross(place, { ...run, workerFlags: [...workerDataFlags, ...engineFlags] }, signal);
  } finally {
    place.remove();
  }
}
