/**
 * What all plots have in common: Observable Plot draws in a document that is no browser's, on white, and names what its
 * colours and marks stand for in a legend under the axes. What comes out is the text of an SVG file.
 */
import { plot } from '@observablehq/plot';
import type { Markish, PlotOptions } from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { FONTS } from './svg-text.ts';

export interface Axis {
  /** With the unit, in parentheses. */
  readonly label: string;
  /** Default: linear. `category`: values are names, in the order in which they come. */
  readonly scale?: 'linear' | 'log' | 'category';
  /** Lowest and highest value that is drawn. Default: from the data. */
  readonly domain?: readonly [number, number];
  /** Where the axis has its marks. Default: at round values. */
  readonly ticks?: readonly number[];
}

export interface Point {
  readonly x: number | string;
  readonly y: number;
}

export interface Frame {
  readonly title?: string;
  readonly x: Axis;
  readonly y: Axis;
  /** In pixels; the height is that of the axes, to which title and legend are added. */
  readonly width?: number;
  readonly height?: number;
  /** Pixels between the outermost values and the frame. */
  readonly inset?: number;
}

export interface LegendEntry {
  readonly name: string;
  readonly color: string;
  readonly symbol: 'line' | 'dashes' | 'disc' | 'ring';
}

/** Colours that also those tell apart who see few: Okabe and Ito, Color Universal Design, 2008. */
export const PALETTE = ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9'] as const;

/** Of what is there for comparison. */
export const GREY = '#bbbbbb';

const FONT_SIZE = 11;
const LINE_HEIGHT = 16;
const TITLE_HEIGHT = 28;
const PADDING = 12;
const INK = '#222222';
const MARGINS = { marginTop: 30, marginLeft: 56, marginRight: 16, marginBottom: 40 };

export const DASHES = '5 3';

/** What is used here of an element of the document. */
interface SvgElement {
  readonly outerHTML: string;
  setAttribute(name: string, value: string): void;
  querySelector(selector: string): { remove(): void } | null;
}

/** Draws marks within axes: title, axes, legend, from top to bottom. Returns the text of an SVG file. */
export function draw(frame: Frame, marks: Markish[], legend: readonly LegendEntry[]): string {
  const { title, x, y, width = 800, height = 420, inset = 0 } = frame;
  const top = title === undefined ? 0 : TITLE_HEIGHT;
  const options = {
    document: createDocument(),
    ...{ width, height, inset, ...MARGINS, grid: true, marks },
    style: { fontFamily: FONTS, fontSize: `${FONT_SIZE}px` },
    x: scaleOf(x, 'center'),
    y: scaleOf(y, 'top'),
  };
  const axes = plot(options as unknown as PlotOptions) as unknown as SvgElement;
  // Rules for pages in a browser, which others do not know.
  axes.querySelector('style')?.remove();
  axes.setAttribute('y', String(top));
  const heading = text(title ?? '', { x: MARGINS.marginLeft, y: 20, 'font-size': 14, 'font-weight': 'bold' });
  const entries = legend.map((entry, index) => drawEntry(entry, top + height + (index + 0.5) * LINE_HEIGHT));
  const whole = top + height + legend.length * LINE_HEIGHT + PADDING;
  return svgOf(width, whole, [...(title === undefined ? [] : [heading]), axes.outerHTML, ...entries]);
}

/** Types of documents come with browsers' libraries only: here it is handed on as it is. */
function createDocument(): unknown {
  return (parseHTML('<html></html>') as unknown as { document: unknown }).document;
}

/** Drawings side by side in columns of equal width, and under each other. */
export function arrange(drawings: readonly string[], numColumns: number): string {
  const panels = drawings.map((svg) => {
    const [, width, height] = /viewBox="0 0 ([\d.]+) ([\d.]+)"/.exec(svg)!;
    return { svg, width: Number(width), height: Number(height) };
  });
  const columnWidth = Math.max(...panels.map(({ width }) => width));
  let top = 0;
  const placed: string[] = [];
  for (let first = 0; first < panels.length; first += numColumns) {
    const row = panels.slice(first, first + numColumns);
    row.forEach(({ svg }, column) => placed.push(svg.replace('<svg ', `<svg x="${column * columnWidth}" y="${top}" `)));
    top += Math.max(...row.map(({ height }) => height));
  }
  return svgOf(columnWidth * Math.min(numColumns, panels.length), top, placed);
}

/** Ticks at whole numbers only, ten at most or a few more. */
export function wholeTicks(low: number, high: number): number[] {
  const spacing = [1, 2, 5, 10, 20, 50, 100, 200, 500].find((step) => (high - low) / step <= 10) ?? 1000;
  const first = Math.ceil(low / spacing) * spacing;
  return Array.from({ length: Math.max(0, Math.floor((high - first) / spacing) + 1) }, (_, i) => first + i * spacing);
}

function scaleOf({ label, scale = 'linear', domain, ticks }: Axis, labelAnchor: 'center' | 'top') {
  const type = scale === 'category' ? 'point' : scale;
  // Without prefixes: 0.002 is no "2m".
  const format = scale === 'category' ? {} : { tickFormat: '~g', ...(ticks && { ticks }) };
  return { label, labelAnchor, labelArrow: 'none', type, ...format, ...(domain && { domain }) };
}

function drawEntry({ name, color, symbol }: LegendEntry, y: number): string {
  const x = MARGINS.marginLeft;
  const label = text(name, { x: x + 32, y: y + 4, 'font-size': FONT_SIZE });
  if (symbol === 'disc' || symbol === 'ring') {
    return (
      element('circle', { cx: x + 12, cy: y, r: 4, stroke: color, fill: symbol === 'disc' ? color : 'none' }) + label
    );
  }
  const dashes = symbol === 'dashes' ? { 'stroke-dasharray': DASHES } : {};
  return element('line', { x1: x, x2: x + 24, y1: y, y2: y, stroke: color, 'stroke-width': 2, ...dashes }) + label;
}

function svgOf(width: number, height: number, parts: readonly string[]): string {
  const size = { width, height, viewBox: `0 0 ${width} ${height}` };
  const attributes = { xmlns: 'http://www.w3.org/2000/svg', ...size, color: INK, 'font-family': FONTS };
  const background = element('rect', { width, height, fill: 'white' });
  return `${element('svg', attributes, [background, ...parts].join('\n'))}\n`;
}

function text(content: string, attributes: Readonly<Record<string, string | number>>): string {
  return element('text', { fill: INK, 'text-anchor': 'start', ...attributes }, escape(content));
}

/** `content`: markup. */
function element(name: string, attributes: Readonly<Record<string, string | number>>, content = ''): string {
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${escape(String(value))}"`);
  return `<${name}${written.join('')}>${content}</${name}>`;
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
