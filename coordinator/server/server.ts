/** The coordinator's one port: HTTP, and the WebSockets of workers. The only file on this side that knows `ws`. */
import { createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, ServerOptions as HttpOptions, ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import { ConfigError, describeError } from '../../protocol/errors.ts';
import { MAX_MESSAGE_BYTES } from '../../protocol/wire/frame.ts';
import { hostAndPort } from '../../protocol/wire/join-url.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import { socketTransport } from '../../protocol/wire/socket-transport.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { reachableHosts } from './addresses.ts';
import type { AdvertisedAddress } from './addresses.ts';
import { createConnectionLimits } from './connection-limits.ts';
import type { PendingLimits } from './connection-limits.ts';
import type { ServerRefusal } from '../reporting/reported-event.ts';
import { isOwnHost, isOwnOrigin } from './origin.ts';
import type { OwnAddress } from './origin.ts';
import type { PageSocket } from './page-socket.ts';
import type { PublicUrl } from './public-url.ts';

export interface ListenAddress {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
}

export interface Server {
  /** The URL by which workers join, without the token: "ws://127.0.0.1:7878". The likeliest of `joinUrls`. */
  readonly joinUrl: string;
  /** All by which workers may reach it, the likeliest first; the advertised one alone where there is one. */
  readonly joinUrls: readonly [string, ...string[]];
  /** The URL by which workers of this machine join. */
  readonly localUrl: string;
  /** On which it listens. */
  readonly port: number;
  /** Lets no more workers in and cuts those that are still connected; pages are served on. */
  closeToWorkers(): Promise<void>;
  /** Stops listening and cuts what is still connected. */
  close(): Promise<void>;
}

/** A certificate with its chain, and its key, both PEM. */
export interface ServerTls {
  readonly cert: string;
  readonly key: string;
}

/** Answers requests for one path, of any method. `own`: where the server is reached. */
export type Page = (request: IncomingMessage, response: ServerResponse, own: OwnAddress) => void;

/** Takes the WebSocket of a page. It counts as a stranger's until the promise is settled, as `startServer` has it. */
export type OnPageSocket = (socket: PageSocket) => Promise<void>;

export interface ServerOptions {
  /** By their paths, such as "/metrics". Default: none. */
  readonly pages?: { get(path: string): Page | undefined };
  /** WebSockets of pages, by their paths, such as "/live". Those of workers have all other paths. Default: none. */
  readonly pageSockets?: { get(path: string): OnPageSocket | undefined } | undefined;
  /** Told of connections that the server itself ends. */
  readonly onRefused?: (reason: ServerRefusal) => void;
  /** Default: plain HTTP and WebSockets. */
  readonly tls?: ServerTls | undefined;
  /** By what workers reach the server, where its user knows better. */
  readonly advertised?: AdvertisedAddress | undefined;
  /** By what people reach its pages, where that is another address. */
  readonly publicUrl?: PublicUrl | undefined;
  /** How many connections of the run's own workers may come on top of the limits on those that are not members yet. */
  readonly numWorkers?: number;
  /** Default: those of `LIMITS`. */
  readonly limits?: Partial<PendingLimits & { readonly handshakeMs: number }>;
}

const NONE = new Map<string, never>();

/** The loopback address for what listens on all addresses. */
const LOOPBACK_OF: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/** Whether only this machine can reach what listens there. */
export function isLoopback({ host }: ListenAddress): boolean {
  return host === '::1' || host === 'localhost' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Parses "HOST:PORT" ("[::1]:0" for IPv6). */
export function parseListenAddress(text: string): ListenAddress {
  const match = /^(?:\[(?<v6>[^\]]+)\]|(?<name>[^:]+)):(?<port>\d{1,5})$/.exec(text);
  const port = Number(match?.groups?.port);
  const host = match?.groups?.v6 ?? match?.groups?.name;
  if (host === '*') {
    throw new ConfigError(`--listen ${text}: expected an address, got *: use 0.0.0.0:${port} for all of this machine`);
  }
  if (host === undefined || port > 65535) {
    throw new ConfigError(`--listen ${text}: expected HOST:PORT, such as 127.0.0.1:7878 or 0.0.0.0:7878`);
  }
  return { host, port };
}

/**
 * Listens; every WebSocket becomes a transport, handed to `onConnection` with whether it comes from this machine. It
 * counts among those that are not members until a promise that `onConnection` returns is settled, and the transport open.
 * `GET /healthz` answers what `health` returns.
 *
 * Throws `ConfigError` when the address cannot be had.
 */
export async function startServer(
  { host, port }: ListenAddress,
  health: () => object,
  onConnection: (transport: Transport, isSameMachine: boolean) => unknown,
  {
    tls,
    advertised,
    publicUrl,
    numWorkers = 0,
    limits = {},
    pages = NONE,
    pageSockets = NONE,
    onRefused,
  }: ServerOptions = {},
): Promise<Server> {
  const http = createServer(tls, limits.handshakeMs ?? LIMITS.handshakeMs, (request, response) => {
    const page = pages.get(pathOf(request));
    if (page) answerWith(page, request, response, own());
    else answer(request, response, health);
  });
  const own = () => ({ listenHost: host, port: (http.address() as AddressInfo).port, advertised, publicUrl });
  const connectionLimits = createConnectionLimits({
    maxPending: (limits.maxPending ?? LIMITS.maxPending) + numWorkers,
    maxPendingPerAddress: (limits.maxPendingPerAddress ?? LIMITS.maxPendingPerAddress) + numWorkers,
  });
  http.on('connection', (socket: Socket) => {
    if (!connectionLimits.enter(socket)) onRefused?.('connection_limit');
  });
  const workers = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: MAX_MESSAGE_BYTES });
  const viewers = new WebSocketServer({ noServer: true, maxPayload: LIMITS.maxPageMessageBytes });
  const admitWhen = (socket: WebSocket, { remoteAddress, remotePort }: Socket, handled: unknown) => {
    let isOver = false;
    socket.once('close', () => (isOver = true));
    void Promise.resolve(handled).then(() => {
      if (!isOver) connectionLimits.admit({ remoteAddress, remotePort });
    });
  };
  const admitWorker = (socket: WebSocket, request: IncomingMessage) => {
    request.socket.setNoDelay(true);
    const { remoteAddress, remotePort, localAddress } = request.socket;
    const transport = socketTransport(socket, request.socket, hostAndPort(remoteAddress ?? 'unknown', remotePort ?? 0));
    const isSameMachine = remoteAddress !== undefined && remoteAddress === localAddress;
    admitWhen(socket, request.socket, onConnection(transport, isSameMachine));
  };
  http.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    const onPage = pageSockets.get(pathOf(request));
    const isOwn = isOwnOrigin(request.headers.origin, own()) && (!onPage || isOwnHost(request.headers.host, own()));
    if (!isOwn) {
      onRefused?.('origin');
      refuseUpgrade(stream);
      return;
    }
    if (!onPage) {
      workers.handleUpgrade(request, stream, head, admitWorker);
      return;
    }
    viewers.handleUpgrade(request, stream, head, (socket) => {
      admitWhen(socket, request.socket, onPage(pageSocketOf(socket)));
    });
  });
  await new Promise<void>((resolve, reject) => {
    http.on('error', (error: NodeJS.ErrnoException) => {
      reject(new ConfigError(`--listen ${hostAndPort(host, port)}: ${listenProblem(error)}`));
    });
    http.listen(port, host, resolve);
  });
  const { port: ownPort } = http.address() as AddressInfo;
  const hosts = advertised ? [advertised.host] : reachableHosts(host);
  const urlOf = (name: string, at: number) => `${tls ? 'wss' : 'ws'}://${hostAndPort(name, at)}`;
  const joinUrls = hosts.map((name) => urlOf(name, advertised?.port ?? ownPort)) as [string, ...string[]];
  return {
    joinUrl: joinUrls[0],
    joinUrls,
    localUrl: urlOf(LOOPBACK_OF[host] ?? host, ownPort),
    port: ownPort,
    closeToWorkers: () => closeSockets(workers),
    close: async () => {
      const closing = [closeSockets(workers), closeSockets(viewers)];
      const closed = new Promise<void>((resolve) => http.close(() => resolve()));
      http.closeIdleConnections();
      const cut = setTimeout(() => http.closeAllConnections(), LIMITS.closeMs);
      await Promise.all([...closing, closed]);
      clearTimeout(cut);
    },
  };
}

