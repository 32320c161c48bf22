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
import { createRateLimit, NO_PEER_LIMITS } from './peer-limits.ts';
import { createInbox, errorMessage } from './transport.ts';
import type { Transport } from './transport.ts';

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
  const inbox = createInbox(peer);
  const assembler = createAssembler();
  const bytes = { sent: 0, received: 0 };
  /** Of those: payloads that lie in memory that both ends share. */
  const sharedBytes = { sent: 0, received: 0 };
  /** Received before the message that is arriving. */
  let bytesBefore = 0;
  let memories: readonly ArrayBuffer[] = [];
  let lastHeardMs = performance.now();
  let lastBeatMs = lastHeardMs;
  let numMeasured = 0;
  let closing = false;
  let isPaused = false;
  let limits = NO_PEER_LIMITS;
  let messageRate = createRateLimit(limits.messagesPerSecond);
  const pingRate = createRateLimit(LIMITS.messagesPerSecond);
  let overflow: ProtocolError | undefined;

  const heard = () => (lastHeardMs = performance.now());
  /** What to do with the answer to a ping, while one is measured. */
  let pong: (data: Buffer) => void = () => {};

  /** Stops reading when too much waits unread, and goes on when half of that has been read: always, if all of it has. */
  const pace = () => {
    const { messages, bytes: unreadBytes } = inbox.unread;
    const fill = Math.max(messages / limits.maxUnreadMessages, unreadBytes / limits.maxUnreadBytes);
    if (!isPaused && fill > 1) {
      isPaused = true;
      socket.pause();
    } else if (isPaused && fill <= 0.5) {
      isPaused = false;
      heard();
      socket.resume();
    }
  };

  const closedByPeer = (why: string) => new ProtocolError('ERR_CLOSED', `the connection to ${peer} was lost${why}`);

  const tooManyMessages = (limit: string) =>
    new ProtocolError('ERR_TOO_MANY_MESSAGES', `${peer} sends more than ${limit} a second`);

  /** Ends everything; `error` is told to the peer, the peer has `closeMs` to say goodbye, then the socket is cut. */
  const close = (error: ProtocolError | undefined, tellPeer: boolean) => {
    inbox.end(error ?? new ProtocolError('ERR_CLOSED', `the connection to ${peer} is closed`));
    if (closing) return;
    closing = true;
    clearInterval(heartbeat);
    // The other end's goodbye must be read.
    if (isPaused) socket.resume();
    if (error && tellPeer) sendFrame(errorMessage(error));
    socket.close(error ? PROTOCOL_VIOLATION : NORMAL_CLOSURE, error?.code ?? '');
    // Not waited for: a peer that is hung must not keep this process alive.
    setTimeout(() => socket.terminate(), LIMITS.closeMs).unref();
  };

  const sendFrame = (message: Message) => {
    const { head, payload, payloadFollows } = encodeFrame(message, memories);
    bytes.sent += head.length + payload.length;
    if (!payloadFollows) {
      sharedBytes.sent += payload.length;
      socket.send(head);
      return;
    }
    // All of it in as few writes as the system takes; the payload goes there from where it lies.
    stream.cork();
    socket.send(head);
    for (let at = 0; at < payload.length; at += PIECE_BYTES) socket.send(payload.subarray(at, at + PIECE_BYTES));
    stream.uncork();
  };

  socket.on('message', (data, isBinary) => {
    heard();
    if (closing) return;
    try {
      if (!isBinary) throw new ProtocolError('ERR_MALFORMED_FRAME', 'a text message; gradsock frames are binary');
      const part = data as Buffer<ArrayBuffer>;
      bytes.received += part.length;
      if (!messageRate.allows()) throw tooManyMessages(`${limits.messagesPerSecond} messages`);
      if (part.length > limits.maxMessageBytes) {
        const message = `a message of ${countOf(part.length, 'byte')}, expected at most ${limits.maxMessageBytes} before a proof`;
        throw new ProtocolError('ERR_FRAME_TOO_LARGE', message);
      }
      const message = assembler.accept(part);
      if (!message) return;
      if ('payload' in message && memories.includes(message.payload.buffer)) {
        bytes.received += message.payload.byteLength;
        sharedBytes.received += message.payload.byteLength;
      }
      inbox.push(message, bytes.received - bytesBefore);
      bytesBefore = bytes.received;
      pace();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      close(error, true);
    }
  });
  socket.on('ping', () => {
    heard();
    if (!closing && !pingRate.allows()) close(tooManyMessages(`${LIMITS.messagesPerSecond} pings`), true);
  });
  socket.on('pong', (data) => {
    heard();
    pong(data);
  });
  socket.on('error', (error) => {
    const tooLarge = error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH';
    const code = tooLarge
      ? 'ERR_FRAME_TOO_LARGE'
      : error.code?.startsWith('WS_ERR')
        ? 'ERR_MALFORMED_FRAME'
        : 'ERR_CLOSED';
    close(new ProtocolError(code, `${peer}: ${error.message}`, { cause: error }), code !== 'ERR_CLOSED');
  });
  socket.on('close', (code, reason) => {
    closing = true;
    clearInterval(heartbeat);
    inbox.end(closedByPeer(reason.length > 0 ? ` (${code}, ${reason.toString()})` : ''));
  });

  const heartbeat = setInterval(() => {
    const nowMs = performance.now();
    // When this process itself was stopped or busy, answers may lie unread: ask again before blaming the peer.
    const wasAway = nowMs - lastBeatMs > 2 * LIMITS.pingIntervalMs;
    lastBeatMs = nowMs;
    // Its answers wait behind what was not read.
    if (isPaused) heard();
    if (nowMs - lastHeardMs > limits.maxSilenceMs && !wasAway) {
      const error = new ProtocolError('ERR_TIMEOUT', `${peer} has not answered for ${limits.maxSilenceMs / 1000} s`);
      close(error, false);
      socket.terminate();
    } else {
      socket.ping();
    }
  }, LIMITS.pingIntervalMs);
  heartbeat.unref();

  return {
    peer,
    get bytesSent() {
      return bytes.sent;
    },
    get bytesReceived() {
      return bytes.received;
    },
    get sharedBytesSent() {
      return sharedBytes.sent;
    },
    get sharedBytesReceived() {
      return sharedBytes.received;
    },
    get sharesMemory() {
      return memories.length > 0;
    },
    send(message) {
      if (closing) throw overflow ?? new ProtocolError('ERR_CLOSED', `the connection to ${peer} is closed`);
      if (socket.bufferedAmount > limits.maxQueuedBytes) {
        const sizes = `${socket.bufferedAmount} bytes are waiting to be sent, expected at most ${limits.maxQueuedBytes}`;
        overflow = new ProtocolError('ERR_SEND_QUEUE_FULL', `${peer} reads too slowly: ${sizes}`);
        close(overflow, false);
        socket.terminate();
        throw overflow;
      }
      sendFrame(message);
    },
    receive(timeoutMs, awaited) {
      const received = inbox.receive(timeoutMs, awaited);
      if (isPaused && !closing) pace();
      return received;
    },
    interrupt: () => inbox.interrupt(),
    recycle: (payload) => assembler.recycle(payload),
    shareMemory(shared) {
      memories = shared;
      assembler.shareMemory(shared);
    },
    measureRoundTrip(timeoutMs) {
      if (closing) return Promise.resolve(undefined);
      return new Promise((resolve) => {
        const sentMs = performance.now();
        const stop = (roundTripMs?: number) => {
          clearTimeout(timer);
          pong = () => {};
          resolve(roundTripMs);
        };
        const timer = setTimeout(stop, timeoutMs);
        void inbox.ended.then(() => stop());
        // Not the answer to one of the pings that go out all the time, nor to one that was given up.
        const mark = Buffer.from(String(numMeasured++));
        pong = (data) => {
          if (data.equals(mark)) stop(performance.now() - sentMs);
        };
        socket.ping(mark);
      });
    },
    limit(newLimits) {
      limits = newLimits;
      messageRate = createRateLimit(limits.messagesPerSecond);
      assembler.limitPayload(limits.maxPayloadBytes);
    },
    close: (error) => close(error, true),
    closed: inbox.ended,
  };
}
