/**
 * Transport: an ordered, reliable channel of messages between the coordinator and one worker.
 *
 * Two implementations: `memoryTransportPair` below, for a worker in the coordinator's own process, and the WebSocket
 * one in `socket-transport.ts`. Both pass `test/contracts/transport.contract.ts`.
 *
 * Ownership of payloads: `send` does not copy. The sender leaves a payload unchanged until the peer's answer to that
 * message has arrived; the receiver is done with a payload before it answers, and does not change it.
 */
import { ProtocolError } from '../errors.ts';
import { LIMITS } from './limits.ts';
import type { Message, MessageKind, MessageOf, RunOutcome } from './messages.ts';
import type { PeerLimits } from './peer-limits.ts';

export interface Transport {
  /** Who is at the other end, for messages to people: an address. */
  readonly peer: string;
  /** Bytes of frames since the beginning, payloads in shared memory among them; 0 where nothing leaves the process. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Of those, the payloads that stayed in shared memory: they went nowhere. */
  readonly sharedBytesSent: number;
  readonly sharedBytesReceived: number;
  /** Whether payloads stay in memory that both ends share. */
  readonly sharesMemory: boolean;
  /**
   * Sends at once or queues; never waits. Throws `ProtocolError` ERR_CLOSED when the channel is closed, and
   * ERR_SEND_QUEUE_FULL, which ends it, when the peer's limits leave no room.
   */
  send(message: Message): void;
  /**
   * The next message, in order of arrival. One call at a time.
   *
   * Rejects with `ProtocolError`: ERR_TIMEOUT after `timeoutMs`, as `ReceiveTimeout` that names what was awaited; the peer's own code when it
   * sent an error; the decoder's code when its bytes were wrong; ERR_CLOSED when it went away.
   */
  receive(timeoutMs: number, awaited: string): Promise<Message>;
  /** Ends a pending `receive` of this end with `ReceiveInterrupted`; the message that it waited for is for the next one. */
  interrupt(): void;
  /**
   * Gives back a payload that this end has received and that nobody will read again, so that the next one of its length
   * needs no fresh memory. A payload that is not given back is garbage like any other.
   */
  recycle(payload: ArrayBufferView<ArrayBuffer>): void;
  /**
   * From here on a payload that lies in one of these memories, which both ends have mapped and name in the same order,
   * is not sent: the other end reads it where it lies. Both ends call this before either sends such a payload.
   */
  shareMemory(memories: readonly ArrayBuffer[]): void;
  /**
   * Milliseconds from a ping to the peer's answer, behind whatever is on its way already; 0 where nothing leaves the
   * process, undefined when none came within `timeoutMs` or the channel has ended. One call at a time.
   */
  measureRoundTrip(timeoutMs: number): Promise<number | undefined>;
  /** What the peer may do from here on; where nothing leaves the process it may do anything. */
  limit(limits: PeerLimits): void;
  /**
   * Ends the channel; harmless when it has ended. What was sent before still arrives. An `error` is sent to the peer
   * first, and a pending or later `receive` rejects with it.
   */
  close(error?: ProtocolError): void;
  /** Settles when the channel has ended, with the reason; never rejects. */
  readonly closed: Promise<ProtocolError>;
}

/** A coordinator's word that the run is over, where another message was awaited. */
export class RunEnded extends ProtocolError {
  readonly outcome: RunOutcome | undefined;

  constructor({ reason, outcome }: MessageOf<'shutdown'>) {
    super('ERR_CLOSED', `the run was ended: ${reason}`);
    this.outcome = outcome;
  }
}

/** The awaited message did not come in time. The connection still stands, unlike where its own silence has ended it. */
export class ReceiveTimeout extends ProtocolError {}

/** Nobody waits for the message any more. No fault of anyone's. */
export class ReceiveInterrupted extends Error {
  override readonly name = 'ReceiveInterrupted';
}

/**
 * Receives a message that must be of one of `kinds`. Any other rejects with ERR_UNEXPECTED_MESSAGE, except those that
 * may come at any time: a worker's `leave` rejects with ERR_LEFT, a coordinator's `shutdown` with ERR_CLOSED, as
 * `RunEnded`.
 */
export async function receiveKind<K extends MessageKind>(
  transport: Transport,
  timeoutMs: number,
  ...kinds: K[]
): Promise<MessageOf<K>> {
  return asKind(await transport.receive(timeoutMs, kinds.join(' or ')), kinds);
}

/** A received message as one of `kinds`; throws as `receiveKind` rejects. */
export function asKind<K extends MessageKind>(message: Message, kinds: readonly K[]): MessageOf<K> {
  if (message.kind === 'leave') throw new ProtocolError('ERR_LEFT', `left the run: ${message.reason}`);
  if (!(kinds as readonly MessageKind[]).includes(message.kind)) {
    if (message.kind === 'shutdown') throw new RunEnded(message);
    throw new ProtocolError('ERR_UNEXPECTED_MESSAGE', `expected ${kinds.join(' or ')}, got ${message.kind}`);
  }
  return message as MessageOf<K>;
}