/** Accepts no more, and waits for those that are open, which are cut when they do not end in time. */
async function closeSockets(server: WebSocketServer): Promise<void> {
  const cut = setTimeout(() => server.clients.forEach((socket) => socket.terminate()), LIMITS.closeMs);
  await new Promise<void>((resolve) => server.close(() => resolve()));
  clearTimeout(cut);
}

/** An answer in HTTP to a request for a WebSocket. */
function refuseUpgrade(stream: Duplex): void {
  stream.once('error', () => {});
  stream.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
}

const pathOf = ({ url = '' }: IncomingMessage): string => url.split('?')[0]!;

function pageSocketOf(socket: WebSocket): PageSocket {
  // An error is followed by the end of the connection.
  socket.on('error', () => {});
  return {
    get queuedBytes() {
      return socket.bufferedAmount;
    },
    send: (text) => socket.send(text),
    onText: (listener) =>
      socket.on('message', (data: Buffer, isBinary) => listener(isBinary ? '' : data.toString('utf8'))),
    closed: new Promise((resolve) => socket.once('close', () => resolve())),
    close(reason) {
      socket.close(reason === 'refused' ? 1008 : 1001);
      setTimeout(() => socket.terminate(), LIMITS.closeMs).unref();
    },
  };
}

/** HTTP, or with a certificate HTTPS; a request whose headers are not there in time, or too long, is cut. */
function createServer(
  tls: ServerTls | undefined,
  handshakeMs: number,
  onRequest: (request: IncomingMessage, response: ServerResponse) => void,
) {
  const options: HttpOptions = {
    maxHeaderSize: LIMITS.maxUpgradeBytes,
    headersTimeout: handshakeMs,
    requestTimeout: handshakeMs,
    connectionsCheckingInterval: Math.min(1000, handshakeMs),
  };
  return tls
    ? createHttpsServer({ ...tls, ...options, handshakeTimeout: handshakeMs }, onRequest)
    : createHttpServer(options, onRequest);
}

/** A page that cannot be made is an answer with status 500, and no end of the run. */
function answerWith(page: Page, request: IncomingMessage, response: ServerResponse, own: OwnAddress): void {
  try {
    page(request, response, own);
  } catch (error) {
    if (!response.headersSent) response.writeHead(500, { 'content-type': 'application/json' });
    response.end(`${JSON.stringify({ error: describeError(error) })}\n`);
  }
}

function answer({ method, url }: IncomingMessage, response: ServerResponse, health: () => object): void {
  const found = method === 'GET' && url === '/healthz';
  response.writeHead(found ? 200 : 404, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(found ? health() : { error: 'not found: workers join by WebSocket' })}\n`);
}

function listenProblem({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'EADDRINUSE') return 'another program listens there: choose another port, or 0 for any free one';
  if (code === 'EADDRNOTAVAIL') return 'this machine has no such address: use one of its own, or 0.0.0.0 for all';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return 'no address is known for that name: use one of this machine, or 0.0.0.0 for all';
  }
  if (code === 'EACCES') return 'this user may not listen there: choose a port from 1024';
  return message;
}
