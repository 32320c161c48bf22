/**
 * A Transport over a WebSocket: frames in, frames out, pings, and the end. Knows the shape of a `ws` socket, not the
 * package: the server and the client, which open sockets, each hand one in.
 */
import { countOf } from '../counts.ts';
import { ProtocolError } from '../errors.ts';
import { createAssembler } from './assembler.ts';
import { encodeFrame, PIECE_BYTES } from './frame.ts';
import { LIMITS } from './limits.ts';
import type { Message } from './messages.ts';
import { Heartbeat } from './heartbeat.ts';
import { createRateLimit, NO_PEER_LIMITS } from './peer-limits.ts';
import type { PeerLimits } from './peer-limits.ts';
import { createInbox, errorMessage } from './transport.ts';
import type { Inbox, Transport } from './transport.ts';

/** What is used of a `ws` WebSocket that is open. */
export interface OpenSocket {
  /** Bytes that were sent here and that the system has not taken yet. */
  readonly bufferedAmount: number;
  send(data: Uint8Array): void;
  ping(data?: Uint8Array): void;
  /** No more is read from the connection until `resume`; what has been read may still come. */
  pause(): void;
  resume(): void;
  close(code: number, reason: string): void;
  terminate(): void;
  on(event: 'message', listener: (data: unknown, isBinary: boolean) => void): unknown;
  on(event: 'close', listener: (code: number, reason: Buffer) => void): unknown;
  on(event: 'error', listener: (error: Error & { code?: string }) => void): unknown;
  on(event: 'ping' | 'pong', listener: (data: Buffer) => void): unknown;
}

/** What is used of the stream below the socket. */
export interface CorkableStream {
  cork(): void;
  uncork(): void;
}

/** WebSocket close codes (RFC 6455, 7.4.1). */
const NORMAL_CLOSURE = 1000;
const PROTOCOL_VIOLATION = 1002;

export function socketTransport(socket: OpenSocket, stream: CorkableStream, peer: string): Transport {
  const connection = new SocketConnection(socket, stream, peer);
  const { inbox } = connection;
  return {
    peer,
    get bytesSent() {
      return connection.bytes.sent;
    },
    get bytesReceived() {
      return connection.bytes.received;
    },
    get sharedBytesSent() {
      return connection.sharedBytes.sent;
    },
    get sharedBytesReceived() {
      return connection.sharedBytes.received;
    },
    get sharesMemory() {
      return connection.sharesMemory;
    },
    send: (message) => connection.send(message),
    receive: (timeoutMs, awaited) => connection.receive(timeoutMs, awaited),
    interrupt: () => inbox.interrupt(),
    recycle: (payload) => connection.recycle(payload),
    shareMemory: (shared) => connection.shareMemory(shared),
    measureRoundTrip: (timeoutMs) => connection.measureRoundTrip(timeoutMs),
    limit: (limits) => connection.limit(limits),
    close: (error) => connection.close(error, true),
    closed: inbox.ended,
  };
}

class SocketConnection {
  readonly inbox: Inbox;
  readonly bytes = { sent: 0, received: 0 };
  /** Of those: payloads that lie in memory that both ends share. */
  readonly sharedBytes = { sent: 0, received: 0 };
  readonly #socket: OpenSocket;
  readonly #stream: CorkableStream;
  readonly #peer: string;
  readonly #assembler = createAssembler();
  readonly #heartbeat: Heartbeat;
  readonly #pingRate = createRateLimit(LIMITS.messagesPerSecond);
  /** Received before the message that is arriving. */
  #bytesBefore = 0;
  #memories: readonly ArrayBuffer[] = [];
  #isClosing = false;
  #isPaused = false;
  #limits = NO_PEER_LIMITS;
  #messageRate = createRateLimit(NO_PEER_LIMITS.messagesPerSecond);
  #overflow: ProtocolError | undefined;

