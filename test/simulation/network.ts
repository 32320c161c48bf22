/**
 * Network: connections between simulated processes, as transports whose messages take virtual time. Order is kept in each
 * direction, as TCP does. What a process says before it dies may still arrive.
 */
import { ProtocolError } from '../../protocol/errors.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import type { Message } from '../../protocol/wire/messages.ts';
import { createInbox, errorMessage } from '../../protocol/wire/transport.ts';
import type { Inbox, Transport } from '../../protocol/wire/transport.ts';
import { createRandom } from './random.ts';
import type { Random } from './random.ts';
import type { SimProcess, World } from './world.ts';

/** How a link behaves. */
export interface LinkProfile {
  /** From one end to the other, at least. */
  readonly latencyMs: number;
  /** The most that a message takes beyond that. */
  readonly jitterMs: number;
  /** Whether receivers read payloads where the sender has them, as in shared memory; else each is a copy. */
  readonly sharesMemory: boolean;
}

export interface Network {
  /** Connects two processes; the first end is `from`'s. */
  connect(from: SimProcess, to: SimProcess, link: LinkProfile): [Transport, Transport];
  /** Ends a process: its peers hear at once that their connections are closed, or with `silently` nothing. */
  kill(process: SimProcess, silently: boolean): void;
  /** Stops a process for some time, as SIGSTOP does. Peers give it up when that is too long. */
  stop(process: SimProcess, stopMs: number): void;
  /** Nothing passes any more between these two; neither is told. */
  cut(one: SimProcess, other: SimProcess): void;
  /** Called when a process is about to send; may end or stop it. */
  onSend?: (process: SimProcess, message: Message) => void;
}

interface End {
  readonly owner: SimProcess;
  readonly inbox: Inbox;
  readonly peerName: string;
  /** How long its peer may be silent. */
  silenceMs: number;
  /** When the last message to this end arrives. */
  lastArrivalMs: number;
}

interface Connection {
  readonly ends: readonly [End, End];
  isCut: boolean;
}

export function createNetwork(world: World, seed: number): Network {
  const connections = new Set<Connection>();
  let numConnections = 0;

  const silence = ({ peerName, silenceMs }: End) =>
    new ProtocolError('ERR_TIMEOUT', `${peerName} has not answered for ${silenceMs / 1000} s`);
  const closedBy = (peerName: string) => new ProtocolError('ERR_CLOSED', `the connection to ${peerName} was lost`);
  const of = (process: SimProcess) =>
    [...connections].filter(({ ends }) => ends.some(({ owner }) => owner === process));

  /** What the heartbeat of a socket does. */
  const endBySilence = (end: End) => {
    world.schedule(end.owner, end.silenceMs + LIMITS.pingIntervalMs, `silence of ${end.peerName}`, () =>
      end.inbox.end(silence(end)),
    );
  };

  const network: Network = {
    connect(from, to, link) {
      const random = createRandom(seed, `link ${numConnections++} ${from.name} ${to.name}`);
      const end = (owner: SimProcess, peer: SimProcess): End => {
        const peerName = `${peer.name}.simulated`;
        return { owner, inbox: createInbox(peerName), peerName, silenceMs: LIMITS.silenceMs, lastArrivalMs: 0 };
      };
      const ends = [end(from, to), end(to, from)] as const;
      const connection = { ends, isCut: false };
      connections.add(connection);
      const forget = () => {
        if (ends.every(({ inbox }) => inbox.isEnded)) connections.delete(connection);
      };
      const side = (own: End, other: End) =>
        transportOf({ world, network, own, other, connection, link, random, forget });
      return [side(ends[0], ends[1]), side(ends[1], ends[0])];
    },
    kill(process, silently) {
      world.kill(process);
      for (const connection of of(process)) {
        connections.delete(connection);
        const other = connection.ends.find(({ owner }) => owner !== process);
        if (!other || connection.isCut) continue;
        if (silently) {
          connection.isCut = true;
          endBySilence(other);
        } else {
          const label = `${process.name} is gone`;
          const delayMs = Math.max(other.lastArrivalMs, world.nowMs + 1) - world.nowMs;
          world.schedule(other.owner, delayMs, label, () => other.inbox.end(closedBy(other.peerName)));
        }
      }
    },
    stop(process, stopMs) {
      process.stoppedUntilMs = world.nowMs + stopMs;
      for (const connection of of(process)) {
        const [own, other] = connection.ends[0].owner === process ? connection.ends : [...connection.ends].reverse();
        if (connection.isCut || stopMs <= other.silenceMs) continue;
        connection.isCut = true;
        endBySilence(other);
        // What it finds when it goes on: the other end has closed long since.
        world.schedule(process, stopMs, 'closed meanwhile', () => own.inbox.end(closedBy(own.peerName)));
      }
    },
    cut(one, other) {
      for (const connection of of(one)) {
        if (connection.isCut || !connection.ends.some(({ owner }) => owner === other)) continue;
        connection.isCut = true;
        connection.ends.forEach(endBySilence);
      }
    },
  };
  return network;
}

