/** When a terminal's live block is drawn: when there is news, not too often, when the window changes, and below all lines. */
import { columnsOf, createLiveLines } from './text.ts';

/** Redrawing more often than this costs time and shows no more. */
const REDRAW_MS = 100;
/** Where there is no news for long, the block is redrawn this often all the same: it tells of time. */
const TICK_MS = 1000;
/** A terminal that does not tell its height is taken for the usual one. */
const USUAL_ROWS = 24;

export interface LiveDisplay {
  /** There is something to show; from here on it is shown. */
  draw(): void;
  /** Whether news should be drawn now. */
  readonly isDue: boolean;
  /** Has `write` write lines that stay, above the block. It is drawn again when all lines of the moment are written. */
  above(write: () => void): void;
  /** Takes the block away, for good. */
  close(): void;
}

/**
 * `view`: the block, in lines of at most as many characters as it is told; about as many as go into the rows. Undefined where
 * lines cannot be drawn again.
 */
export function createLiveDisplay(
  stream: NodeJS.WriteStream,
  view: (columns: number, rows: number) => string,
): LiveDisplay | undefined {
  const lines = createLiveLines(stream);
  if (!lines) return undefined;
  let drawnMs = -Infinity;
  let isShown = false;
  let isAwaited = false;
  const draw = () => {
    [drawnMs, isShown] = [performance.now(), true];
    // The last column stays free: some terminals break a line that fills it.
    lines.draw(view(columnsOf(stream) - 1, stream.rows || USUAL_ROWS));
  };
  const redraw = () => {
    if (isShown) draw();
  };
  // It must not keep the process alive.
  const tick = setInterval(redraw, TICK_MS).unref();
  stream.on('resize', redraw);
  return {
    draw,
    get isDue() {
      return performance.now() - drawnMs >= REDRAW_MS;
    },
    above(write) {
      lines.clear();
      write();
      if (isAwaited) return;
      isAwaited = true;
      queueMicrotask(() => {
        isAwaited = false;
        redraw();
      });
    },
    close() {
      isShown = false;
      clearInterval(tick);
      stream.off('resize', redraw);
      lines.clear();
      lines.done();
    },
  };
}
