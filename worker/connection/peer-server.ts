/** A worker's own port, where its predecessor in a ring connects. Beside `client.ts` the only file here that knows `ws`. */
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import { MAX_MESSAGE_BYTES } from '../../protocol/wire/frame.ts';
import { hostAndPort } from '../../protocol/wire/join-url.ts';
import { socketTransport } from '../../protocol/wire/socket-transport.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { connectToPeer } from './client.ts';
import type { PeerListener, PeerSockets } from '../ring/set-up.ts';

/** Connections between workers, listening on `address`: the one by which this machine reaches the coordinator. */
export function peerSockets(address: string): PeerSockets {
  // How a socket that listens for both families shows an IPv4 address.
  const host = address.replace(/^::ffff:(?=\d+\.)/, '');
  return { listen: (onConnection) => listenForPeers(host, onConnection), connect: connectToPeer };
}

/** Listens on any free port; every WebSocket becomes a transport. Rejects when the address cannot be listened on. */
async function listenForPeers(host: string, onConnection: (transport: Transport) => void): Promise<PeerListener> {
  const server = new WebSocketServer({ host, port: 0, perMessageDeflate: false, maxPayload: MAX_MESSAGE_BYTES });
  server.on('connection', (socket, request) => {
    const { remoteAddress, remotePort } = request.socket;
    onConnection(socketTransport(socket, request.socket, hostAndPort(remoteAddress ?? 'unknown', remotePort ?? 0)));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('listening', resolve);
    server.once('error', reject);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `ws://${hostAndPort(host, port)}`,
    close: () => server.close(),
  };
}
