/** Other load: how much of the processors others had while something ran here. Such a measurement is not to be trusted. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** Linux counts processor time in hundredths of a second (USER_HZ) wherever it shows it. */
const TICKS_PER_SECOND = 100;

interface Moment {
  readonly atMs: number;
  readonly allTicks: number;
  readonly ownTicks: number;
}

/**
 * Starts watching; the returned function says which part of all processor time, from 0 to 1, went to processes that are
 * neither this one nor children of it that ended in the meantime. 0 where Linux's `/proc` is not there to tell.
 */
export function watchOtherLoad(): () => number {
  const start = readMoment();
  return () => {
    const end = readMoment();
    if (!start || !end) return 0;
    const capacity = ((end.atMs - start.atMs) / 1000) * TICKS_PER_SECOND * availableParallelism();
    const others = end.allTicks - start.allTicks - (end.ownTicks - start.ownTicks);
    return Math.min(1, Math.max(0, others / capacity));
  };
}

function readMoment(): Moment | undefined {
  try {
    const ofMachine = readFileSync('/proc/stat', 'utf8');
    const ofProcess = readFileSync('/proc/self/stat', 'utf8');
    return { atMs: performance.now(), allTicks: parseMachineTicks(ofMachine), ownTicks: parseProcessTicks(ofProcess) };
  } catch {
    return undefined;
  }
}

/** Ticks that processes had, or that another virtual machine took, by the first line of `/proc/stat`. */
export function parseMachineTicks(text: string): number {
  const [user = 0, nice = 0, system = 0, , , , , steal = 0] = text.split('\n')[0]!.split(/\s+/).slice(1).map(Number);
  return user + nice + system + steal;
}

/** Ticks of a process and of its children that have ended, by its `/proc/<pid>/stat`. */
export function parseProcessTicks(text: string): number {
  // The command may hold anything but comes in parentheses; utime, stime, cutime and cstime are fields 14 to 17.
  const fields = text.replace(/^.*\) /s, '').split(' ');
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0);
}