  constructor(socket: OpenSocket, stream: CorkableStream, peer: string) {
    this.#socket = socket;
    this.#stream = stream;
    this.#peer = peer;
    this.inbox = createInbox(peer);
    this.#heartbeat = new Heartbeat(socket, {
      maxSilenceMs: () => this.#limits.maxSilenceMs,
      isPaused: () => this.#isPaused,
      onSilence: () => this.#endSilent(),
    });
    socket.on('message', (data, isBinary) => this.#onMessage(data, isBinary));
    socket.on('ping', () => this.#onPing());
    socket.on('pong', (data) => this.#heartbeat.heardPong(data));
    socket.on('error', (error) => this.#onError(error));
    socket.on('close', (code, reason) => this.#onClose(code, reason.toString()));
  }

  get sharesMemory(): boolean {
    return this.#memories.length > 0;
  }

  send(message: Message): void {
    const { maxQueuedBytes } = this.#limits;
    const { bufferedAmount } = this.#socket;
    if (this.#isClosing) throw this.#overflow ?? this.#closedHere();
    if (bufferedAmount > maxQueuedBytes) {
      const sizes = `${bufferedAmount} bytes are waiting to be sent, expected at most ${maxQueuedBytes}`;
      this.#overflow = new ProtocolError('ERR_SEND_QUEUE_FULL', `${this.#peer} reads too slowly: ${sizes}`);
      this.close(this.#overflow, false);
      this.#socket.terminate();
      throw this.#overflow;
    }
    this.#sendFrame(message);
  }

  receive(timeoutMs: number, awaited: Parameters<Transport['receive']>[1]): Promise<Message> {
    const received = this.inbox.receive(timeoutMs, awaited);
    if (this.#isPaused && !this.#isClosing) this.#pace();
    return received;
  }

  recycle(payload: Parameters<Transport['recycle']>[0]): void {
    this.#assembler.recycle(payload);
  }

  shareMemory(memories: readonly ArrayBuffer[]): void {
    this.#memories = memories;
    this.#assembler.shareMemory(memories);
  }

  measureRoundTrip(timeoutMs: number): Promise<number | undefined> {
    if (this.#isClosing) return Promise.resolve(undefined);
    return this.#heartbeat.measureRoundTrip(timeoutMs, this.inbox.ended);
  }

  limit(limits: PeerLimits): void {
    this.#limits = limits;
    this.#messageRate = createRateLimit(limits.messagesPerSecond);
    this.#assembler.limitPayload(limits.maxPayloadBytes);
  }

  /** Ends everything; `error` is told to the peer, the peer has `closeMs` to say goodbye, then the socket is cut. */
  close(error: ProtocolError | undefined, tellPeer: boolean): void {
    this.inbox.end(error ?? this.#closedHere());
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#heartbeat.stop();
    // The other end's goodbye must be read.
    if (this.#isPaused) this.#socket.resume();
    if (error && tellPeer) this.#sendFrame(errorMessage(error));
    this.#socket.close(error ? PROTOCOL_VIOLATION : NORMAL_CLOSURE, error?.code ?? '');
    // Not waited for: a peer that is hung must not keep this process alive.
    setTimeout(() => this.#socket.terminate(), LIMITS.closeMs).unref();
  }

  #onMessage(data: unknown, isBinary: boolean): void {
    this.#heartbeat.heard();
    if (this.#isClosing) return;
    try {
      if (!isBinary) throw new ProtocolError('ERR_MALFORMED_FRAME', 'a text message; gradsock frames are binary');
      this.#accept(data as Buffer<ArrayBuffer>);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.close(error, true);
    }
  }

  /** Takes a part of a frame; the message goes to the inbox when it is whole. */
  #accept(part: Buffer<ArrayBuffer>): void {
    const { messagesPerSecond, maxMessageBytes } = this.#limits;
    this.bytes.received += part.length;
    if (!this.#messageRate.allows()) throw this.#tooMany(`${messagesPerSecond} messages`);
    if (part.length > maxMessageBytes) {
      const message = `a message of ${countOf(part.length, 'byte')}, expected at most ${maxMessageBytes} before a proof`;
      throw new ProtocolError('ERR_FRAME_TOO_LARGE', message);
    }
    const message = this.#assembler.accept(part);
    if (!message) return;
    if ('payload' in message && this.#memories.includes(message.payload.buffer)) {
      this.bytes.received += message.payload.byteLength;
      this.sharedBytes.received += message.payload.byteLength;
    }
    this.inbox.push(message, this.bytes.received - this.#bytesBefore);
    this.#bytesBefore = this.bytes.received;
    this.#pace();
  }

  #onPing(): void {
    this.#heartbeat.heard();
    if (!this.#isClosing && !this.#pingRate.allows()) {
      this.close(this.#tooMany(`${LIMITS.messagesPerSecond} pings`), true);
    }
  }

  #onError(error: Error & { code?: string }): void {
    const code =
      error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH'
        ? 'ERR_FRAME_TOO_LARGE'
        : error.code?.startsWith('WS_ERR')
          ? 'ERR_MALFORMED_FRAME'
          : 'ERR_CLOSED';
    this.close(new ProtocolError(code, `${this.#peer}: ${error.message}`, { cause: error }), code !== 'ERR_CLOSED');
  }

  #onClose(code: number, reason: string): void {
    this.#isClosing = true;
    this.#heartbeat.stop();
    const why = reason === '' ? '' : ` (${code}, ${reason})`;
    this.inbox.end(new ProtocolError('ERR_CLOSED', `the connection to ${this.#peer} was lost${why}`));
  }

  #endSilent(): void {
    const message = `${this.#peer} has not answered for ${this.#limits.maxSilenceMs / 1000} s`;
    this.close(new ProtocolError('ERR_TIMEOUT', message), false);
    this.#socket.terminate();
  }

  /** Stops reading when too many messages or bytes wait unread, and goes on when no more than half of the limit does. */
  #pace(): void {
    const { maxUnreadMessages, maxUnreadBytes } = this.#limits;
    const { messages, bytes } = this.inbox.unread;
    const fill = Math.max(messages / maxUnreadMessages, bytes / maxUnreadBytes);
    if (!this.#isPaused && fill > 1) {
      this.#isPaused = true;
      this.#socket.pause();
    } else if (this.#isPaused && fill <= 0.5) {
      this.#isPaused = false;
      this.#heartbeat.heard();
      this.#socket.resume();
    }
  }

  #sendFrame(message: Message): void {
    const { head, payload, payloadFollows } = encodeFrame(message, this.#memories);
    this.bytes.sent += head.length + payload.length;
    if (!payloadFollows) {
      this.sharedBytes.sent += payload.length;
      this.#socket.send(head);
      return;
    }
    // One write to the system, where it takes as much; the payload is not copied before.
    this.#stream.cork();
    this.#socket.send(head);
    for (let at = 0; at < payload.length; at += PIECE_BYTES) this.#socket.send(payload.subarray(at, at + PIECE_BYTES));
    this.#stream.uncork();
  }

  #closedHere(): ProtocolError {
    return new ProtocolError('ERR_CLOSED', `the connection to ${this.#peer} is closed`);
  }

  #tooMany(limit: string): ProtocolError {
    return new ProtocolError('ERR_TOO_MANY_MESSAGES', `${this.#peer} sends more than ${limit} a second`);
  }
}
