/** Links: a worker's two connections in a ring, to its successor and from its predecessor. */
import { ProtocolError } from '../../protocol/errors.ts';
import type { Transport } from '../../protocol/wire/transport.ts';

export interface Neighbour {
  readonly role: 'successor' | 'predecessor';
  /** For messages to people. */
  readonly name: string;
  readonly transport: Transport;
}

/** The link to a neighbour broke, or carried what must not come. */
export class PeerLost extends ProtocolError {
  readonly role: Neighbour['role'];

  constructor({ role, name }: Neighbour, cause: ProtocolError) {
    const message = `the link to ${name}, its ${role} in the ring, failed: ${cause.message} (${cause.code})`;
    super('ERR_PEER_LOST', message, { cause });
    this.role = role;
  }
}

export interface RingLinks {
  readonly rank: number;
  readonly size: number;
  readonly successor: Neighbour;
  readonly predecessor: Neighbour;
  /** Whether they were ended on this side. */
  areClosed(): boolean;
  /** Runs what uses a link; a `ProtocolError` becomes `PeerLost`. */
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
  let areClosed = false;
  return {
    rank,
    size,
    successor,
    predecessor,
    areClosed: () => areClosed,
    async blaming(neighbour, action) {
      try {
        return await action();
      } catch (error) {
        throw error instanceof ProtocolError ? new PeerLost(neighbour, error) : error;
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
      areClosed = true;
      successor.transport.close();
      predecessor.transport.close();
    },
  };
}
