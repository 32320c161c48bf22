/** Held data: the dataset of a run, kept open after the run for those who still read images of it. */
import type { DatasetSource } from '../../coordinator/dataset/dataset-source.ts';
import type { CanonicalDataset } from '../../protocol/data/canonical.ts';

export interface HeldData {
  /** The same source; where somebody holds on to it, its data stays open when the run closes it. */
  readonly source: DatasetSource;
  /** From now on. */
  hold(): void;
  /** What the run has opened; undefined before. */
  opened(): CanonicalDataset | undefined;
  /** Closes what the run has closed. */
  release(): void;
}

export function holdOpen(source: DatasetSource): HeldData {
  let isHeld = false;
  let dataset: CanonicalDataset | undefined;
  let closeLater: (() => void) | undefined;
  return {
    source: {
      ...source,
      async open() {
        const found = await source.open();
        dataset = found;
        const close = () => {
          if (isHeld) closeLater = () => found.bytes.close();
          else found.bytes.close();
        };
        return { ...found, bytes: { ...found.bytes, close } };
      },
    },
    hold: () => (isHeld = true),
    opened: () => dataset,
    release() {
      isHeld = false;
      dataset = undefined;
      closeLater?.();
      closeLater = undefined;
    },
  };
}
