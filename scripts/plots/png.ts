/** SVG to PNG, with the fonts of this system. */
import { Resvg } from '@resvg/resvg-js';
import type { ResvgRenderOptions } from '@resvg/resvg-js';

/** Enough for a dense screen. */
const ZOOM = 2;

const SAMPLE = '<svg xmlns="http://www.w3.org/2000/svg" width="50" height="20"><text y="15">text</text></svg>';

export interface Png {
  readonly bytes: Uint8Array;
  /** What the image lacks, and the cure: where no font is installed, its text. */
  readonly warning?: string;
}

export interface PngOptions {
  /** False to do as if no font were installed. Default: true. */
  readonly loadSystemFonts?: boolean;
  /** Pixels of the image for each of the drawing. Default: 2. */
  readonly zoom?: number;
}

export function toPng(svg: string, { loadSystemFonts = true, zoom = ZOOM }: PngOptions = {}): Png {
  const options: ResvgRenderOptions = { fitTo: { mode: 'zoom', value: zoom }, font: { loadSystemFonts } };
  const bytes = new Resvg(svg, options).render().asPng();
  // Where there is no font, text takes no room.
  if (new Resvg(SAMPLE, options).innerBBox() !== undefined) return { bytes };
  return {
    bytes,
    warning:
      'PNG images have no text, as no font is installed: install one (Debian: fonts-dejavu-core), or use the SVG',
  };
}
