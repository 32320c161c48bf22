/** The confusion matrix as a picture: a square for each pair of classes, the darker the more samples of its row are there. */
import { toPng } from '../plots/png.ts';
import { escapeXml, FONTS } from '../plots/svg-text.ts';
import type { Png } from '../plots/png.ts';
import { shorten } from '../tables/shorten.ts';
import type { Assessment, ConfusedPair } from './assessment.ts';

const FONT_SIZE = 11;
const TITLE = 28;
/** Side of a square, in pixels of the drawing: what a number of four digits needs. Less where the matrix is large. */
const CELL = 34;
const MOST_PIXELS = 1800;
/** Squares as small as this have no numbers, no grid and no names of their own. */
const SMALLEST_WITH_NUMBER = 28;
const SMALLEST_WITH_NAME = 13;
/** Of a class's name. */
const MOST_CHARACTERS = 60;

/** The picture as a PNG file. */
export function drawConfusion(assessment: Assessment): Png {
  return toPng(confusionSvg(assessment));
}

/** The text of an SVG file. */
export function confusionSvg({ classes, confused, accuracy }: Assessment): string {
  const cell = Math.min(CELL, MOST_PIXELS / classes.length);
  const texts = axisTexts(
    classes.map(({ name }) => shorten(name, MOST_CHARACTERS)),
    cell,
  );
  const labelWidth = 16 + 0.62 * FONT_SIZE * Math.max(5, ...texts.map(({ text }) => text.length));
  const matrix = cell * classes.length;
  const [width, height] = [labelWidth + matrix + 16, TITLE + matrix + labelWidth];
  const right = classes.map(({ correct }, label) => ({ label, predicted: label, samples: correct }));
  const cells = [...right, ...confused]
    .filter(({ samples }) => samples > 0)
    .map((pair) => drawCell(pair, pair.samples / classes[pair.label]!.samples, { cell, left: labelWidth }));
  const names = texts.flatMap(({ text, label }) => {
    const at = label * cell + cell / 2;
    const below = TITLE + matrix + 8;
    const x = labelWidth + at + 4;
    return [
      `<text x="${labelWidth - 8}" y="${TITLE + at + 4}" text-anchor="end">${escapeXml(text)}</text>`,
      `<text x="${x}" y="${below}" text-anchor="end" transform="rotate(-90 ${x} ${below})">${escapeXml(text)}</text>`,
    ];
  });
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-size="${FONT_SIZE}" fill="#222222" ` +
    `font-family="${FONTS}">` +
    '<rect width="100%" height="100%" fill="white"/>' +
    `<text x="${labelWidth}" y="18">label (row) and prediction (column); accuracy ${accuracy.toFixed(4)}</text>` +
    `<rect x="${labelWidth}" y="${TITLE}" width="${matrix}" height="${matrix}" fill="#f2f2f2"/>` +
    `${drawGrid(classes.length, { cell, left: labelWidth })}${cells.join('')}${names.join('')}</svg>`
  );
}

interface Place {
  readonly cell: number;
  readonly left: number;
}

/** Lines between the squares, one of which lies at the right and the lower edge. */
function drawGrid(numClasses: number, { cell, left }: Place): string {
  if (cell < SMALLEST_WITH_NAME) return '';
  const matrix = cell * numClasses;
  const lines = Array.from({ length: numClasses }, (_, index) => {
    const at = (index + 1) * cell - 1;
    return `M${left + at} ${TITLE}v${matrix}h1v${-matrix}zM${left} ${TITLE + at}h${matrix}v1h${-matrix}z`;
  });
  return `<path d="${lines.join('')}" fill="white"/>`;
}

/** `share`: of the samples of its row. */
function drawCell({ label, predicted, samples }: ConfusedPair, share: number, { cell, left }: Place): string {
  const [x, y] = [left + predicted * cell, TITLE + label * cell];
  const fill = label === predicted ? '#0072B2' : '#D55E00';
  // One sample must be seen where a square is smaller than a pixel.
  const side = cell < SMALLEST_WITH_NAME ? Math.max(1, cell) : cell - 1;
  const square = `<rect x="${x}" y="${y}" width="${side}" height="${side}" fill="${fill}" fill-opacity="${Math.sqrt(share).toFixed(3)}"/>`;
  if (cell < SMALLEST_WITH_NUMBER) return square;
  const ink = share > 0.5 ? 'white' : '#222222';
  return `${square}<text x="${x + cell / 2}" y="${y + cell / 2 + 4}" text-anchor="middle" fill="${ink}">${samples}</text>`;
}

/** What stands beside rows and columns: names, or where they do not fit the numbers of some classes. */
function axisTexts(names: readonly string[], cell: number): { text: string; label: number }[] {
  if (cell >= SMALLEST_WITH_NAME) return names.map((text, label) => ({ text, label }));
  const steps = [1, 2, 5].flatMap((step) => [1, 10, 100, 1000, 10_000].map((power) => step * power));
  const step = steps.sort((a, b) => a - b).find((some) => some * cell >= 2 * SMALLEST_WITH_NAME)!;
  return Array.from({ length: Math.ceil(names.length / step) }, (_, index) => ({
    text: String(index * step),
    label: index * step,
  }));
}
