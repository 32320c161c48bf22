/** SVG to PNG, with the fonts of this system. */
import { createRequire } from 'node:module';
import type * as resvg from '@resvg/resvg-js';
import { ConfigError, describeError } from '../../protocol/errors.ts';

const require = createRequire(import.meta.url);

/** Enough for a dense screen. */
const ZOOM = 2;

const SAMPLE = '<svg xmlns="http://www.w3.org/2000/svg" width="50" height="20"><text y="15">text</text></svg>';

export interface Png {
  readonly bytes: Uint8Array;
  /** What the image lacks, and the cure: where no font is installed, its text. */
  readonly warning?: string;
}

/** Without its binary nothing draws a PNG; the message has the cure. */
export class NoRasterizerError extends ConfigError {}

export interface PngOptions {
  /** False to do as if no font were installed. Default: true. */
  readonly loadSystemFonts?: boolean;
  /** Pixels of the image for each of the drawing. Default: 2. */
  readonly zoom?: number;
}

/** Throws {@link NoRasterizerError} with the cure where what draws is not installed whole. */
export function toPng(svg: string, { loadSystemFonts = true, zoom = ZOOM }: PngOptions = {}): Png {
  const { Resvg } = loadResvg();
  const options: resvg.ResvgRenderOptions = { fitTo: { mode: 'zoom', value: zoom }, font: { loadSystemFonts } };
  const bytes = new Resvg(svg, options).render().asPng();
  // Where there is no font, text takes no room.
  if (new Resvg(SAMPLE, options).innerBBox() !== undefined) return { bytes };
  return {
    bytes,
    warning:
      'PNG images have no text, as no font is installed: install one (Debian: fonts-dejavu-core), or use the SVG',
  };
}

/**
 * The package's binary for this machine is an optional dependency of that package, which npm omits with `--omit=optional`.
 * `load` is Node's `require`.
 */
export function loadResvg(load: (name: string) => unknown = require): typeof resvg {
  try {
    return load('@resvg/resvg-js') as typeof resvg;
  } catch (error) {
    const message = describeError(error).split('\n')[0]!;
    const [, binary] = /Cannot find module '(@resvg\/[^']+)'/.exec(message) ?? [];
    const cure = binary === undefined ? 'install gradsock anew' : `run npm install ${binary}@${resvgVersion()}`;
    throw new NoRasterizerError(`PNG images cannot be drawn: ${message}; ${cure}, or use the SVG`, { cause: error });
  }
}

function resvgVersion(): string {
  return (require('@resvg/resvg-js/package.json') as { version: string }).version;
}
