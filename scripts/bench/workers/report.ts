/** The tables of `npm run bench:workers`, as docs/results/workers.md has them. */
import { countOf } from '../../../protocol/counts.ts';
import { formatTable, NONE } from '../../tables/table.ts';
import type { Conditions } from '../common/conditions.ts';
import { describeMachine } from '../common/conditions.ts';
import type { CrowdFigures } from './crowd-run.ts';

export interface CrowdRow {
  readonly model: string;
  readonly numWorkers: number;
  readonly hasDeaths: boolean;
  readonly figures: CrowdFigures;
}

export interface CrowdResult {
  readonly conditions: Conditions & { readonly loadAverageAfter: number };
  readonly steps: number;
  readonly rows: readonly CrowdRow[];
}

const HEADINGS = [
  ...['model', 'workers', 'joined in, s', 'step, ms', 'coordinator CPU, ms', 'a worker, ms', 'loop busy', 'memory, MB'],
  ...['workers CPU, ms', 'longest step, ms', 'lost', 'late', 'back', 'parameters'],
];

/** A row for each run. Beside a run with deaths stands whether its parameters are those of the run without. */
export function formatCrowds({ conditions, steps, rows }: CrowdResult): string {
  const cells = rows.map(({ model, numWorkers, hasDeaths, figures }) => {
    const { step, joinSeconds, peakMegabytes, workersCpuMs, longestStepMs, numLost, numLate, numReturned } = figures;
    const quiet = rows.find((row) => row.model === model && row.numWorkers === numWorkers && !row.hasDeaths);
    const isEqual = quiet?.figures.parametersSha256 === figures.parametersSha256;
    const sum = figures.parametersSha256.slice(0, 8);
    return [
      ...[model, `${numWorkers}${hasDeaths ? ', killed' : ''}`, joinSeconds.toFixed(1), step.wallMs.toFixed(1)],
      ...[step.cpuMs.toFixed(1), (step.cpuMs / numWorkers).toFixed(3), percent(step.busyMs / step.wallMs)],
      ...[peakMegabytes.toFixed(0), Number.isNaN(workersCpuMs) ? NONE : workersCpuMs.toFixed(1)],
      ...[longestStepMs.toFixed(0), String(numLost), String(numLate), String(numReturned)],
      hasDeaths ? `${sum}, ${isEqual ? 'equal' : 'NOT equal'}` : sum,
    ];
  });
  const { loadAverage, loadAverageAfter, date } = conditions;
  const load = `load average ${loadAverage.toFixed(1)} before, ${loadAverageAfter.toFixed(1)} after`;
  const where = [...describeMachine(conditions), `${date.slice(0, 10)}, ${load}; ${countOf(steps, 'step')} a run`];
  return `${where.join('\n')}\n\n${formatTable(HEADINGS, 1, cells)}`;
}

const percent = (fraction: number): string => `${Math.round(100 * fraction)} %`;
