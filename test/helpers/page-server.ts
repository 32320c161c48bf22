/** A server of the page for tests: one HTML file, and a WebSocket that speaks the page's messages as a coordinator does. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { encode } from 'fast-png';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import { contentSecurityPolicy, pageHtml } from '../../coordinator/dashboard/html.ts';
import type { FromPage, FromServer } from '../../coordinator/dashboard/page-messages.ts';
import type { Confusion } from '../../coordinator/reporting/confusion.ts';
import type { RunView, ViewUpdate } from '../../coordinator/dashboard/run-view.ts';

export interface PageServer {
  readonly port: number;
  readonly url: string;
  /** What pages have said, the last at the end. */
  readonly heard: readonly FromPage[];
  /** Resolves with the first such message, past or future. */
  message<Kind extends FromPage['kind']>(kind: Kind): Promise<Extract<FromPage, { kind: Kind }>>;
  /** To all pages. */
  send(message: FromServer): void;
  update(update: ViewUpdate): void;
  close(): Promise<void>;
}

export interface PageServerOptions {
  readonly view: RunView;
  readonly confusion?: (epoch: number) => Confusion | null;
  /** Default: 0, any free one. */
  readonly port?: number;
  readonly canControl?: boolean;
  /** Whether a `look` shows that its sender knows the view key; absent where none is asked for. */
  readonly acceptsProof?: (proof: string | undefined, nonce: string) => boolean;
}

/** The same in every connection, so that tests can compute proofs. */
export const NONCE = 'ab'.repeat(32);

export async function startPageServer(options: PageServerOptions): Promise<PageServer> {
  const { view, confusion = () => null, port = 0, canControl = true, acceptsProof } = options;
  const heard: FromPage[] = [];
  const listeners = new Set<() => void>();
  const http = createServer((request, response) => {
    response.writeHead(request.url === '/' ? 200 : 404, {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': contentSecurityPolicy(),
    });
    response.end(request.url === '/' ? pageHtml({ title: view.head.name, data: { mode: 'live' } }) : '');
  });
  const sockets = new WebSocketServer({ server: http, path: '/live' });
  sockets.on('connection', (socket) => {
    const send = (message: FromServer) => socket.send(JSON.stringify(message));
    send({ kind: 'hello', nonce: NONCE, needsKey: acceptsProof !== undefined, canControl });
    socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as FromPage;
      heard.push(message);
      for (const listener of listeners) listener();
      answer(message, send, socket);
    });
  });

  const answer = (message: FromPage, send: (message: FromServer) => void, socket: WebSocket) => {
    if (message.kind === 'look') {
      if (!acceptsProof || acceptsProof(message.proof, NONCE)) {
        send({ kind: 'view', view });
        return;
      }
      send({ kind: 'refused', reason: 'key', text: 'This is not the view key of the run.' });
      socket.close();
    } else if (message.kind === 'confusion') {
      send({ kind: 'confusion', epoch: message.epoch, confusion: confusion(message.epoch) });
    } else if (message.kind === 'images') {
      send({ kind: 'images', images: message.indices.map((index) => ({ index, url: imageOf(index) })) });
    } else {
      send({ kind: 'controlled', control: message.control, ok: true, text: `The run will ${message.control}.` });
    }
  };

  await new Promise<void>((resolve) => http.listen(port, '127.0.0.1', resolve));
  const bound = (http.address() as AddressInfo).port;
  const send = (message: FromServer) => {
    for (const socket of sockets.clients) socket.send(JSON.stringify(message));
  };
  return {
    port: bound,
    url: `http://127.0.0.1:${bound}/`,
    heard,
    message(kind) {
      return new Promise((resolve) => {
        const look = () => {
          const found = heard.find((one) => one.kind === kind);
          if (!found) return;
          listeners.delete(look);
          resolve(found as Extract<FromPage, { kind: typeof kind }>);
        };
        listeners.add(look);
        look();
      });
    },
    send,
    update: (update) => send({ kind: 'update', update }),
    async close() {
      for (const socket of sockets.clients) socket.terminate();
      sockets.close();
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

/** A garment of sorts, 28 x 28 pixels; null for every 25th, whose data is not at hand. */
function imageOf(index: number): string | null {
  if (index % 25 === 24) return null;
  const data = Uint8Array.from({ length: 784 }, (_, i) => {
    const [x, y] = [(i % 28) - 13.5, Math.floor(i / 28) - 13.5];
    const width = 6 + (index % 5) + (y < -4 ? 5 : 0);
    return Math.abs(x) < width && Math.abs(y) < 11 ? 90 + ((index * 31 + Math.round(x * y)) % 150) : 0;
  });
  return `data:image/png;base64,${Buffer.from(encode({ width: 28, height: 28, data, channels: 1 })).toString('base64')}`;
}
