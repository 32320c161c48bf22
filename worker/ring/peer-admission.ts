/**
 * Peer admission: who is let in at a worker's own port. One connection is: the predecessor's, which shows the ring's token and its
 * rank in its first message. All others are closed with ERR_PEER_REFUSED.
 */
import { timingSafeEqual } from 'node:crypto';
import { ProtocolError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import { NO_PEER_LIMITS, STRANGER_LIMITS } from '../../protocol/wire/peer-limits.ts';
import { receiveKind } from '../../protocol/wire/transport.ts';
import type { Transport } from '../../protocol/wire/transport.ts';

export interface PeerAdmission {
  /** A connection has come: hears it, and lets it in or closes it. Never rejects. */
  admit(transport: Transport): Promise<void>;
  /**
   * The predecessor's connection, past or future. Rejects with ERR_TIMEOUT after `LIMITS.peerConnectMs`, saying whom it
   * refused last, if anyone; with ERR_CLOSED when it is closed.
   */
  predecessor(rank: number): Promise<Transport>;
  /** Rejects with ERR_CLOSED when it is closed. */
  readonly closed: Promise<never>;
  /** Ends every connection that has come, and will come. */
  close(): void;
}

export function createPeerAdmission(token: string): PeerAdmission {
  const connections = new Set<Transport>();
  let announceRank!: (rank: number) => void;
  const expectedRank = new Promise<number>((resolve) => (announceRank = resolve));
  let letIn!: (transport: Transport) => void;
  const admitted = new Promise<Transport>((resolve) => (letIn = resolve));
  let isTaken = false;
  let lastRefusal = '';
  let isClosed = false;
  let announceEnd!: (error: ProtocolError) => void;
  const closed = new Promise<never>((_, reject) => (announceEnd = reject));
  // Mostly nobody waits for it.
  closed.catch(() => {});

  const check = async (transport: Transport): Promise<void> => {
    transport.limit(STRANGER_LIMITS);
    const hello = await receiveKind(transport, LIMITS.peerConnectMs, 'peerHello');
    if (!isSame(hello.token, token)) throw refusal('its token is not the one of this ring');
    // Neighbours are told of their places at the same time: one may be here before this worker knows its own.
    const rank = await expectedRank;
    if (hello.rank !== rank) throw refusal(`rank ${hello.rank} was not expected here, but ${rank}`);
    if (isTaken) throw refusal(`rank ${rank} is connected already`);
    isTaken = true;
    transport.limit(NO_PEER_LIMITS);
    letIn(transport);
  };

  return {
    closed,
    async admit(transport) {
      if (isClosed) {
        transport.close();
        return;
      }
      connections.add(transport);
      void transport.closed.then(() => connections.delete(transport));
      try {
        await check(transport);
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        lastRefusal = `; ${transport.peer} was refused: ${error.message}`;
        transport.close(error);
      }
    },
    async predecessor(rank) {
      announceRank(rank);
      let timer: NodeJS.Timeout | undefined;
      const deadline = new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          const seconds = LIMITS.peerConnectMs / 1000;
          reject(new ProtocolError('ERR_TIMEOUT', `no connection from it within ${seconds} s${lastRefusal}`));
        }, LIMITS.peerConnectMs);
      });
      return Promise.race([admitted, deadline, closed]).finally(() => clearTimeout(timer));
    },
    close() {
      isClosed = true;
      announceEnd(new ProtocolError('ERR_CLOSED', 'the ring was given up'));
      for (const transport of connections) transport.close();
    },
  };
}

function refusal(why: string): ProtocolError {
  return new ProtocolError('ERR_PEER_REFUSED', `${why}: only the predecessor in the ring may connect`);
}

/** In a time that does not tell how much of it is right. */
function isSame(token: string, expected: string): boolean {
  const [a, b] = [Buffer.from(token), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
