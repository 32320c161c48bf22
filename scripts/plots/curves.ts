/** Curves over epochs, or over anything else that goes on. */
import { dot, frame, line } from '@observablehq/plot';
import { DASHES, draw, GREY, PALETTE } from './drawing.ts';
import type { Frame, LegendEntry, Point } from './drawing.ts';

export interface DrawnCurve {
  /** For the legend; curves of one name stand in it once. Without a name: grey, beneath the others. */
  readonly name?: string;
  /** By x; with gaps where there is no point. */
  readonly points: readonly Point[];
  /** Default: one of the palette, by name. */
  readonly color?: string;
  readonly isDashed?: boolean;
  /** Whether each point has a mark: where few were measured. Default: false. */
  readonly isMarked?: boolean;
}

export interface CurvesOptions extends Frame {
  readonly curves: readonly DrawnCurve[];
  /** What the legend calls the curves without a name, if it is to mention them. */
  readonly others?: string;
}

/** Returns the text of an SVG file. Points outside of a given domain are cut off at the frame. */
export function drawCurves({ curves, others, ...axes }: CurvesOptions): string {
  const names = [...new Set(curves.flatMap(({ name }) => name ?? []))];
  const colorOf = ({ name, color }: DrawnCurve) =>
    color ?? (name === undefined ? GREY : PALETTE[names.indexOf(name) % PALETTE.length]!);
  // The first named one is drawn last, above all others.
  const inOrder = [...curves].sort((a, b) => orderOf(b, names) - orderOf(a, names));
  const marks = inOrder.flatMap((curve) => [
    line(curve.points, {
      ...{ x: 'x', y: 'y', clip: true, stroke: colorOf(curve), strokeWidth: curve.name === undefined ? 1 : 2 },
      ...(curve.isDashed && { strokeDasharray: DASHES }),
    }),
    ...(curve.isMarked ? [dot(curve.points, { x: 'x', y: 'y', r: 4, fill: colorOf(curve) })] : []),
  ]);
  const legend = names.map((name): LegendEntry => {
    const curve = curves.find((candidate) => candidate.name === name)!;
    return { name, color: colorOf(curve), symbol: curve.isDashed ? 'dashes' : 'line' };
  });
  const rest: LegendEntry[] = others === undefined ? [] : [{ name: others, color: GREY, symbol: 'line' }];
  return draw(axes, [frame({ stroke: GREY }), ...marks], [...legend, ...rest]);
}

function orderOf({ name }: DrawnCurve, names: readonly string[]): number {
  return name === undefined ? names.length : names.indexOf(name);
}
