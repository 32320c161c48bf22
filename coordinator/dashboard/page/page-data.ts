/** What a page is given with its HTML: which kind of page it is, and where its data comes from. */
import type { Confusion } from '../../reporting/confusion.ts';
import type { RunView } from '../run-view.ts';
import type { Comparison } from '../runs-messages.ts';

/** A page that shows a run over a WebSocket, as it goes. */
export interface LivePageData {
  readonly mode: 'live';
  /** Address of the list of runs, relative to the page. Default: there is none. */
  readonly home?: string;
  /** Address of the WebSocket, relative to the page. Default: "live". */
  readonly socket?: string;
}

/** A page over a folder of runs: their list, or some of them side by side. */
export interface RunsPageData {
  readonly mode: 'runs' | 'compare';
}

/** A report: it has all that it shows. */
export type ReportPageData =
  | {
      readonly mode: 'report';
      readonly view: RunView;
      readonly confusion: Confusion | null;
      /** Data URLs by the index of the sample; null where its image is not at hand. */
      readonly images: readonly (readonly [index: number, url: string | null])[];
    }
  | { readonly mode: 'comparison'; readonly comparison: Comparison };

/** The id of the element that holds the page's data as JSON, and of the one that the page is drawn in. */
export const DATA_ELEMENT = 'gradsock-data';
export const ROOT_ELEMENT = 'root';
