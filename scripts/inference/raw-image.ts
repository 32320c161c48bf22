/** An image as a file has it. */
import type { ImageShape } from '../../protocol/data/dataset.ts';

export interface RawImage {
  readonly shape: ImageShape;
  /** [channels, height, width] */
  readonly planes: Uint8Array<ArrayBuffer>;
}
