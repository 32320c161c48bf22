/** Minor page faults of other processes, as Linux counts them. */
import { readFileSync } from 'node:fs';

/**
 * Field 10 of `/proc/<pid>/stat`, minflt: minor faults of all threads of a process since it began. The process's name,
 * field 2, stands in parentheses and may hold spaces and parentheses itself.
 * Source: proc(5). Undefined for a text of another kind.
 */
export function parseMinorFaults(stat: string): number | undefined {
  const fromState = stat.slice(stat.lastIndexOf(')') + 1).trim();
  const field = fromState.split(' ')[10 - 3];
  return field !== undefined && /^\d+$/.test(field) ? Number(field) : undefined;
}

/** Minor faults of these processes so far, all together; undefined where there is no /proc, or one of them is gone. */
export function countPageFaults(processIds: readonly number[]): number | undefined {
  let sum = 0;
  for (const processId of processIds) {
    const faults = parseMinorFaults(readStat(processId));
    if (faults === undefined) return undefined;
    sum += faults;
  }
  return sum;
}

function readStat(processId: number): string {
  try {
    return readFileSync(`/proc/${processId}/stat`, 'latin1');
  } catch {
    return '';
  }
}
