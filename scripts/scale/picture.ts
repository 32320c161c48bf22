/** The picture of a scaling measurement: samples a second, efficiency, bytes and communication over the number of workers. */
import { drawCurves } from '../plots/curves.ts';
import type { DrawnCurve } from '../plots/curves.ts';
import { arrange, GREY, PALETTE } from '../plots/drawing.ts';
import type { ScaleRecord } from './record.ts';
import type { MeasuredPoint, PredictedPoint, ScaleSummary, ScalingSummary } from './summary.ts';

const WIDTH = 480;
const HEIGHT = 300;
const COLORS = { strong: PALETTE[0], weak: PALETTE[1] } as const;

/** Returns the text of an SVG file. */
export function drawScale({ plan }: ScaleRecord, { scalings }: ScaleSummary): string {
  const numbers = [...new Set(scalings.flatMap(({ predicted }) => predicted.map(({ numWorkers }) => numWorkers)))];
  numbers.sort((a, b) => a - b);
  const x = { label: 'workers', domain: [0, numbers.at(-1)!] as const, ticks: numbers };
  const panel = (label: string, curves: readonly DrawnCurve[], title?: string) => {
    const most = Math.max(...curves.flatMap(({ points }) => points.map(({ y }) => y)));
    const y = { label, domain: [0, most > 0 ? 1.05 * most : 1] as const };
    return drawCurves({ ...(title !== undefined && { title }), x, y, width: WIDTH, height: HEIGHT, curves });
  };
  const panels = [
    panel(
      'samples a second (thousands)',
      scalings.flatMap((scaling) => [
        measured(scaling, ({ samplesPerSecond }) => samplesPerSecond / 1000),
        predicted(scaling, ({ samplesPerSecond }) => samplesPerSecond / 1000),
      ]),
      `${plan.model}: scaling`,
    ),
    panel(
      'efficiency (samples a second of a worker, over those with the fewest workers)',
      [
        { name: 'none lost', color: GREY, isDashed: true, points: [0, numbers.at(-1)!].map((at) => ({ x: at, y: 1 })) },
        ...scalings.flatMap((scaling) => [
          measured(scaling, ({ efficiency }) => efficiency),
          predicted(scaling, ({ efficiency }) => efficiency),
        ]),
      ],
      ' ',
    ),
    panel(
      'sent a step (MB, all workers, both ways)',
      scalings.map((scaling) => measured(scaling, ({ bytesSent }) => bytesSent / 1e6)),
    ),
    panel(
      'communication (part of a step)',
      scalings.map((scaling) => measured(scaling, ({ communicationShare }) => communicationShare)),
    ),
  ];
  return arrange(panels, 2);
}

function measured({ scaling, points }: ScalingSummary, value: (point: MeasuredPoint) => number): DrawnCurve {
  return {
    ...{ name: `${scaling}, measured`, color: COLORS[scaling], isMarked: true },
    points: points.map((point) => ({ x: point.numWorkers, y: value(point) })),
  };
}

function predicted({ scaling, predicted }: ScalingSummary, value: (point: PredictedPoint) => number): DrawnCurve {
  return {
    ...{ name: `${scaling}, cost model`, color: COLORS[scaling], isDashed: true },
    points: predicted.map((point) => ({ x: point.numWorkers, y: value(point) })),
  };
}
