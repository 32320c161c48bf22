/** Workers on hosts, for a scaling measurement: `gradsock launch` starts them over ssh, for each run anew. */
import { writeFileSync } from 'node:fs';
import { countOf } from '../../protocol/counts.ts';
import type { Host } from '../launch/hosts.ts';
import { PROGRAM } from '../network/built-file.ts';
import { recordRun } from '../network/distributed-run.ts';
import type { ScalePlace } from './places.ts';

/** Starting workers may install the program on a host, and send it the data. */
const START_SECONDS = 600;

/** More than this are counted, not named. */
const MOST_NAMED = 6;

export const numSlots = (hosts: readonly Host[]): number => hosts.reduce((sum, { slots }) => sum + slots, 0);

/** The first `numWorkers` slots, host after host. */
export function firstSlots(hosts: readonly Host[], numWorkers: number): Host[] {
  let left = numWorkers;
  return hosts.flatMap((host) => {
    const slots = Math.min(host.slots, left);
    left -= slots;
    return slots === 0 ? [] : [{ ...host, slots }];
  });
}

/** `launchFlags`: those of `gradsock launch` that say how hosts are reached. */
export function hostPlace(hosts: readonly Host[], launchFlags: readonly string[]): ScalePlace {
  const names = [...new Set(hosts.map(({ destination }) => destination))];
  const named = names.length <= MOST_NAMED ? `: ${names.join(', ')}` : '';
  return {
    facts: {
      description: `${countOf(names.length, 'host')}${named}`,
      sharedCores: null,
      link: null,
      delaysPeers: true,
    },
    isLocal: false,
    train({ numWorkers, coordinatorFlags, engineFlags, deadlineSeconds, environment }, signal) {
      return recordRun(
        { deadlineSeconds: START_SECONDS + deadlineSeconds, signal, environment },
        async (group, runDir) => {
          // A file, as it can name the device of a host.
          const hostfile = `${runDir}.hosts`;
          writeFileSync(hostfile, hostfileOf(firstSlots(hosts, numWorkers)));
          const flags = [
            ...['--hostfile', hostfile, '--run-dir', runDir, '--join-timeout', String(START_SECONDS)],
            ...['--step-timeout', String(deadlineSeconds), ...launchFlags, ...coordinatorFlags, ...engineFlags],
          ];
          await group.start('launch', [process.execPath, PROGRAM, 'launch', ...flags]).ended;
        },
      );
    },
  };
}

function hostfileOf(hosts: readonly Host[]): string {
  return hosts
    .map(({ destination, slots, device }) => {
      return `${destination} slots=${slots}${device === undefined ? '' : ` device=${device}`}\n`;
    })
    .join('');
}