/**
 * The receiving half that every transport shares: a queue of arrived messages, one waiting reader, and the end.
 */
export interface Inbox {
  receive(timeoutMs: number, awaited: string): Promise<Message>;
  interrupt(): void;
  /** Delivers a message of `numBytes` bytes; an `error` message ends the inbox instead, with the peer's code. */
  push(message: Message, numBytes?: number): void;
  /** What has arrived and was not received yet. */
  readonly unread: { readonly messages: number; readonly bytes: number };
  /** Ends it: what has arrived can still be received, then `error`. Later calls change nothing. */
  end(error: ProtocolError): void;
  readonly ended: Promise<ProtocolError>;
  readonly isEnded: boolean;
}

export function createInbox(peer: string): Inbox {
  const queue: { readonly message: Message; readonly numBytes: number }[] = [];
  const unread = { messages: 0, bytes: 0 };
  let reader: { resolve: (message: Message) => void; reject: (error: Error) => void } | undefined;
  let end: ProtocolError | undefined;
  let announceEnd!: (error: ProtocolError) => void;
  const ended = new Promise<ProtocolError>((resolve) => (announceEnd = resolve));

  return {
    ended,
    get isEnded() {
      return end !== undefined;
    },
    unread,
    receive(timeoutMs, awaited) {
      const next = queue.shift();
      if (next) {
        unread.messages--;
        unread.bytes -= next.numBytes;
        return Promise.resolve(next.message);
      }
      if (end) return Promise.reject(end);
      return new Promise((resolve, reject) => {
        const timer = setTimeout(
          () => {
            reader = undefined;
            reject(new ReceiveTimeout('ERR_TIMEOUT', `no ${awaited} from ${peer} within ${timeoutMs / 1000} s`));
          },
          Math.min(timeoutMs, LIMITS.longestWaitMs),
        );
        const settle = <T>(settled: (value: T) => void) => {
          return (value: T) => {
            clearTimeout(timer);
            reader = undefined;
            settled(value);
          };
        };
        reader = { resolve: settle(resolve), reject: settle(reject) };
      });
    },
    interrupt() {
      reader?.reject(new ReceiveInterrupted('the message is not waited for any more'));
    },
    push(message, numBytes = 0) {
      if (end) return;
      if (message.kind === 'error') {
        this.end(new ProtocolError(message.code, `${peer} reports ${message.code}: ${message.message}`));
      } else if (reader) {
        reader.resolve(message);
      } else {
        queue.push({ message, numBytes });
        unread.messages++;
        unread.bytes += numBytes;
      }
    },
    end(error) {
      if (end) return;
      end = error;
      announceEnd(error);
      reader?.reject(error);
    },
  };
}

/**
 * Two connected transports in one process. Messages are handed over as they are, without encoding or copying, after the
 * sender's current task: like a wire, `send` never runs the receiver's code.
 */
export function memoryTransportPair(
  names: readonly [string, string] = ['coordinator', 'worker'],
): [Transport, Transport] {
  const inboxes = [createInbox(names[1]), createInbox(names[0])] as const;
  const side = (own: Inbox, other: Inbox, peer: string): Transport => ({
    peer,
    bytesSent: 0,
    bytesReceived: 0,
    sharedBytesSent: 0,
    sharedBytesReceived: 0,
    sharesMemory: true,
    send(message) {
      if (own.isEnded) throw new ProtocolError('ERR_CLOSED', `the connection to ${peer} is closed`);
      queueMicrotask(() => other.push(message));
    },
    receive: (timeoutMs, awaited) => own.receive(timeoutMs, awaited),
    interrupt: () => own.interrupt(),
    // What was received here is the sender's own.
    recycle() {},
    // All memory is shared here.
    shareMemory() {},
    measureRoundTrip: () => Promise.resolve(own.isEnded ? undefined : 0),
    limit() {},
    close(error) {
      if (error) queueMicrotask(() => other.push(errorMessage(error)));
      queueMicrotask(() => other.end(new ProtocolError('ERR_CLOSED', `the other end closed the connection`)));
      own.end(error ?? new ProtocolError('ERR_CLOSED', `the connection to ${peer} is closed`));
    },
    closed: own.ended,
  });
  return [side(inboxes[0], inboxes[1], names[1]), side(inboxes[1], inboxes[0], names[0])];
}

/** The `error` frame that tells a peer why its connection ends. */
export function errorMessage(error: ProtocolError): MessageOf<'error'> {
  return { kind: 'error', code: error.code, message: error.message.slice(0, 2000) };
}
