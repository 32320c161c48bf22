/** An assessment for a terminal: figures, classes, what is confused, the worst samples. */
import { countOf } from '../../protocol/counts.ts';
import { CLASS_NAME_WIDTH, shorten } from '../tables/shorten.ts';
import type { Assessment, ClassFigures } from './assessment.ts';

/** This many classes are all listed; of more, those that are recognised least. */
const MOST_LISTED = 60;
/** The confusion matrix of this many classes can still be read; of more, the pairs that are confused most are listed. */
const MOST_IN_MATRIX = 30;
const LISTED_OF_MORE = 20;

/** The assessment as lines. */
export function describeAssessment(assessment: Assessment): string[] {
  const { samples, loss, accuracy, classes } = assessment;
  return [
    `${countOf(samples, 'sample')}: loss ${loss.toFixed(4)}, accuracy ${accuracy.toFixed(4)}`,
    '',
    ...describeClasses(classes),
    '',
    ...(classes.length <= MOST_IN_MATRIX ? describeMatrix(assessment) : describePairs(assessment)),
    ...describeWorst(assessment),
  ];
}

const fraction = (value: number | null) => (value === null ? '-' : value.toFixed(4));

function describeClasses(classes: readonly ClassFigures[]): string[] {
  const labelled = classes.map((figures, label) => ({
    ...figures,
    label,
    name: shorten(figures.name, CLASS_NAME_WIDTH),
  }));
  const isLong = labelled.length > MOST_LISTED;
  const shown = isLong ? leastRecognised(labelled) : labelled;
  const nameWidth = Math.max(5, ...shown.map(({ name }) => name.length));
  return [
    ...(isLong ? [`the ${shown.length} classes with the lowest recall, of ${classes.length} (--json prints all)`] : []),
    `label  ${'class'.padEnd(nameWidth)}  samples  precision  recall`,
    ...shown.map(({ label, name, samples, precision, recall }) =>
      [
        String(label).padStart(5),
        name.padEnd(nameWidth),
        String(samples).padStart(7),
        fraction(precision).padStart(9),
        fraction(recall).padStart(6),
      ].join('  '),
    ),
  ];
}

/** Of classes with as low a recall those with more samples, whose recall is surer. */
function leastRecognised<C extends ClassFigures & { readonly label: number }>(classes: readonly C[]): C[] {
  return classes
    .filter(({ recall }) => recall !== null)
    .sort((a, b) => a.recall! - b.recall! || b.samples - a.samples || a.label - b.label)
    .slice(0, LISTED_OF_MORE);
}

function describeMatrix({ classes, confusion = [] }: Assessment): string[] {
  const cellWidth = Math.max(4, ...confusion.flat().map((count) => String(count).length)) + 1;
  const labels = classes.map((_, label) => String(label));
  return [
    'confusion: a row for each label, a column for each prediction',
    `      ${labels.map((label) => label.padStart(cellWidth)).join('')}`,
    ...confusion.map((row, label) => {
      const cells = row.map((count) => (count === 0 ? '.' : String(count)).padStart(cellWidth));
      return `${String(label).padStart(5)} ${cells.join('')}`;
    }),
  ];
}

function describePairs({ classes, confused }: Assessment): string[] {
  if (confused.length === 0) return ['confusion: none'];
  const shown = confused.slice(0, LISTED_OF_MORE);
  const nameOf = (label: number) => {
    const { name } = classes[label]!;
    return name === String(label) ? name : `${label} ${shorten(name, PAIR_NAME_WIDTH)}`;
  };
  const names = shown.map(({ label }) => nameOf(label));
  const nameWidth = Math.max('label'.length, ...names.map(({ length }) => length));
  return [
    shown.length === confused.length
      ? 'confusion: all pairs that are confused'
      : `confusion: the ${shown.length} largest pairs of ${confused.length} (--json prints all)`,
    `samples  share of label  ${'label'.padEnd(nameWidth)}  prediction`,
    ...shown.map(({ label, predicted, samples }, index) =>
      [
        String(samples).padStart(7),
        (samples / classes[label]!.samples).toFixed(4).padStart(14),
        names[index]!.padEnd(nameWidth),
        nameOf(predicted),
      ].join('  '),
    ),
  ];
}

/** With their labels, two of them and the numbers fit into a line of 80 characters. */
const PAIR_NAME_WIDTH = 20;

function describeWorst({ worst }: Assessment): string[] {
  if (worst.length === 0) return [];
  return [
    '',
    'the worst samples',
    ...worst.map(({ index, label, predicted, probability, predictedProbability, loss }) => {
      const what = `${label} (${probability.toFixed(4)}), predicted ${predicted} (${predictedProbability.toFixed(4)})`;
      return `  ${String(index).padStart(6)}  loss ${loss.toFixed(3)}  ${what}`;
    }),
  ];
}
