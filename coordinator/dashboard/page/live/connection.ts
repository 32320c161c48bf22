/**
 * The page's connection to its server. It connects again when it is lost, ever more slowly, until the page is closed, and
 * tells its state; what messages mean is not its concern beyond the greeting.
 */
import type { FromPage, FromServer } from '../../page-messages.ts';
import { viewProof } from './proofs.ts';

export type ConnectionState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'open' }
  /** Until `retryAt`, in milliseconds since 1970. `refusal`: why the server would not have the page, in its words. */
  | { readonly kind: 'waiting'; readonly retryAt: number; readonly refusal?: string }
  /** A key is needed before anything else. `refusal`: why the last one would not do. */
  | { readonly kind: 'needs-key'; readonly refusal?: string };

/** What a server of any of the pages greets with, and refuses by. */
type Greeting = Extract<FromServer, { kind: 'hello' | 'refused' }>;
type Look = Extract<FromPage, { kind: 'look' }>;

export interface ConnectionOptions<In> {
  readonly url: string;
  /** The view key, if known: asked before every attempt. */
  readonly viewKey: () => string | undefined;
  /** Whether the run has ended: a server that is gone then is no surprise, and is seldom asked for. */
  readonly hasEnded: () => boolean;
  readonly onState: (state: ConnectionState) => void;
  readonly onMessage: (message: In) => void;
}

export interface Connection<Out> {
  /** Does nothing while there is no connection: the page asks again for what it wants when there is one. */
  send(message: Out): void;
  /** Connects now, if there is no connection. */
  retry(): void;
}

const FIRST_DELAY_MS = 500;
const MOST_DELAY_MS = 10_000;
const DELAY_AFTER_END_MS = 30_000;
/** From the attempt to the view: a server that accepts and stays silent is given up. */
const GREETING_MS = 10_000;
/** Once there is a view, the server says something every 5 s. After this long a connection without a word is given up. */
const SILENCE_MS = 20_000;

/** The pause before the next attempt, doubled with each failure. `random`: 0 to 1; pages do not all come back at once. */
export function retryDelayMs(numFailures: number, hasEnded: boolean, random: number): number {
  if (hasEnded) return DELAY_AFTER_END_MS * (0.9 + 0.2 * random);
  const delay = Math.min(MOST_DELAY_MS, FIRST_DELAY_MS * 2 ** (numFailures - 1));
  return Math.max(FIRST_DELAY_MS, delay * (0.75 + 0.25 * random));
}

/** `In`: what the server sends, `Out`: what the page sends besides its look. Default: of a page of one run. */
export function connect<In extends { readonly kind: string } = FromServer, Out extends object = FromPage>({
  url,
  viewKey,
  hasEnded,
  onState,
  onMessage,
}: ConnectionOptions<In>): Connection<Out> {
  let socket: WebSocket | undefined;
  let timer: number | undefined;
  let numFailures = 0;
  /** Whether the server has sent more than its greeting. */
  let isOpen = false;
  let refused: Extract<FromServer, { kind: 'refused' }> | undefined;

  const start = () => {
    window.clearTimeout(timer);
    refused = undefined;
    isOpen = false;
    onState({ kind: 'connecting' });
    const opened = new WebSocket(url);
    socket = opened;
    timer = window.setTimeout(() => lose(opened), GREETING_MS);
    opened.addEventListener('message', ({ data }) => {
      const message = parse(data) as In | Greeting | undefined;
      if (opened === socket && message) take(opened, message);
    });
    opened.addEventListener('close', () => lose(opened));
  };

  const take = (from: WebSocket, message: In | Greeting) => {
    if (isGreeting(message, 'hello')) {
      const key = viewKey();
      if (message.needsKey && key === undefined) {
        refused = { kind: 'refused', reason: 'key', text: '' };
        lose(from);
        return;
      }
      const proof = message.needsKey && key !== undefined ? viewProof(key, message.nonce) : undefined;
      from.send(JSON.stringify({ kind: 'look', ...(proof !== undefined && { proof }) } satisfies Look));
    } else if (isGreeting(message, 'refused')) {
      refused = message;
    } else if (!isOpen) {
      numFailures = 0;
      isOpen = true;
      onState({ kind: 'open' });
    }
    if (isOpen) {
      window.clearTimeout(timer);
      timer = window.setTimeout(() => lose(from), SILENCE_MS);
    }
    onMessage(message as In);
  };

  const lose = (lost: WebSocket) => {
    if (lost !== socket) return;
    socket = undefined;
    window.clearTimeout(timer);
    lost.close();
    if (refused?.reason === 'key') {
      onState({ kind: 'needs-key', ...(refused.text !== '' && { refusal: refused.text }) });
      return;
    }
    numFailures += 1;
    const delay = refused ? MOST_DELAY_MS : retryDelayMs(numFailures, hasEnded(), Math.random());
    onState({ kind: 'waiting', retryAt: Date.now() + delay, ...(refused && { refusal: refused.text }) });
    timer = window.setTimeout(start, delay);
  };

  start();
  return {
    send(message) {
      if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
    },
    retry() {
      if (!socket) start();
    },
  };
}

/** Pages have different messages, and the same greetings. */
function isGreeting<K extends Greeting['kind']>(
  message: { readonly kind: string },
  kind: K,
): message is Extract<Greeting, { kind: K }> {
  return message.kind === kind;
}

/** Undefined for what is no message. */
function parse(data: unknown): { readonly kind: string } | undefined {
  try {
    const message: unknown = JSON.parse(String(data));
    return typeof message === 'object' && message !== null && 'kind' in message
      ? (message as { kind: string })
      : undefined;
  } catch {
    return undefined;
  }
}
