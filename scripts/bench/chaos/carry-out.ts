/** One run from its start to its end, with deeds that are done to it one after the other while it lasts. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { uniformFloats } from '../../../protocol/data/random.ts';
import type { Link } from '../../network/link.ts';
import type { Place } from '../../network/place.ts';
import type { Deed } from './deeds.ts';
import { createLinkFaults } from './link-faults.ts';
import { watchMembers } from './members.ts';
import { readEpochs, readOutcome } from './outcome.ts';
import type { Outcome } from './outcome.ts';
import { startRunProcesses, workerName } from './run-processes.ts';
import type { RunProcesses, RunSizes } from './run-processes.ts';

/** Some are stopped for longer than the coordinator's patience, and are lost; others go on in time. */
export const LONGEST_STOP_SECONDS = 5;

/** A worker is killed or stopped when it is a member: when it was started again, and has its part. Or after so long. */
const LONGEST_WAIT_SECONDS = 30;

/** Likewise for what happens to links. */
export const LINK_FAULT_SECONDS = { shortest: 0.5, longest: 5 } as const;

export interface Chaos {
  readonly name: string;
  readonly deeds: readonly Deed[];
  readonly sizes: RunSizes;
  /** Seconds between two deeds, on average. */
  readonly interval: number;
  /** Of what happens to whom and when. */
  readonly seed: number;
  /** What a link is like that is slow. */
  readonly slow: Link;
}

/**
 * Nothing is left of it, also when `signal` ends it. Rejects when it fails, when it ends before all deeds are done, or
 * with the signal's reason.
 */
export async function carryOut(chaos: Chaos, place: Place, signal: AbortSignal): Promise<Outcome> {
  const { name, deeds, sizes, interval, seed } = chaos;
  const folder = mkdtempSync(join(tmpdir(), 'gradsock-chaos-'));
  const runDir = join(folder, 'run');
  const random = uniformFloats(seed);
  const startMs = performance.now();
  const run = await startRunProcesses(place, runDir, sizes);
  const doDeed = createDoer(chaos, { run, runDir, place, random });
  const ended = Promise.race([run.ended, rejectionOf(signal)]);
  const done = new Map<Deed, number>();
  try {
    await untilFirstEpoch(runDir, ended);
    for (const deed of deeds) {
      const pause = delay(2000 * interval * random(), undefined);
      const code = (await Promise.race([pause, ended])) ?? (await Promise.race([doDeed.begin(deed), ended]));
      if (code !== undefined) throw new Error(`${name}: the run was over too soon, with ${code}: use more --epochs`);
      done.set(deed, (done.get(deed) ?? 0) + 1);
    }
    const code = await ended;
    if (code !== 0) throw new Error(`${name}: the coordinator ended with ${code}`);
    return {
      name,
      deeds: done,
      membersMet: doDeed.membersMet(),
      ...readOutcome(runDir),
      seconds: (performance.now() - startMs) / 1000,
    };
  } finally {
    await run.stop();
    await doDeed.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Parts {
  readonly run: RunProcesses;
  readonly runDir: string;
  readonly place: Place;
  readonly random: () => number;
}

/** Does deeds to a run; some last for a while, and are over by themselves. */
function createDoer({ sizes, slow }: Chaos, { run, runDir, place, random }: Parts) {
  const faults = createLinkFaults(place.links, slow);
  const { shortest, longest } = LINK_FAULT_SECONDS;
  const someWorker = () => Math.floor(random() * sizes.workers);
  const members = watchMembers(join(runDir, 'log.jsonl'), sizes.workers);
  const stopping = new AbortController();
  const met = { members: 0, workers: 0 };
  /** The process of a worker that is a member, if it becomes one in time. */
  const meet = async (index: number) => {
    const isMember = await members.untilMember(workerName(index), LONGEST_WAIT_SECONDS, stopping.signal);
    met.workers++;
    if (isMember) met.members++;
    return run.workers[index]!;
  };
  const faultSeconds = () => shortest + (longest - shortest) * random();
  return {
    async begin(deed: Deed): Promise<undefined> {
      const index = someWorker();
      switch (deed) {
        case 'kill a worker':
          (await meet(index)).kill('SIGKILL');
          members.killed(workerName(index));
          break;
        case 'stop a worker': {
          const worker = await meet(index);
          worker.kill('SIGSTOP');
          setTimeout(() => worker.kill('SIGCONT'), 1000 * LONGEST_STOP_SECONDS * random());
          break;
        }
        case 'cut a link':
          await faults.begin('cut', index, faultSeconds());
          break;
        case 'delay a link':
          await faults.begin('slow', index, faultSeconds());
          break;
        case 'kill the coordinator':
          run.coordinator.kill('SIGKILL');
      }
    },
    membersMet: () => (met.workers > 0 ? met : undefined),
    stop() {
      stopping.abort();
      return faults.stop();
    },
  };
}

/** Nothing happens before there is something to lose. */
async function untilFirstEpoch(runDir: string, ended: Promise<number>): Promise<void> {
  for (;;) {
    const isOver = await Promise.race([delay(100, false), ended.then(() => true)]);
    if (isOver || readEpochs(runDir).length > 0) return;
  }
}

function rejectionOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const abort = () => reject(signal.reason as Error);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}
