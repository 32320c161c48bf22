/** Programme: which cases are run, in which order, and what is printed of them. */
import { currentLoad, readConditions } from '../common/conditions.ts';
import type { Conditions } from '../common/conditions.ts';
import type { WireFormat } from '../../../protocol/vectors/encoding.ts';
import { predictStep } from '../../network/cost-model.ts';
import type { Experiment } from './experiment.ts';
import type { Link } from '../../network/link.ts';
import { UNLIMITED } from '../../network/link.ts';
import { lookOut, OUTLOOK_WIRES } from './outlook.ts';
import { describeEmulation } from '../../network/place.ts';
import type { Emulation } from '../../network/place.ts';
import type { HandlingRow, MeasuredRow } from './report.ts';
import { describeRow, formatAlone, formatHandling, formatMeasured, formatOutlook, summariseErrors } from './report.ts';
import { countOf } from '../../../protocol/counts.ts';

export interface ProgrammeOptions {
  readonly models: readonly string[];
  readonly workers: readonly number[];
  readonly links: readonly Link[];
  readonly wires: readonly WireFormat[];
  readonly emulation: Emulation;
  readonly parts: 'measured' | 'outlook' | 'both';
  readonly format: 'table' | 'markdown' | 'json';
  readonly log: (line: string) => void;
}

/** Runs everything, and returns what is to be printed. Without emulated links, loopback is the only link. */
export async function runProgramme(experiment: Experiment, options: ProgrammeOptions): Promise<string> {
  const { models, emulation, parts, format, log } = options;
  const before = readConditions();
  log(describeEmulation(emulation));
  const measured = parts === 'outlook' ? [] : await measureAll(experiment, options);
  const outlook = parts === 'measured' ? [] : await lookOut(experiment, models);
  const alone = [];
  for (const model of models) alone.push({ model, measured: await experiment.alone(model) });
  const handling = await handlingRows(experiment, options);
  const conditions = { ...before, loadAverageAfter: currentLoad() };
  if (format === 'json') {
    return JSON.stringify({ benchmark: 'emulate', conditions, emulation, alone, handling, measured, outlook });
  }

  const main = [
    ...(parts === 'outlook' ? [] : [['Measured and predicted', formatMeasured(measured), summariseErrors(measured)]]),
    ...(parts === 'measured' ? [] : [['64 and 1,000 workers, predicted', formatOutlook(outlook)]]),
  ];
  if (format === 'table') return main.flatMap(([, ...texts]) => texts).join('\n\n');
  const sections = [
    ...main,
    ['One worker without a network', formatAlone(alone)],
    ['Handling, as calibrated', formatHandling(handling)],
  ];
  const where = `${describeConditions(conditions)}; ${describeEmulation(emulation)}.`;
  return [where, ...sections.flatMap(([title, ...texts]) => [`### ${title!}`, ...texts])].join('\n\n');
}

async function measureAll(experiment: Experiment, options: ProgrammeOptions): Promise<MeasuredRow[]> {
  const { models, workers, wires, emulation } = options;
  const links = emulation.delay === 'none' ? [UNLIMITED] : options.links;
  const rows: MeasuredRow[] = [];
  for (const model of models) {
    const aloneMs = (await experiment.alone(model)).figures.stepMs;
    for (const numWorkers of workers) {
      for (const link of links) {
        for (const wire of wires) {
          const oneCase = { model, numWorkers, link, wire };
          const measured = await experiment.measure(oneCase);
          const input = await experiment.inputOf(oneCase, measured.stepsPerEpoch);
          const row = { ...oneCase, ...measured, predictedMs: predictStep(input).stepMs, aloneMs };
          options.log(`  ${describeRow(row)}`);
          rows.push(row);
        }
      }
    }
  }
  return rows;
}

/** Every calibration that went into the tables. */
async function handlingRows(experiment: Experiment, options: ProgrammeOptions): Promise<HandlingRow[]> {
  const { workers, wires, parts } = options;
  const rows: HandlingRow[] = [];
  for (const numWorkers of parts === 'outlook' ? [] : workers) {
    for (const wire of wires) {
      rows.push({ hosts: `${numWorkers}, sharing`, wire, handling: await experiment.shared(numWorkers, wire) });
    }
  }
  for (const wire of parts === 'measured' ? [] : OUTLOOK_WIRES) {
    rows.push({ hosts: 'with cores of their own', wire, handling: await experiment.own(wire) });
  }
  return rows;
}

function describeConditions({ cpu, numCores, versions, date, loadAverage }: Conditions): string {
  const machine = `${cpu}, ${countOf(numCores, 'core')}`;
  return `${machine}; gradsock ${versions.gradsock}, Node ${versions.node}, ${date.slice(0, 10)}, load average ${loadAverage.toFixed(1)} before`;
}
