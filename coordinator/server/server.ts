/** The coordinator's one port: HTTP, and the WebSockets of workers. The only file on this side that knows `ws`. */
import { createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, ServerOptions as HttpOptions, ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { WebSocketServer } from 'ws';
import { ConfigError } from '../../protocol/errors.ts';
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
import { isOwnOrigin } from './origin.ts';
import type { OwnAddress } from './origin.ts';

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
  /** On which it listens. */
  readonly port: number;
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

export interface ServerOptions {
  /** By their paths, such as "/metrics". Default: none. */
  readonly pages?: ReadonlyMap<string, Page>;
  /** Told of connections that the server itself ends. */
  readonly onRefused?: (reason: ServerRefusal) => void;
  /** Default: plain HTTP and WebSockets. */
  readonly tls?: ServerTls | undefined;
  /** By what workers reach the server, where its user knows better. */
  readonly advertised?: AdvertisedAddress | undefined;
  /** How many connections of the run's own workers may come on top of the limits on those that are not members yet. */
  readonly numWorkers?: number;
  /** Default: those of `LIMITS`. */
  readonly limits?: Partial<PendingLimits & { readonly handshakeMs: number }>;
}

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
  { tls, advertised, numWorkers = 0, limits = {}, pages = new Map(), onRefused }: ServerOptions = {},
): Promise<Server> {
  const http = createServer(tls, limits.handshakeMs ?? LIMITS.handshakeMs, (request, response) => {
    const page = pages.get(request.url?.split('?')[0] ?? '');
    if (page) page(request, response, own());
    else answer(request, response, health);
  });
  const own = () => ({ listenHost: host, port: (http.address() as AddressInfo).port, advertised });
  const connectionLimits = createConnectionLimits({
    maxPending: (limits.maxPending ?? LIMITS.maxPending) + numWorkers,
    maxPendingPerAddress: (limits.maxPendingPerAddress ?? LIMITS.maxPendingPerAddress) + numWorkers,
  });
  http.on('connection', (socket: Socket) => {
    if (!connectionLimits.enter(socket)) onRefused?.('connection_limit');
  });
  const sockets = new WebSocketServer({
    server: http,
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE_BYTES,
    verifyClient: ({ req }, decide) => {
      const isOwn = isOwnOrigin(req.headers.origin, own());
      if (!isOwn) onRefused?.('origin');
      decide(isOwn, 403, 'another Origin');
    },
  });
  sockets.on('connection', (socket, request) => {
    request.socket.setNoDelay(true);
    const { remoteAddress, remotePort, localAddress } = request.socket;
    const transport = socketTransport(socket, request.socket, hostAndPort(remoteAddress ?? 'unknown', remotePort ?? 0));
    let isOver = false;
    void transport.closed.then(() => (isOver = true));
    const handled = onConnection(transport, remoteAddress !== undefined && remoteAddress === localAddress);
    void Promise.resolve(handled).then(() => {
      if (!isOver) connectionLimits.admit({ remoteAddress, remotePort });
    });
  });
  await new Promise<void>((resolve, reject) => {
    // The WebSocket server re-emits the HTTP server's errors; without a listener of its own they would end the process.
    sockets.on('error', (error: NodeJS.ErrnoException) => {
      reject(new ConfigError(`--listen ${hostAndPort(host, port)}: ${listenProblem(error)}`));
    });
    http.listen(port, host, resolve);
  });
  const { port: ownPort } = http.address() as AddressInfo;
  const hosts = advertised ? [advertised.host] : reachableHosts(host);
  const joinUrls = hosts.map((name) => {
    return `${tls ? 'wss' : 'ws'}://${hostAndPort(name, advertised?.port ?? ownPort)}`;
  }) as [string, ...string[]];
  return {
    joinUrl: joinUrls[0],
    joinUrls,
    port: ownPort,
    close: () =>
      new Promise((resolve) => {
        const cut = setTimeout(() => {
          for (const socket of sockets.clients) socket.terminate();
          http.closeAllConnections();
        }, LIMITS.closeMs);
        sockets.close();
        http.close(() => {
          clearTimeout(cut);
          resolve();
        });
        http.closeIdleConnections();
      }),
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
