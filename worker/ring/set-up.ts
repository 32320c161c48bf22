/**
 * Ring set-up on a worker: it listens for its predecessor, connects to its successor, and tells the coordinator whether
 * both are there. Closing overtakes it at any moment: whatever it waits for ends then, and nothing is told any more.
 */
import { describeError, ProtocolError } from '../../protocol/errors.ts';
import type { MessageOf } from '../../protocol/wire/messages.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { createPeerAdmission } from './peer-admission.ts';
import type { PeerAdmission } from './peer-admission.ts';
import { createLinks } from './links.ts';
import type { RingLinks } from './links.ts';

/** Opens connections between workers. */
export interface PeerSockets {
  /** Listens on a free port of the address by which this machine reaches the coordinator. */
  listen(onConnection: (transport: Transport) => void): Promise<PeerListener>;
  /** Rejects when nobody answers within `LIMITS.peerConnectMs`. */
  connect(url: string): Promise<Transport>;
}

export interface PeerListener {
  readonly url: string;
  /** Stops listening and cuts what is still connected. */
  close(): void;
}

export interface RingSetUp {
  /** Answers ringPrepare. */
  prepare(message: MessageOf<'ringPrepare'>): Promise<void>;
  /** Answers ringConnect, where `onLinks` is handed the links before it is told that they are there. */
  connect(message: MessageOf<'ringConnect'>, onLinks: (links: RingLinks) => void): Promise<void>;
  /** Ends the listening and every connection; harmless when there are none. */
  close(): void;
}

/** `peers` is undefined where there is no way to other workers: in the coordinator's process. */
export function createRingSetUp(transport: Transport, peers: PeerSockets | undefined): RingSetUp {
  let listening: { token: string; admission: PeerAdmission; listener: PeerListener } | undefined;

  const close = () => {
    listening?.admission.close();
    listening?.listener.close();
    listening = undefined;
  };

  const unavailable = (because: MessageOf<'ringUnavailable'>['because'], error: unknown) =>
    transport.send({ kind: 'ringUnavailable', because, reason: describeError(error).slice(0, 2000) });

  /** Waits for a connection that is being opened, until admission ends; a connection that comes later is closed. */
  const whileOpen = (admission: PeerAdmission, connecting: Promise<Transport>): Promise<Transport> => {
    connecting.then(
      (opened) => {
        if (listening?.admission !== admission) opened.close();
      },
      () => {},
    );
    return Promise.race([connecting, admission.closed]);
  };

  return {
    close,
    async prepare({ token }) {
      close();
      try {
        if (!peers) throw new Error('it lives in a process without sockets');
        const admission = createPeerAdmission(token);
        const listener = await peers.listen((connection) => void admission.admit(connection));
        listening = { token, admission, listener };
      } catch (error) {
        unavailable('itself', error);
        return;
      }
      transport.send({ kind: 'ringListening', url: listening.listener.url });
    },
    async connect(message, onLinks) {
      if (!listening || !peers) {
        throw new ProtocolError('ERR_UNEXPECTED_MESSAGE', 'ringConnect without ringPrepare before it');
      }
      const { admission, token } = listening;
      const { rank, size } = message;
      const isOpen = () => listening?.admission === admission;
      const behind = admission.predecessor((rank + size - 1) % size);
      behind.catch(() => {});
      let ahead: Transport;
      try {
        ahead = await whileOpen(admission, peers.connect(message.successorUrl));
        ahead.send({ kind: 'peerHello', token, rank });
      } catch (error) {
        if (isOpen()) unavailable('successor', error);
        return;
      }
      try {
        const successor = { role: 'successor', name: message.successor, transport: ahead } as const;
        const predecessor = { role: 'predecessor', name: message.predecessor, transport: await behind } as const;
        if (!isOpen()) throw new ProtocolError('ERR_CLOSED', 'the ring was given up');
        onLinks(createLinks({ rank, size }, successor, predecessor));
      } catch (error) {
        ahead.close();
        if (isOpen()) unavailable('predecessor', error);
        return;
      }
      transport.send({ kind: 'ringReady', rank });
    },
  };
}
