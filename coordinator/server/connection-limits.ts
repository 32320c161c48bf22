/** Connection limits: how many connections may be open that are not members of the run. Only those are remembered. */
import type { Socket } from 'node:net';

export interface PendingLimits {
  /** In all. */
  readonly maxPending: number;
  readonly maxPendingPerAddress: number;
}

export interface ConnectionLimits {
  /** Counts a connection until it ends or is a member's; destroys it at once when it is one too many; returns whether not. */
  enter(socket: Socket): boolean;
  /** The connection is a member's: it is counted no more. The socket may be the one above it, with TLS. */
  admit(socket: Pick<Socket, 'remoteAddress' | 'remotePort'>): void;
}

export function createConnectionLimits({ maxPending, maxPendingPerAddress }: PendingLimits): ConnectionLimits {
  const addressOf = new Map<string, string>();
  const numFrom = new Map<string, number>();

  const leave = (key: string) => {
    const address = addressOf.get(key);
    if (address === undefined) return;
    addressOf.delete(key);
    const left = numFrom.get(address)! - 1;
    if (left > 0) numFrom.set(address, left);
    else numFrom.delete(address);
  };

  return {
    enter(socket) {
      const { remoteAddress: address } = socket;
      const numOfAddress = address === undefined ? Infinity : (numFrom.get(address) ?? 0);
      if (address === undefined || numOfAddress >= maxPendingPerAddress || addressOf.size >= maxPending) {
        socket.destroy();
        return false;
      }
      const key = keyOf(socket);
      addressOf.set(key, address);
      numFrom.set(address, numOfAddress + 1);
      socket.once('close', () => leave(key));
      return true;
    },
    admit: (socket) => leave(keyOf(socket)),
  };
}

/** One connection's own as long as it is open. */
function keyOf({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  return `${remoteAddress} ${remotePort}`;
}
