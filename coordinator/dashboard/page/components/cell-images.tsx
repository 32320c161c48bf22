/** CellImages: the samples of a cell of the matrix that have the largest losses, the worst first. */
import { MOST_IMAGES } from '../../page-messages.ts';
import type { ConfusionCell } from '../../../reporting/confusion.ts';
import { classNameOf } from '../confusion-facts.ts';
import type { CellPlace } from '../confusion-facts.ts';
import { countOf } from '../../../../protocol/counts.ts';

/** Data URLs by the index of the sample; null where the data is not at hand. An image that is not loaded yet has no entry. */
export type Images = ReadonlyMap<number, string | null>;

export interface CellImagesProps {
  readonly place: CellPlace;
  /** Undefined where the cell has no samples. */
  readonly cell: ConfusionCell | undefined;
  readonly classes: readonly string[];
  readonly images: Images;
  /** Of an image: [channels, height, width]. */
  readonly shape: readonly number[] | undefined;
}

/** Pixels of the screen that the longer side has at most. */
const MOST_PIXELS = 64;

export function CellImages({ place, cell, classes, images, shape }: CellImagesProps) {
  const truth = classNameOf(classes, place.label);
  const prediction = classNameOf(classes, place.predicted);
  const title = place.label === place.predicted ? `${truth}, predicted right` : `${truth} taken for ${prediction}`;
  const worst = cell?.worst.slice(0, MOST_IMAGES) ?? [];
  const shown =
    worst.length < (cell?.numSamples ?? 0) ? `, those with the ${worst.length} largest losses` : ', largest loss first';
  return (
    <div class="cell-images">
      <h3>{title}</h3>
      <p class="note" role="status">
        {cell ? `${countOf(cell.numSamples, 'sample')}${shown}` : 'No sample.'}
      </p>
      <ul>
        {worst.map((index, i) => (
          <li key={index}>
            <Image
              url={images.get(index)}
              text={`Sample ${index}: true class ${truth}, predicted ${prediction}`}
              size={sizeOf(shape)}
            />
            <span class="loss">{cell?.losses[i]?.toFixed(2)}</span>
          </li>
        ))}
      </ul>
      {worst.length > 0 && <p class="note">Below each image: its loss in nats.</p>}
    </div>
  );
}

interface ImageProps {
  readonly url: string | null | undefined;
  readonly text: string;
  readonly size: { readonly width: number; readonly height: number };
}

function Image({ url, text, size }: ImageProps) {
  if (typeof url === 'string') return <img src={url} alt={text} title={text} {...size} />;
  const state = url === null ? 'data not at hand' : 'loading';
  return (
    <svg {...size} role="img" aria-label={`${text}: ${state}`}>
      <rect width="100%" height="100%" class="no-image" />
    </svg>
  );
}

/** A whole multiple of the image's own size, at least 1 and at most 3 times, so that pixels stay square. */
function sizeOf([, height = 28, width = 28]: readonly number[] = []): { width: number; height: number } {
  const times = Math.max(1, Math.min(3, Math.floor(MOST_PIXELS / Math.max(width, height))));
  const scale = times * Math.min(1, MOST_PIXELS / Math.max(width, height));
  return { width: Math.round(width * scale), height: Math.round(height * scale) };
}
