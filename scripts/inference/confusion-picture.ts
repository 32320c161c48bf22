/** The confusion matrix as a picture: a square for each pair of classes, the darker the more samples of its row are there. */
import { toPng } from '../plots/png.ts';
import { escapeXml, FONTS } from '../plots/svg-text.ts';
import type { Png } from '../plots/png.ts';
import type { Assessment } from './assessment.ts';

const FONT_SIZE = 11;
const CELL = 34;
const TITLE = 28;

/** The picture as a PNG file. */
export function drawConfusion({ classes, confusion, accuracy }: Assessment): Png {
  const labelWidth = 16 + 0.62 * FONT_SIZE * Math.max(5, ...classes.map(({ name }) => name.length));
  const matrix = CELL * classes.length;
  const [width, height] = [labelWidth + matrix + 16, TITLE + matrix + labelWidth];
  const cells = confusion.flatMap((row, label) => {
    const total = row.reduce((a, b) => a + b, 0);
    return row.map((count, predicted) => {
      const share = total === 0 ? 0 : count / total;
      const [x, y] = [labelWidth + predicted * CELL, TITLE + label * CELL];
      const fill = label === predicted ? '#0072B2' : '#D55E00';
      const ink = share > 0.5 ? 'white' : '#222222';
      const text =
        count === 0
          ? ''
          : `<text x="${x + CELL / 2}" y="${y + CELL / 2 + 4}" text-anchor="middle" fill="${ink}">${count}</text>`;
      return (
        `<rect x="${x}" y="${y}" width="${CELL - 1}" height="${CELL - 1}" fill="#f2f2f2"/>` +
        `<rect x="${x}" y="${y}" width="${CELL - 1}" height="${CELL - 1}" fill="${fill}" fill-opacity="${Math.sqrt(share).toFixed(3)}"/>` +
        text
      );
    });
  });
  const names = classes.flatMap(({ name }, label) => {
    const at = label * CELL + CELL / 2;
    const below = TITLE + matrix + 8;
    const x = labelWidth + at + 4;
    return [
      `<text x="${labelWidth - 8}" y="${TITLE + at + 4}" text-anchor="end">${escapeXml(name)}</text>`,
      `<text x="${x}" y="${below}" text-anchor="end" transform="rotate(-90 ${x} ${below})">${escapeXml(name)}</text>`,
    ];
  });
  return toPng(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-size="${FONT_SIZE}" fill="#222222" ` +
      `font-family="${FONTS}">` +
      '<rect width="100%" height="100%" fill="white"/>' +
      `<text x="${labelWidth}" y="18">label (row) and prediction (column); accuracy ${accuracy.toFixed(4)}</text>` +
      `${cells.join('')}${names.join('')}</svg>`,
  );
}
