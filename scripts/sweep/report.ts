/** What a sweep comes to: its table, printed and kept, and its picture. */
import { readCurve } from './curve.ts';
import type { SweepDirectory } from './directory.ts';
import { rankSettings, tableOf } from './ranking.ts';
import type { SweepPlan } from './trials.ts';

/** Writes `table.md`, `plot.svg` and `plot.png`. */
export async function reportSweep(
  plan: SweepPlan,
  directory: SweepDirectory,
  say: (line: string) => void,
): Promise<void> {
  const settings = rankSettings(plan, directory.records);
  const table = tableOf(plan, settings);
  await directory.write('table.md', table);
  say(`\n${table}`);
  // Plots take libraries that no other command needs.
  const [{ drawSweep }, { NoRasterizerError, toPng }] = await Promise.all([
    import('./picture.ts'),
    import('../plots/png.ts'),
  ]);
  const svg = drawSweep(plan, settings, (trial) => readCurve(directory.trialPath(trial), plan.objective));
  await directory.write('plot.svg', svg);
  try {
    const { bytes, warning } = toPng(svg);
    await directory.write('plot.png', bytes);
    if (warning !== undefined) say(`warning: ${warning}`);
  } catch (error) {
    if (!(error instanceof NoRasterizerError)) throw error;
    say(`warning: plot.png is not written: ${error.message}`);
  }
  const failed = [...directory.records.values()].filter(({ isFinal }) => !isFinal).map(({ trial }) => trial);
  if (failed.length > 0) say(`failed, and tried again by the same command: ${failed.join(', ')}`);
  say(`sweep directory ${directory.path}`);
}
