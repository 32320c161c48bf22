/** The curves of `npm run homework`: test accuracy by epoch, the homework's beside the mean of ours, a panel for each model. */
import { drawCurves } from '../../plots/curves.ts';
import { arrange } from '../../plots/drawing.ts';
import type { HomeworkEpoch } from './records.ts';
import type { TableRow } from './table.ts';

/** Which accuracies are drawn: what lies below is of the first epochs. */
const ACCURACIES = [0.82, 0.94] as const;
const PANEL = { width: 420, height: 300 };

/** Returns the text of an SVG file. Rows of one model stand in one panel; the homework's curve is dashed. */
export function drawHomeworkCurves(rows: readonly TableRow[]): string {
  const models = [...new Set(rows.map(({ model }) => model))];
  const panels = models.map((model) =>
    drawCurves({
      ...PANEL,
      title: model,
      x: { label: 'epoch' },
      y: { label: 'test accuracy (fraction)', domain: ACCURACIES },
      curves: rows
        .filter((row) => row.model === model)
        .map(({ run, runs }) => ({
          name: run.replaceAll('`', ''),
          isDashed: run.startsWith('homework'),
          points: meanTestAccuracy(runs.map(({ epochs }) => epochs)),
        })),
    }),
  );
  return arrange(panels, models.length);
}

/** By epoch, the mean over runs of the same length. */
function meanTestAccuracy(runs: readonly (readonly HomeworkEpoch[])[]): { x: number; y: number }[] {
  const [first = []] = runs;
  return first.map(([epoch], i) => ({ x: epoch, y: runs.reduce((sum, run) => sum + run[i]![3], 0) / runs.length }));
}
