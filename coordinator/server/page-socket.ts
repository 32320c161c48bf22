/** PageSocket: the WebSocket of a page in a browser. Texts go both ways; nothing here waits. */
export interface PageSocket {
  /** Bytes of texts that the other end has not taken yet. */
  readonly queuedBytes: number;
  send(text: string): void;
  /** Called with each text that the page sends; with an empty one for bytes. */
  onText(listener: (text: string) => void): void;
  /** Resolves when the connection has ended. */
  readonly closed: Promise<void>;
  /** Ends the connection, within `LIMITS.closeMs`. */
  close(reason: 'refused' | 'over'): void;
}
