/** One quantity against another, a mark for each pair. */
import { dot, frame } from '@observablehq/plot';
import { draw, GREY } from './drawing.ts';
import type { Frame, LegendEntry, Point } from './drawing.ts';

export interface DrawnPoints {
  /** For the legend. */
  readonly name: string;
  readonly points: readonly Point[];
  readonly color: string;
  readonly isFilled: boolean;
}

/** Returns the text of an SVG file. */
export function drawPoints({ series, ...axes }: Frame & { readonly series: readonly DrawnPoints[] }): string {
  const marks = series.map(({ points, color, isFilled }) =>
    dot(points, { x: 'x', y: 'y', r: 4, stroke: color, fill: isFilled ? color : 'none', fillOpacity: 0.6 }),
  );
  const legend = series.map(({ name, color, isFilled }): LegendEntry => {
    return { name, color, symbol: isFilled ? 'disc' : 'ring' };
  });
  return draw({ inset: 8, ...axes }, [frame({ stroke: GREY }), ...marks], legend);
}
