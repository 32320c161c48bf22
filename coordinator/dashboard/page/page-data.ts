/** What a page is given with its HTML: which kind of page it is, and where its data comes from. */

/** A page that shows a run over a WebSocket, as it goes. */
export interface LivePageData {
  readonly mode: 'live';
  /** Address of the WebSocket, relative to the page. Default: "live". */
  readonly socket?: string;
}

/** The id of the element that holds the page's data as JSON, and of the one that the page is drawn in. */
export const DATA_ELEMENT = 'gradsock-data';
export const ROOT_ELEMENT = 'root';
