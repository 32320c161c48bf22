/** The coordinator's one port: HTTP, and the WebSockets of workers. The only file on this side that knows `ws`. */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { WebSocketServer } from 'ws';
import { ConfigError } from '../protocol/errors.ts';
import { MAX_MESSAGE_BYTES } from '../protocol/wire/frame.ts';
import { LIMITS } from '../protocol/wire/limits.ts';
import { socketTransport } from '../protocol/wire/socket-transport.ts';
import type { Transport } from '../protocol/wire/transport.ts';

export interface ListenAddress {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
}

export interface Server {
  /** What workers join by: "ws://127.0.0.1:7878". */
  readonly joinUrl: string;
  /** Whether only this machine can reach it. */
  readonly isLoopback: boolean;
  /** Stops listening and cuts what is still connected. */
  close(): Promise<void>;
}

/** Parses "HOST:PORT" ("[::1]:0" for IPv6). */
export function parseListenAddress(text: string): ListenAddress {
  const match = /^(?:\[(?<v6>[^\]]+)\]|(?<name>[^:]+)):(?<port>\d{1,5})$/.exec(text);
  const port = Number(match?.groups?.port);
  const host = match?.groups?.v6 ?? match?.groups?.name;
  if (host === undefined || port > 65535) {
    throw new ConfigError(`--listen ${text}: expected HOST:PORT, such as 127.0.0.1:7878 or 0.0.0.0:7878`);
  }
  return { host, port };
}

/**
 * Listens; every WebSocket becomes a transport, handed to `onConnection` with whether it comes from this machine. `GET /healthz` answers what `health` returns.
 *
 * Throws `ConfigError` when the address cannot be had.
 */
export async function startServer(
  { host, port }: ListenAddress,
  health: () => object,
  onConnection: (transport: Transport, isSameMachine: boolean) => void,
): Promise<Server> {
  const http = createServer((request, response) => answer(request, response, health));
  const sockets = new WebSocketServer({ server: http, perMessageDeflate: false, maxPayload: MAX_MESSAGE_BYTES });
  sockets.on('connection', (socket, request) => {
    request.socket.setNoDelay(true);
    const { remoteAddress, remotePort, localAddress } = request.socket;
    const transport = socketTransport(socket, request.socket, `${remoteAddress ?? 'unknown'}:${remotePort ?? 0}`);
    onConnection(transport, remoteAddress !== undefined && remoteAddress === localAddress);
  });
  await new Promise<void>((resolve, reject) => {
    // The WebSocket server re-emits the HTTP server's errors; without a listener of its own they would end the process.
    sockets.on('error', (error: NodeJS.ErrnoException) => {
      reject(new ConfigError(`--listen ${host}:${port}: ${listenProblem(error)}`));
    });
    http.listen(port, host, resolve);
  });
  const address = http.address() as AddressInfo;
  return {
    joinUrl: `ws://${reachableHost(host)}:${address.port}`,
    isLoopback: ['127.0.0.1', '::1', 'localhost'].includes(host),
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

function answer({ method, url }: IncomingMessage, response: ServerResponse, health: () => object): void {
  const found = method === 'GET' && url === '/healthz';
  response.writeHead(found ? 200 : 404, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(found ? health() : { error: 'not found: workers join by WebSocket' })}\n`);
}

function listenProblem({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'EADDRINUSE') return 'another program listens there: choose another port, or 0 for any free one';
  if (code === 'EADDRNOTAVAIL') return 'this machine has no such address: use one of its own, or 0.0.0.0 for all';
  return message;
}

/** A name by which others reach an address that was listened on: for "all addresses", one of this machine's. */
function reachableHost(host: string): string {
  if (host !== '0.0.0.0' && host !== '::') return host.includes(':') ? `[${host}]` : host;
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.find(({ internal, family }) => !internal && family === 'IPv4')?.address ?? hostname();
}
