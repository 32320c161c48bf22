/** The maps that windows move over, as ONNX operators: what each window holds, rows of zeros around a map, parts of it. */
import type { Padding } from '../../../protocol/state/layer-plan.ts';
import type { GraphBuilder, Value } from './graph-builder.ts';

export type MapShape = readonly [channels: number, height: number, width: number];

/**
 * For each place (i, j) in a window, row-major, the entry there of every window: [C, outputHeight, outputWidth, B].
 * Windows start `stride` apart.
 */
export function windowSlices(
  graph: GraphBuilder,
  x_CHWB: Value,
  [windowHeight, windowWidth]: readonly [number, number],
  [outputHeight, outputWidth]: readonly [number, number],
  stride: number,
): Value[] {
  const slices: Value[] = [];
  for (let i = 0; i < windowHeight; i++) {
    for (let j = 0; j < windowWidth; j++) {
      const ends = [i + (outputHeight - 1) * stride + 1, j + (outputWidth - 1) * stride + 1];
      const bounds = [[i, j], ends, [1, 2], [stride, stride]].map((values) => graph.ints(values));
      slices.push(graph.op('Slice', [x_CHWB, ...bounds]));
    }
  }
  return slices;
}

/** Rows and columns of zeros around a map. */
export function padMap(graph: GraphBuilder, value_CHWB: Value, { top, left, bottom, right }: Padding): Value {
  const pads = [0, top, left, 0, 0, bottom, right, 0];
  if (pads.every((size) => size === 0)) return value_CHWB;
  return graph.op('Pad', [value_CHWB, graph.ints(pads)]);
}

/**
 * Part of a map of [mapHeight, mapWidth]: rows `top` to before `top + height`, and columns likewise. What lies behind
 * the map's end is zeros.
 */
export function partOfMap(
  graph: GraphBuilder,
  value_CHWB: Value,
  [mapHeight, mapWidth]: readonly [number, number],
  { top, left, height, width }: { top: number; left: number; height: number; width: number },
): Value {
  const [bottom, right] = [Math.min(mapHeight, top + height), Math.min(mapWidth, left + width)];
  const isWhole = top === 0 && left === 0 && bottom === mapHeight && right === mapWidth;
  const boundsOf = () =>
    [
      [top, left],
      [bottom, right],
      [1, 2],
    ].map((values) => graph.ints(values));
  const part = isWhole ? value_CHWB : graph.op('Slice', [value_CHWB, ...boundsOf()]);
  return padMap(graph, part, { top: 0, left: 0, bottom: top + height - bottom, right: left + width - right });
}
