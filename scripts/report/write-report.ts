/** Writes the report of a run, from its folder: the same whether the run has just ended or ended long ago. */
import { join } from 'node:path';
import { learningCharts } from '../../coordinator/dashboard/page/run-charts.ts';
import { chartsFile } from '../../coordinator/dashboard/page/chart-svg.ts';
import { withImages } from '../../coordinator/dashboard/page/report-figures.ts';
import type { RunView } from '../../coordinator/dashboard/run-view.ts';
import { viewOfFolder } from '../../coordinator/dashboard/view-of-folder.ts';
import { openLocalDataset } from '../../coordinator/dataset/local-dataset.ts';
import { readConfusion } from '../../coordinator/run-directory/confusion-files.ts';
import { writeFileAtomically } from '../../protocol/atomic-file.ts';
import type { CanonicalDataset } from '../../protocol/data/canonical.ts';
import { NoRasterizerError, toPng } from '../plots/png.ts';
import { compareRuns } from '../show/comparison.ts';
import type { NamedRun } from '../show/comparison.ts';
import { imagesIn } from '../show/run-images.ts';
import { comparisonReportHtml, runReportHtml } from './report-html.ts';
import type { RunReportParts } from './report-html.ts';

export interface WriteReportOptions {
  /** The data that the run was trained on, where it is open; else it is looked for on this machine. */
  readonly dataset?: CanonicalDataset | undefined;
  /** Default: `report.html` in the run's folder. */
  readonly output?: string | undefined;
  /** Of the curves as PNG: what they lack. */
  readonly warn?: ((line: string) => void) | undefined;
}

/** Of the curves as PNG: more would take longer than all else of a report. */
const ZOOM = 1.5;

/** Returns the path of the report. `curves.svg` and `curves.png` are beside it. */
export async function writeRunReport(folder: string, options: WriteReportOptions = {}): Promise<string> {
  const { output = join(folder, 'report.html'), warn } = options;
  const view = await viewOfFolder(folder);
  const parts = await partsOf(folder, view, options.dataset);
  await writeFileAtomically(output, runReportHtml(parts));
  if (options.output === undefined) await writeCurves(folder, view, warn);
  return output;
}

async function writeCurves(folder: string, view: RunView, warn: WriteReportOptions['warn']): Promise<void> {
  const charts = learningCharts(view).filter(({ x }) => x.length > 0);
  if (charts.length === 0) return;
  const svg = chartsFile(charts, { title: view.head.name });
  await writeFileAtomically(join(folder, 'curves.svg'), svg);
  try {
    const { bytes, warning } = toPng(svg, { zoom: ZOOM });
    await writeFileAtomically(join(folder, 'curves.png'), bytes);
    if (warning !== undefined) warn?.(`warning: curves.png: ${warning}`);
  } catch (error) {
    if (!(error instanceof NoRasterizerError)) throw error;
    warn?.(`warning: curves.png is not written: ${error.message}`);
  }
}

async function partsOf(folder: string, view: RunView, open: CanonicalDataset | undefined): Promise<RunReportParts> {
  const epoch = view.now.confusions.at(-1);
  const confusion = epoch === undefined ? undefined : readConfusion(folder, epoch);
  const { config } = view.head;
  if (!confusion || !config) return { view, confusion: null, images: [] };
  const dataset = open ?? (await openLocalDataset(config.dataset));
  try {
    return { view, ...withImages(confusion, dataset && imagesIn(dataset, config)) };
  } finally {
    if (dataset !== open) dataset?.bytes.close();
  }
}

/** Several runs side by side, in one file. Returns its path. */
export async function writeComparisonReport(runs: readonly NamedRun[], output: string): Promise<string> {
  await writeFileAtomically(output, comparisonReportHtml(await compareRuns(runs)));
  return output;
}
