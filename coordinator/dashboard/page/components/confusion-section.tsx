/** ConfusionSection: which classes are taken for which after an epoch, and the images of a chosen cell. */
import { useMemo } from 'preact/hooks';
import type { Confusion, ConfusionCell } from '../../../reporting/confusion.ts';
import type { RunHead } from '../../run-view.ts';
import { accuracyOf, classNameOf, mostConfused, rowsOf } from '../confusion-facts.ts';
import type { CellPlace } from '../confusion-facts.ts';
import { formatCount, formatPercent } from '../format.ts';
import { CellImages } from './cell-images.tsx';
import type { Images } from './cell-images.tsx';
import { ConfusionMatrix } from './confusion-matrix.tsx';
import { Section } from './section.tsx';

/** What is looked at. */
export interface ChosenConfusion {
  readonly epoch: number;
  /** The epoch's matrix; null where there is none, undefined until it is there. */
  readonly matrix: Confusion | null | undefined;
  readonly cell?: CellPlace | undefined;
  /** Absent where nothing can be chosen. */
  readonly onEpoch?: (epoch: number) => void;
  readonly onCell?: (cell: CellPlace) => void;
}

export interface ConfusionSectionProps {
  readonly head: RunHead;
  /** Epochs that have a matrix. */
  readonly epochs: readonly number[];
  readonly chosen: ChosenConfusion | undefined;
  readonly images: Images;
}

/** Above the first, a matrix is hard to find a pair in, and above the second hard to draw. */
const MOST_CLASSES_WITHOUT_LIST = 20;
const MOST_CLASSES_OF_MATRIX = 30;
const MOST_PAIRS = 20;
const FEW_PAIRS = 6;

export function ConfusionSection({ head, epochs, chosen, images }: ConfusionSectionProps) {
  const matrix = chosen?.matrix;
  if (!chosen || epochs.length === 0) {
    return (
      <Section name="confusion" title="Confusion matrix">
        <p class="empty">Made with the evaluation after an epoch.</p>
      </Section>
    );
  }
  return (
    <Section name="confusion" title="Confusion matrix" note={matrix ? summaryOf(matrix) : undefined}>
      <EpochSlider epochs={epochs} chosen={chosen} />
      {matrix ? (
        <Matrix head={head} matrix={matrix} chosen={chosen} images={images} />
      ) : (
        <p class="empty">
          {matrix === null ? `Epoch ${chosen.epoch} has no matrix.` : `Loading the matrix of epoch ${chosen.epoch}…`}
        </p>
      )}
    </Section>
  );
}

const summaryOf = (matrix: Confusion): string =>
  `epoch ${matrix.epoch}: ${formatPercent(accuracyOf(matrix))} of ${formatCount(matrix.numSamples)} ${matrix.split} samples are right`;

function EpochSlider({ epochs, chosen }: { readonly epochs: readonly number[]; readonly chosen: ChosenConfusion }) {
  const { epoch, onEpoch } = chosen;
  if (!onEpoch || epochs.length < 2) return null;
  return (
    <label class="slider">
      <span>Epoch</span>
      <input
        type="range"
        min={0}
        max={epochs.length - 1}
        step={1}
        value={Math.max(0, epochs.indexOf(epoch))}
        aria-valuetext={`epoch ${epoch}`}
        onInput={(event) => {
          onEpoch(epochs[event.currentTarget.valueAsNumber]!);
        }}
      />
      <output>{epoch}</output>
    </label>
  );
}

interface MatrixProps {
  readonly head: RunHead;
  readonly matrix: Confusion;
  readonly chosen: ChosenConfusion;
  readonly images: Images;
}

function Matrix({ head, matrix, chosen, images }: MatrixProps) {
  const { cell, onCell } = chosen;
  const { classes } = head;
  const numClasses = useMemo(
    () => matrix.cells.reduce((most, { label, predicted }) => Math.max(most, label + 1, predicted + 1), classes.length),
    [matrix, classes],
  );
  const hasMatrix = numClasses <= MOST_CLASSES_OF_MATRIX;
  const rows = useMemo(() => (hasMatrix ? rowsOf(matrix, numClasses) : []), [matrix, numClasses]);
  const pairs = mostConfused(matrix, numClasses > MOST_CLASSES_WITHOUT_LIST ? MOST_PAIRS : FEW_PAIRS);
  const chosenCell =
    cell && matrix.cells.find(({ label, predicted }) => label === cell.label && predicted === cell.predicted);
  return (
    <div class={`confusion ${hasMatrix ? 'with-matrix' : 'without-matrix'}`}>
      {hasMatrix && <ConfusionMatrix rows={rows} classes={classes} cell={cell} onCell={onCell} />}
      <Pairs pairs={pairs} classes={classes} onCell={onCell} />
      {cell && (
        <CellImages
          place={cell}
          cell={chosenCell}
          classes={classes}
          images={images}
          shape={head.config?.dataset?.shape}
        />
      )}
    </div>
  );
}

interface PairsProps {
  readonly pairs: readonly ConfusionCell[];
  readonly classes: readonly string[];
  readonly onCell: ChosenConfusion['onCell'];
}

function Pairs({ pairs, classes, onCell }: PairsProps) {
  if (pairs.length === 0) return <p class="empty">No sample is taken for another class.</p>;
  return (
    <div class="pairs">
      <h3>Most confused</h3>
      <ol>
        {pairs.map((pair) => {
          const text = `${classNameOf(classes, pair.label)} taken for ${classNameOf(classes, pair.predicted)}`;
          return (
            <li key={`${pair.label} ${pair.predicted}`}>
              <span class="number">{formatCount(pair.numSamples)}</span>
              {onCell ? (
                <button type="button" class="link" onClick={() => onCell(pair)}>
                  {text}
                </button>
              ) : (
                <span>{text}</span>
              )}
            </li>
          );
        })}
      </ol>
    </div>
  );
}
