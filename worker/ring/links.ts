/** Links: a worker's two connections in a ring, to its successor and from its predecessor. */
import { ProtocolError } from '../../protocol/errors.ts';
import type { Transport } from '../../protocol/wire/transport.ts';

export interface Neighbour {
  readonly role: 'successor' | 'predecessor';
  /** For messages to people. */
  readonly name: string;
  readonly transport: Transport;
}

export interface RingLinks {
  readonly rank: number;
  readonly size: number;
  readonly successor: Neighbour;
  readonly predecessor: Neighbour;
  /** Runs what uses a link; a `ProtocolError` becomes ERR_PEER_LOST that names the neighbour. */
  blaming<T>(neighbour: Neighbour, action: () => T | Promise<T>): Promise<T>;
  /** Bytes of frames since the last call. */
  takeBytes(): { bytesSent: number; bytesReceived: number };
  /** Ends both; what waits for a piece is rejected. */
  close(): void;
}

interface Place {
  readonly rank: number;
  readonly size: number;
}

export function createLinks({ rank, size }: Place, successor: Neighbour, predecessor: Neighbour): RingLinks {
  let taken = { bytesSent: 0, bytesReceived: 0 };
  return {
    rank,
    size,
    successor,
    predecessor,
    async blaming({ role, name }, action) {
      try {
        return await action();
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        const message = `the link to ${name}, its ${role} in the ring, failed: ${error.message} (${error.code})`;
        throw new ProtocolError('ERR_PEER_LOST', message, { cause: error });
      }
    },
    takeBytes() {
      const [ahead, behind] = [successor.transport, predecessor.transport];
      const total = {
        bytesSent: ahead.bytesSent + behind.bytesSent,
        bytesReceived: ahead.bytesReceived + behind.bytesReceived,
      };
      const since = {
        bytesSent: total.bytesSent - taken.bytesSent,
        bytesReceived: total.bytesReceived - taken.bytesReceived,
      };
      taken = total;
      return since;
    },
    close() {
      successor.transport.close();
      predecessor.transport.close();
    },
  };
}
