/** Connections between workers of one process, for rings without sockets. */
import { ProtocolError } from '../../protocol/errors.ts';
import { memoryTransportPair } from '../../protocol/wire/transport.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import type { PeerSockets } from '../../worker/ring/set-up.ts';

/** Workers that share it reach each other. */
export function createMemoryPeers(): PeerSockets {
  const listeners = new Map<string, (connection: Transport) => void>();
  let numListeners = 0;
  return {
    listen(onConnection) {
      const url = `ws://memory:${++numListeners}`;
      listeners.set(url, onConnection);
      return Promise.resolve({ url, close: () => void listeners.delete(url) });
    },
    connect(url) {
      const onConnection = listeners.get(url);
      if (!onConnection) return Promise.reject(new ProtocolError('ERR_CLOSED', `${url} does not answer`));
      const [ahead, behind] = memoryTransportPair(['its successor', 'its predecessor']);
      onConnection(behind);
      return Promise.resolve(ahead);
    },
  };
}
