import { describe, expect, test } from 'vitest';
import { drawCurves } from '../../scripts/plots/curves.ts';
import { arrange, GREY, PALETTE, wholeTicks } from '../../scripts/plots/drawing.ts';
import { loadResvg, toPng } from '../../scripts/plots/png.ts';
import { drawPoints } from '../../scripts/plots/points.ts';

const rising = [0.5, 0.7, 0.8].map((y, i) => ({ x: i + 1, y }));
const curves = drawCurves({
  title: 'dense <1>',
  x: { label: 'epoch', ticks: [1, 2, 3] },
  y: { label: 'test accuracy (fraction)' },
  curves: [
    { name: 'ours & theirs', points: rising },
    { name: 'homework', points: rising, isDashed: true },
    { points: rising },
  ],
  others: 'others',
});
/** Of the strokes of curves, in the order in which they are drawn. */
const strokesOf = (svg: string) =>
  [...svg.matchAll(/aria-label="line"><g[^>]* stroke="([^"]+)"/g)].map(([, stroke]) => stroke);
/** Width, height, and whether it begins as a PNG does. */
const headOf = (bytes: Uint8Array) => {
  const view = Buffer.from(bytes);
  return { magic: view.toString('latin1', 1, 4), width: view.readUInt32BE(16), height: view.readUInt32BE(20) };
};

test('a PNG cannot be drawn where npm has omitted the binary for it: the cure is to install that', () => {
  const load = () => {
    throw new Error("Cannot find module '@resvg/resvg-js-linux-x64-gnu'\nRequire stack:\n- js-binding.js");
  };
  expect(() => loadResvg(load)).toThrow(
    /^PNG images cannot be drawn: Cannot find module '@resvg\/resvg-js-linux-x64-gnu'; run npm install @resvg\/resvg-js-linux-x64-gnu@\d+\.\d+\.\d+, or use the SVG$/,
  );
});

describe('curves', () => {
  test('have a title, both axes with their labels, and a legend that names each and the others', () => {
    const texts = [...curves.matchAll(/<text[^>]*>([^<]+)</g)].map(([, text]) => text);
    for (const text of [
      'dense &lt;1>',
      'epoch',
      'test accuracy (fraction)',
      'ours &amp; theirs',
      'homework',
      'others',
      '1',
      '3',
    ]) {
      expect(texts).toContain(text);
    }
  });

  test('without a name are grey, beneath the others; the first that has one lies above all', () => {
    expect(strokesOf(curves)).toEqual([GREY, PALETTE[1], PALETTE[0]]);
    expect(curves.match(/stroke-dasharray="5 3"/g)).toHaveLength(2);
  });
});

test('points of categories and of logarithmic scales are drawn, with plain numbers at the axis', () => {
  const series = { name: 'completed', color: PALETTE[0], isFilled: true };
  const points = [0.002, 0.02, 0.2].map((x) => ({ x, y: 0.5 + x }));
  const y = { label: 'y' };
  const log = drawPoints({ x: { label: 'rate', scale: 'log' }, y, series: [{ ...series, points }] });
  expect(log).toContain('>0.02<');
  const names = [
    { x: 'sgd', y: 1 },
    { x: 'adam', y: 2 },
  ];
  const category = drawPoints({
    x: { label: 'optimizer', scale: 'category' },
    y,
    series: [{ ...series, points: names }],
  });
  expect(category).toContain('>sgd<');
  expect(category).toContain('>completed<');
});

test('whole numbers are marked, no more of them than have room', () => {
  expect(wholeTicks(1, 5)).toEqual([1, 2, 3, 4, 5]);
  expect(wholeTicks(1, 30)).toEqual([5, 10, 15, 20, 25, 30]);
});

describe('an image', () => {
  test('is twice the size of the drawing, and of several the size of all', () => {
    const { bytes, warning } = toPng(
      drawCurves({ x: { label: 'x' }, y: { label: 'y' }, width: 300, height: 200, curves: [] }),
    );
    expect(headOf(bytes)).toEqual({ magic: 'PNG', width: 600, height: 424 });
    expect(warning).toBeUndefined();
    const one = drawCurves({ x: { label: 'x' }, y: { label: 'y' }, width: 300, height: 200, curves: [] });
    expect(headOf(toPng(arrange([one, one, one], 2)).bytes)).toEqual({ magic: 'PNG', width: 1200, height: 848 });
  });

  test('shows its text, and where there is no font it says that it does not', () => {
    const { bytes, warning } = toPng(curves, { loadSystemFonts: false });
    expect(warning).toContain('no font is installed: install one (Debian: fonts-dejavu-core), or use the SVG');
    expect(Buffer.from(toPng(curves).bytes).equals(Buffer.from(bytes))).toBe(false);
  });
});
