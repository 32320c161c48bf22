/** What a dataset is, in figures: shape, samples of each class, and the mean and deviation of its pixels. */
import { countOf } from '../../protocol/counts.ts';
import type { CanonicalDataset } from '../../protocol/data/canonical.ts';
import { imageBytesOf, imagesOf } from '../../protocol/data/dataset.ts';
import type { ImageShape, Samples } from '../../protocol/data/dataset.ts';
import { CLASS_NAME_WIDTH, shorten } from '../tables/shorten.ts';
import { summarise as summariseNumbers } from '../tables/statistics.ts';

export interface DatasetSummary {
  readonly name: string;
  /** [channels, height, width] */
  readonly shape: ImageShape;
  /** Numbers of samples. */
  readonly train: number;
  readonly validation?: number;
  readonly test: number;
  readonly sha256: string;
  /** Of each channel of the training images, scaled to 0 to 1 as engines see them. */
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
  readonly classes: readonly ClassCount[];
}

export interface ClassCount {
  readonly label: number;
  readonly name: string;
  readonly train: number;
  readonly validation?: number;
  readonly test: number;
}

/** Images summed up at once: a large set is never held whole. */
const PIECE_IMAGES = 1024;

/** Reads every training image once. */
export function summarise(name: string, dataset: CanonicalDataset): DatasetSummary {
  const { shape, classes, sha256, splits } = dataset;
  const { train, validation, test } = splits;
  const counts = {
    train: countLabels(train),
    validation: validation && countLabels(validation),
    test: countLabels(test),
  };
  return {
    name,
    shape,
    train: train.numSamples,
    ...(validation && { validation: validation.numSamples }),
    test: test.numSamples,
    sha256,
    ...momentsOf(train, shape),
    classes: classes.map((className, label) => ({
      label,
      name: className,
      train: counts.train[label] ?? 0,
      ...(counts.validation && { validation: counts.validation[label] ?? 0 }),
      test: counts.test[label] ?? 0,
    })),
  };
}

function countLabels({ labels }: Samples): number[] {
  const counts: number[] = [];
  for (const label of labels) counts[label] = (counts[label] ?? 0) + 1;
  return counts;
}

/** Sums of whole numbers, which are exact, so that the figures do not depend on the order. */
function momentsOf(samples: Samples, shape: ImageShape): Pick<DatasetSummary, 'mean' | 'deviation'> {
  const [channels] = shape;
  const imageBytes = imageBytesOf(shape);
  const planeBytes = imageBytes / channels;
  const sums = new Float64Array(channels);
  const squares = new Float64Array(channels);
  for (let first = 0; first < samples.numSamples; first += PIECE_IMAGES) {
    const images = imagesOf(samples, first, Math.min(PIECE_IMAGES, samples.numSamples - first));
    for (let plane = 0; plane < images.length; plane += planeBytes) {
      const channel = (plane / planeBytes) % channels;
      let [sum, square] = [0, 0];
      for (let i = plane; i < plane + planeBytes; i++) {
        const pixel = images[i]!;
        sum += pixel;
        square += pixel * pixel;
      }
      sums[channel]! += sum;
      squares[channel]! += square;
    }
  }
  const numPixels = samples.numSamples * planeBytes;
  const mean = Array.from(sums, (sum) => sum / numPixels / 255);
  const deviation = Array.from(squares, (square, channel) => {
    const variance = square / numPixels / 255 ** 2 - mean[channel]! ** 2;
    return Math.sqrt(Math.max(0, variance));
  });
  return { mean, deviation };
}

/** This many classes are all listed; of more, those with the most and those with the fewest samples. */
const MOST_LISTED = 60;
const LISTED_OF_MORE = 10;

/** The summary as lines for a terminal. */
export function describeSummary(summary: DatasetSummary): string[] {
  const { name, shape, train, validation, test, classes, sha256, mean, deviation } = summary;
  const [channels, height, width] = shape;
  const colours = channels === 1 ? 'grey' : channels === 3 ? 'red, green, blue' : `${channels} channels`;
  const each = (values: readonly number[]) => values.map((value) => value.toFixed(4)).join(' ');
  const held = validation === undefined ? '' : `, ${validation} for validation`;
  const labelled = (label: string, text: string) => `  ${label.padEnd(10)} ${text}`;
  const isLong = classes.length > MOST_LISTED;
  return [
    name,
    labelled('samples', `${train} for training${held}, ${test} for testing`),
    labelled('images', `${height}x${width} pixels (height x width), ${colours}`),
    labelled('mean', `${each(mean)} of 1`),
    labelled('deviation', each(deviation)),
    labelled('sha256', sha256),
    ...(isLong ? [labelled('classes', describeCounts(classes))] : []),
    '',
    ...(isLong ? mostAndFewest(classes) : classTable(classes)),
  ];
}

/** How unequal classes are. */
function describeCounts(classes: readonly ClassCount[]): string {
  const { min, median, max } = summariseNumbers(classes.map(({ train }) => train));
  const most = countOf(max, 'training sample');
  return `${classes.length}, each with ${min === max ? most : `${min} to ${most}, median ${median}`}`;
}

function mostAndFewest(classes: readonly ClassCount[]): string[] {
  const ranked = [...classes].sort((a, b) => b.train - a.train || a.label - b.label);
  const chosen = [...ranked.slice(0, LISTED_OF_MORE), ...ranked.slice(-LISTED_OF_MORE)];
  const [heading, ...rows] = classTable(chosen);
  return [
    'classes with the most and the fewest training samples (--json prints all)',
    heading!,
    ...rows.slice(0, LISTED_OF_MORE),
    '    ...',
    ...rows.slice(LISTED_OF_MORE),
  ];
}

function classTable(classes: readonly ClassCount[]): string[] {
  const names = classes.map(({ name }) => shorten(name, CLASS_NAME_WIDTH));
  const nameWidth = Math.max(5, ...names.map(({ length }) => length));
  const row = (cells: readonly (string | number)[]) =>
    cells
      .map((cell, column) => (column === 1 ? String(cell).padEnd(nameWidth) : String(cell).padStart(7)))
      .join('  ')
      .trimEnd();
  const hasValidation = classes.some(({ validation }) => validation !== undefined);
  return [
    row(['label', 'class', 'train', ...(hasValidation ? ['val'] : []), 'test']),
    ...classes.map(({ label, train, validation, test }, index) =>
      row([label, names[index]!, train, ...(hasValidation ? [validation!] : []), test]),
    ),
  ];
}
