/** Several runs side by side: their rows and curves, and what their configurations do not have in common. */
import type { Comparison, ComparedRun } from '../../coordinator/dashboard/runs-messages.ts';
import { stateOf } from '../../coordinator/dashboard/view-of-folder.ts';
import { lockPresence } from '../../coordinator/run-directory/lock-presence.ts';
import { differingFields } from '../runs/run-diff.ts';
import { curvesOf, readRunRecords, rowOf } from './run-records.ts';

export interface NamedRun {
  readonly name: string;
  readonly path: string;
}

export async function compareRuns(named: readonly NamedRun[]): Promise<Comparison> {
  const runs: ComparedRun[] = [];
  const recorded: Readonly<Record<string, unknown>>[] = [];
  for (const { name, path } of named) {
    const records = await readRunRecords(path);
    const state = stateOf(await lockPresence(path), records.result);
    runs.push({ ...rowOf(name, records), state, curves: curvesOf(records.epochs) });
    recorded.push(records.recorded);
  }
  return { runs, differences: differingFields(recorded) };
}
