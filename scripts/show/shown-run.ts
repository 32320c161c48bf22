/** A run whose page is open: its folder is looked at once a second, as long as anybody looks. */
import type { Confusion } from '../../coordinator/reporting/confusion.ts';
import { openFolderView } from '../../coordinator/dashboard/view-of-folder.ts';
import { createViewers } from '../../coordinator/dashboard/viewers.ts';
import { readConfusion } from '../../coordinator/run-directory/confusion-files.ts';
import type { PageSocket } from '../../coordinator/server/page-socket.ts';
import type { ViewRule } from '../../coordinator/server/view-access.ts';
import type { RunImages } from './run-images.ts';

export interface ShownRun {
  /** Takes a page's connection; settles once it may look. */
  take(socket: PageSocket): Promise<void>;
  close(): void;
}

export interface ShownRunOptions {
  readonly path: string;
  readonly rule: ViewRule;
  readonly images: RunImages;
  /** Time between looks at the folder. */
  readonly everyMs: number;
  /** Called when the last page is gone. */
  readonly onIdle: () => void;
}

export async function showRun({ path, rule, images, everyMs, onIdle }: ShownRunOptions): Promise<ShownRun> {
  const folder = openFolderView(path);
  let view = await folder.refresh();
  let timer: NodeJS.Timeout | undefined;
  let numPages = 0;
  let isOpen = true;
  const follow = async () => {
    view = await folder.refresh().catch(() => view);
    // The next look follows the end of this one: a slow disk is not asked twice at once.
    if (isOpen && numPages > 0) timer = setTimeout(() => void follow(), everyMs);
  };
  const viewers = createViewers({
    rule,
    run: {
      view: () => view,
      confusion: (epoch) => Promise.resolve(confusionOf(path, epoch)),
      async images(indices) {
        const { config } = view.head;
        const imageOf = config && (await images.of(config));
        return indices.map((index) => ({ index, url: imageOf?.(index) ?? null }));
      },
    },
  });
  return {
    take(socket) {
      numPages++;
      if (numPages === 1) timer = setTimeout(() => void follow(), everyMs);
      void socket.closed.then(() => {
        if (--numPages > 0) return;
        clearTimeout(timer);
        onIdle();
      });
      return viewers.take(socket);
    },
    close() {
      isOpen = false;
      clearTimeout(timer);
      viewers.close();
    },
  };
}

/** null also where the file is damaged: the page says that there is none. */
function confusionOf(path: string, epoch: number): Confusion | null {
  try {
    return readConfusion(path, epoch) ?? null;
  } catch {
    return null;
  }
}
