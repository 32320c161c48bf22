/** The picture of a sweep: the curves of its trials, and the objective against each flag that it varied. */
import { drawCurves } from '../plots/curves.ts';
import type { DrawnCurve } from '../plots/curves.ts';
import { arrange, GREY, PALETTE, wholeTicks } from '../plots/drawing.ts';
import type { Axis } from '../plots/drawing.ts';
import { drawPoints } from '../plots/points.ts';
import { writtenName } from './flags.ts';
import type { Flags } from './flags.ts';
import type { Curve } from './median-rule.ts';
import type { RankedSetting } from './ranking.ts';
import type { Objective } from './spec.ts';
import type { SweepPlan } from './trials.ts';
import { countOf } from '../../protocol/counts.ts';

/** This many settings have their own colour; more could not be told apart. */
const NUM_COLOURED = 5;

const WIDTH = 900;
const NUM_COLUMNS = 2;

const LABELS: Record<Objective, string> = {
  validationAccuracy: 'validation accuracy (fraction of the samples held back)',
  testAccuracy: 'test accuracy (fraction of the test samples)',
};

/** `curveOf`: of a trial, by its number. Returns the text of an SVG file. */
export function drawSweep(
  { variedNames, logNames, objective }: Omit<SweepPlan, 'trials'>,
  settings: readonly RankedSetting[],
  curveOf: (trial: number) => Curve,
): string {
  const label = LABELS[objective];
  const panels = variedNames.map((name) =>
    drawPoints({
      x: axisOf(name, settings, logNames.includes(name)),
      y: { label: `${label}, last epoch` },
      width: WIDTH / NUM_COLUMNS,
      height: 260,
      series: [
        { name: 'completed', color: PALETTE[0], isFilled: true, points: pointsOf('completed', name, settings) },
        { name: 'stopped early', color: GREY, isFilled: false, points: pointsOf('stopped', name, settings) },
      ].filter(({ points }) => points.length > 0),
    }),
  );
  return arrange([allCurves(label, settings, curveOf), arrange(panels, NUM_COLUMNS)], 1);
}

function allCurves(label: string, settings: readonly RankedSetting[], curveOf: (trial: number) => Curve): string {
  const curves = settings.flatMap(({ varied, trials, last }, index): DrawnCurve[] => {
    const isColoured = index < NUM_COLOURED;
    const name = `${index + 1}: ${describe(varied)}${last === null ? '' : ` (${last.toFixed(4)})`}`;
    return trials.map((trial) => ({
      ...(isColoured && { name }),
      points: curveOf(trial).map((y, epoch) => ({ x: epoch + 1, y })),
    }));
  });
  const values = (of: readonly DrawnCurve[]) => of.flatMap(({ points }) => points.map(({ y }) => y));
  const coloured = values(curves.filter(({ name }) => name !== undefined));
  const [low, high] = [Math.min(...coloured), Math.max(...values(curves))];
  const numEpochs = Math.max(2, ...curves.map(({ points }) => points.length));
  const isCut = values(curves).some((y) => y < low);
  const numOthers = Math.max(0, settings.length - NUM_COLOURED);
  return drawCurves({
    title: 'All trials',
    x: { label: 'epoch', domain: [1, numEpochs], ticks: wholeTicks(1, numEpochs) },
    y: { label, ...(high > low && { domain: [low, high + (high - low) / 50] }) },
    width: WIDTH,
    height: 440,
    curves,
    ...(numOthers > 0 && {
      others: `the other ${countOf(numOthers, 'setting')}${isCut ? ' (what is below the frame is cut off)' : ''}`,
    }),
  });
}

function describe(varied: Flags): string {
  return Object.entries(varied)
    .map(([name, value]) => `${writtenName(name)} ${value}`)
    .join(', ');
}

function axisOf(name: string, settings: readonly RankedSetting[], isLog: boolean): Axis {
  const isNumeric = settings.every(({ varied }) => typeof varied[name] === 'number');
  return { label: writtenName(name), scale: !isNumeric ? 'category' : isLog ? 'log' : 'linear' };
}

function pointsOf(status: RankedSetting['status'], name: string, settings: readonly RankedSetting[]) {
  return settings
    .filter((setting) => setting.status === status && setting.last !== null)
    .map(({ varied, last }) => {
      const value = varied[name]!;
      return { x: typeof value === 'boolean' ? String(value) : value, y: last! };
    });
}