interface Side {
  readonly world: World;
  readonly network: Network;
  readonly own: End;
  readonly other: End;
  readonly connection: Connection;
  readonly link: LinkProfile;
  readonly random: Random;
  readonly forget: () => void;
}

function transportOf({ world, network, own, other, connection, link, random, forget }: Side): Transport {
  const bytes = { sent: 0, received: 0 };
  const deliver = (label: string, arrive: () => void) => {
    if (connection.isCut) return;
    const timeMs = Math.max(other.lastArrivalMs, world.nowMs + link.latencyMs + random.float() * link.jitterMs);
    other.lastArrivalMs = timeMs;
    world.schedule(other.owner, timeMs - world.nowMs, label, arrive);
  };
  const end = (inbox: Inbox, error: ProtocolError) => {
    inbox.end(error);
    forget();
  };
  const isHere = () => !own.owner.isDead && own.owner.stoppedUntilMs <= world.nowMs;
  const tell = (message: Message) => {
    deliver(`${message.kind} from ${own.owner.name}`, () =>
      other.inbox.push(link.sharesMemory ? message : withOwnPayload(message)),
    );
  };

  return {
    peer: own.peerName,
    get bytesSent() {
      return bytes.sent;
    },
    get bytesReceived() {
      return bytes.received;
    },
    sharedBytesSent: 0,
    sharedBytesReceived: 0,
    sharesMemory: link.sharesMemory,
    send(message) {
      if (own.inbox.isEnded) throw new ProtocolError('ERR_CLOSED', `the connection to ${own.peerName} is closed`);
      network.onSend?.(own.owner, message);
      if (!isHere() && own.owner.isDead) return;
      if ('payload' in message) bytes.sent += message.payload.byteLength;
      tell(message);
    },
    receive: (timeoutMs, awaited) => own.inbox.receive(timeoutMs, awaited),
    interrupt: () => own.inbox.interrupt(),
    recycle(payload) {
      // Any reader after this reads nonsense.
      if (!link.sharesMemory) new Uint8Array(payload.buffer).fill(0xff);
    },
    shareMemory() {},
    measureRoundTrip: () => Promise.resolve(2 * link.latencyMs),
    limit({ maxSilenceMs }) {
      own.silenceMs = maxSilenceMs;
    },
    close(error) {
      if (!own.inbox.isEnded) {
        if (error) tell(errorMessage(error));
        deliver(`${own.owner.name} closes`, () =>
          end(other.inbox, new ProtocolError('ERR_CLOSED', 'the other end closed the connection')),
        );
      }
      end(own.inbox, error ?? new ProtocolError('ERR_CLOSED', `the connection to ${own.peerName} is closed`));
    },
    closed: own.inbox.ended,
  };
}

/** The message as it arrives over a wire: its payload lies in the receiver's own memory. */
function withOwnPayload(message: Message): Message {
  return 'payload' in message ? ({ ...message, payload: message.payload.slice() } as Message) : message;
}
