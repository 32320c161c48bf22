/** A worker's own port, where its predecessor in a ring connects. Beside `client.ts` the only file here that knows `ws`. */
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import { ConfigError } from '../../protocol/errors.ts';
import { MAX_MESSAGE_BYTES } from '../../protocol/wire/frame.ts';
import { hostAndPort } from '../../protocol/wire/join-url.ts';
import { socketTransport } from '../../protocol/wire/socket-transport.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { connectToPeer } from './client.ts';
import type { PeerListener, PeerSockets } from '../ring/set-up.ts';

/** The ports of a range, both ends among them. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/**
 * Connections between workers, listening on `address`: the one by which this machine reaches the coordinator.
 *
 * - `ports`: where to listen, on the first that is free. Default: on any free port
 */
export function peerSockets(address: string, ports?: PortRange): PeerSockets {
  // How a socket that listens for both families shows an IPv4 address.
  const host = address.replace(/^::ffff:(?=\d+\.)/, '');
  return { listen: (onConnection) => listenForPeers(host, ports, onConnection), connect: connectToPeer };
}

/** Every WebSocket becomes a transport. Rejects when the address cannot be listened on, or no port of the range is free. */
async function listenForPeers(
  host: string,
  ports: PortRange | undefined,
  onConnection: (transport: Transport) => void,
): Promise<PeerListener> {
  const server = await listenInRange(host, ports);
  server.on('connection', (socket, request) => {
    const { remoteAddress, remotePort } = request.socket;
    onConnection(socketTransport(socket, request.socket, hostAndPort(remoteAddress ?? 'unknown', remotePort ?? 0)));
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `ws://${hostAndPort(host, port)}`,
    close: () => server.close(),
  };
}

async function listenInRange(host: string, ports: PortRange | undefined): Promise<WebSocketServer> {
  if (!ports) return listen(host, 0);
  for (let port = ports.first; port <= ports.last; port++) {
    try {
      return await listen(host, port);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
  }
  const { first, last } = ports;
  const taken = last === first ? '1 port is' : `${last - first + 1} ports are all`;
  throw new ConfigError(`--peer-ports ${first}-${last}: ${taken} taken on ${host}: give a wider range, or free one`);
}

async function listen(host: string, port: number): Promise<WebSocketServer> {
  const server = new WebSocketServer({ host, port, perMessageDeflate: false, maxPayload: MAX_MESSAGE_BYTES });
  await new Promise<void>((resolve, reject) => {
    server.once('listening', resolve);
    server.once('error', reject);
  });
  return server;
}
