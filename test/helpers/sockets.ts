/** A real server on a free port of loopback, and the transports of those who connect to it. */
import { startServer } from '../../coordinator/server/server.ts';
import type { Server } from '../../coordinator/server/server.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { connectToCoordinator } from '../../worker/connection/client.ts';

export const never = () => new AbortController().signal;

export async function startTestServer(onConnection: (transport: Transport) => unknown): Promise<Server> {
  return startServer({ host: '127.0.0.1', port: 0 }, () => ({ status: 'test' }), onConnection);
}

/** Both ends of one WebSocket connection. */
export async function connectedPair(): Promise<{ ends: [Transport, Transport]; free: () => Promise<void> }> {
  let accept!: (transport: Transport) => void;
  const accepted = new Promise<Transport>((resolve) => (accept = resolve));
  const server = await startTestServer(accept);
  const worker = await connectToCoordinator(server.joinUrl, never());
  return { ends: [await accepted, worker], free: () => server.close() };
}
