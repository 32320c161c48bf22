/** A sheet of samples: the first training images of a class in a row, with the class's name before them. */
import { encode } from 'fast-png';
import { channelsLast } from '../../coordinator/dataset/readers/channels.ts';
import type { CanonicalDataset } from '../../protocol/data/canonical.ts';
import { imagesOf } from '../../protocol/data/dataset.ts';
import type { Labels } from '../../protocol/data/labels.ts';
import type { ImageShape } from '../../protocol/data/dataset.ts';
import { toPng } from '../plots/png.ts';
import { escapeXml, FONTS } from '../plots/svg-text.ts';
import type { Png } from '../plots/png.ts';
import { shorten } from '../tables/shorten.ts';

const SAMPLES_A_CLASS = 12;
/** Rows of the sheet: of more classes some are drawn. */
const MOST_ROWS = 60;
/** Of a class's name. */
const MOST_CHARACTERS = 60;
const GAP = 3;
const FONT_SIZE = 11;
/** The shorter side of an image on the sheet, in pixels of the drawing: small images are enlarged to it. */
const SMALLEST = 28;

/** The labels of the classes that are on the sheet: all, or as many as there are rows, evenly spaced. */
export function labelsOnSheet(numClasses: number): number[] {
  const numRows = Math.min(numClasses, MOST_ROWS);
  return Array.from({ length: numRows }, (_, row) => Math.floor((row * numClasses) / numRows));
}

/** The sheet as a PNG file. */
export function drawSheet({ shape, classes, splits }: CanonicalDataset): Png {
  const { train } = splits;
  const [, height, width] = shape;
  const zoom = Math.max(1, Math.ceil(SMALLEST / Math.min(height, width)));
  const [cellHeight, cellWidth] = [zoom * height, zoom * width];
  const labels = labelsOnSheet(classes.length);
  const names = labels.map((label) => shorten(classes[label]!, MOST_CHARACTERS));
  const labelWidth = 10 + 0.62 * FONT_SIZE * Math.max(...names.map(({ length }) => length));
  const rows = labels.map((label, row) => {
    const y = GAP + row * (cellHeight + GAP);
    const indices = firstOf(train.labels, label, SAMPLES_A_CLASS);
    const images = indices.map((index, column) => {
      const png = encodeImage(imagesOf(train, index, 1), shape);
      const x = labelWidth + column * (cellWidth + GAP);
      return `<image x="${x}" y="${y}" width="${cellWidth}" height="${cellHeight}" image-rendering="optimizeSpeed" href="data:image/png;base64,${png}"/>`;
    });
    const text = `<text x="${labelWidth - 8}" y="${y + cellHeight / 2 + FONT_SIZE / 3}" text-anchor="end">${escapeXml(names[row]!)}</text>`;
    return text + images.join('');
  });
  const [sheetWidth, sheetHeight] = [
    labelWidth + SAMPLES_A_CLASS * (cellWidth + GAP),
    GAP + rows.length * (cellHeight + GAP),
  ];
  return toPng(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${sheetWidth}" height="${sheetHeight}" ` +
      `font-family="${FONTS}" font-size="${FONT_SIZE}" fill="#222222">` +
      `<rect width="100%" height="100%" fill="white"/>${rows.join('')}</svg>`,
  );
}

function firstOf(labels: Labels, label: number, count: number): number[] {
  const indices: number[] = [];
  for (let at = labels.indexOf(label); at !== -1 && indices.length < count; at = labels.indexOf(label, at + 1)) {
    indices.push(at);
  }
  return indices;
}

/** [channels, height, width] bytes as a PNG file in base64. Of two or four channels the last, transparency, is kept. */
function encodeImage(planes: Uint8Array<ArrayBuffer>, shape: ImageShape): string {
  const [channels, height, width] = shape;
  const data = channelsLast(planes, shape);
  return Buffer.from(encode({ width, height, data, depth: 8, channels })).toString('base64');
}
