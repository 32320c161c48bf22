/**
 * What a page and the server that it is from say to each other: JSON texts over a WebSocket at `live`, beside the page.
 *
 * The server speaks first, with `hello`. The page answers with `look`. If its proof holds, the server sends the view, then
 * what changes. A page that may not look, or one too many, is told `refused`, and the connection ends.
 */
import type { Confusion } from '../reporting/confusion.ts';
import type { RunView, ViewUpdate } from './run-view.ts';

/** What a person may do to a running run. `stop`: after the epoch at hand. */
export const CONTROLS = ['pause', 'resume', 'stop'] as const;
export type Control = (typeof CONTROLS)[number];

export type FromServer =
  /**
   * `nonce`: 64 hexadecimal digits. `needsKey`: whether a view key is asked for. `canControl`: whether the server has
   * buttons to press: a page over a run's folder has none.
   */
  | { readonly kind: 'hello'; readonly nonce: string; readonly needsKey: boolean; readonly canControl: boolean }
  /** The whole view: first, and when nothing less will do. */
  | { readonly kind: 'view'; readonly view: RunView }
  | { readonly kind: 'update'; readonly update: ViewUpdate }
  | { readonly kind: 'confusion'; readonly epoch: number; readonly confusion: Confusion | null }
  /** PNGs as data URLs, by their index in what the run evaluates; null where the data is not at hand. */
  | { readonly kind: 'images'; readonly images: readonly { readonly index: number; readonly url: string | null }[] }
  /** What came of a control, in words; `ok: false` where it was refused. */
  | { readonly kind: 'controlled'; readonly control: Control; readonly ok: boolean; readonly text: string }
  | { readonly kind: 'refused'; readonly reason: 'key' | 'full' | 'message'; readonly text: string };

export type FromPage =
  /** `proof`: HMAC-SHA256 of `view <nonce>` with the view key; absent where none is asked for. */
  | { readonly kind: 'look'; readonly proof?: string }
  | { readonly kind: 'confusion'; readonly epoch: number }
  /** At most `MOST_IMAGES` indices. */
  | { readonly kind: 'images'; readonly indices: readonly number[] }
  /**
   * `proof`: HMAC-SHA256 of `<control> <nonce> <count>` with the run's token. `count` is 1 in the first such message of the
   * connection and grows by one in each.
   */
  | { readonly kind: 'control'; readonly control: Control; readonly count: number; readonly proof: string };

export const MOST_IMAGES = 60;
