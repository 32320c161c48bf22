/**
 * A relay for TCP that holds back what passes: the delay of an emulated link, where the kernel has none (netem).
 *
 * It takes connections, opens one to the target for each, and passes bytes on in both directions, in order, each at the
 * time of its arrival plus the direction's delay. The rate is not its business: it reads ahead as far as `maxHeldBytes`,
 * which must exceed delay times rate so that the delay costs no rate. What it leaves out: TCP's own view of the delay,
 * for each of the two connections acknowledges at once; so windows and slow start act as on a link without delay.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

export interface RelayOptions {
  /** Where it listens. */
  readonly address: string;
  readonly target: { readonly host: string; readonly port: number };
  /** Towards the target, and back. */
  readonly delaysMs: { readonly out: number; readonly back: number };
  /** In each direction of a connection. */
  readonly maxHeldBytes: number;
}

export interface Relay {
  readonly port: number;
  /** Cuts all connections and stops listening. */
  close(): Promise<void>;
}

export async function startRelay({ address, target, delaysMs, maxHeldBytes }: RelayOptions): Promise<Relay> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (near) => {
    const far = connect({ ...target, noDelay: true, allowHalfOpen: true });
    const both = [near, far];
    for (const socket of both) {
      sockets.add(socket);
      socket.on('close', () => {
        sockets.delete(socket);
        // Gone without a farewell: so is the other end.
        if (!socket.readableEnded) for (const other of both) other.resetAndDestroy();
      });
      // The close that follows says it.
      socket.on('error', () => {});
    }
    passOn(near, far, delaysMs.out, maxHeldBytes);
    passOn(far, near, delaysMs.back, maxHeldBytes);
  });
  server.listen(0, address);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Writes to `to` what `from` reads, `delayMs` later, and so its end. */
function passOn(from: Socket, to: Socket, delayMs: number, maxHeldBytes: number): void {
  const held: { dueMs: number; bytes: Buffer | undefined }[] = [];
  let heldBytes = 0;
  let timer: NodeJS.Timeout | undefined;

  const hold = (bytes: Buffer | undefined) => {
    held.push({ dueMs: performance.now() + delayMs, bytes });
    heldBytes += bytes?.length ?? 0;
    balance();
    if (!timer) release();
  };

  /** Passes on what is due, and comes back when the next is. Timers may be early by a fraction of their millisecond. */
  const release = () => {
    timer = undefined;
    const nowMs = performance.now();
    to.cork();
    while (held.length > 0 && held[0]!.dueMs <= nowMs) {
      const { bytes } = held.shift()!;
      if (bytes) {
        heldBytes -= bytes.length;
        to.write(bytes);
      } else {
        to.end();
      }
    }
    to.uncork();
    balance();
    if (held.length > 0) timer = setTimeout(release, Math.max(1, held[0]!.dueMs - nowMs));
  };

  /** Reads no further while too much waits here, for its time or for the next socket to take it. */
  const balance = () => {
    const isFull = heldBytes + to.writableLength > maxHeldBytes;
    if (isFull && !from.isPaused()) from.pause();
    else if (!isFull && from.isPaused()) from.resume();
  };

  from.on('data', hold);
  from.on('end', () => hold(undefined));
  to.on('drain', balance);
  to.on('close', () => clearTimeout(timer));
}
