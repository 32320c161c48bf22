/** A client made by hand, HTTP upgrade and WebSocket framing (RFC 6455) included: it can be wrong in every way. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { createAssembler } from '../../protocol/wire/assembler.ts';

export const OPCODES = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export const UPGRADE =
  'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n';

export interface FrameOptions {
  readonly fin?: boolean;
  /** The three reserved bits. */
  readonly reserved?: number;
  readonly masked?: boolean;
  /** The length that the frame claims. Default: the payload's. */
  readonly length?: number;
  /** How the length is written: in 7 bits, 16 or 64. Default: the shortest form. */
  readonly lengthBits?: 7 | 16 | 64;
}

/** One WebSocket frame. The mask is zeros: what is sent can be read in a trace. */
export function webSocketFrame(opcode: number, payload: Uint8Array, options: FrameOptions = {}): Buffer {
  const { fin = true, reserved = 0, masked = true, length = payload.length } = options;
  const { lengthBits = length < 126 ? 7 : length < 65536 ? 16 : 64 } = options;
  const head = Buffer.alloc({ 7: 2, 16: 4, 64: 10 }[lengthBits]);
  head[0] = (fin ? 0x80 : 0) | (reserved << 4) | opcode;
  head[1] = (masked ? 0x80 : 0) | { 7: length & 0x7f, 16: 126, 64: 127 }[lengthBits];
  if (lengthBits === 16) head.writeUInt16BE(length % 65536, 2);
  if (lengthBits === 64) head.writeBigUInt64BE(BigInt.asUintN(64, BigInt(length)), 2);
  return Buffer.concat([head, masked ? Buffer.alloc(4) : Buffer.alloc(0), payload]);
}

export interface RawClient {
  readonly socket: Socket;
  /** Everything that came so far, as it counts: "HTTP 404", "pong", "welcome", "ERR_BAD_MAGIC", "close 1002". */
  readonly heard: string[];
  /** Resolves when `heard` has this many of what starts with `prefix`, or the connection has ended. */
  hears(prefix: string, count?: number): Promise<void>;
  /** Settles when the connection has ended, from either side. */
  readonly ended: Promise<void>;
  send(bytes: Uint8Array | string): void;
  /** Ends it here: with a reset when asked for. */
  cut(reset?: boolean): void;
}

export function connectRaw(port: number): RawClient {
  const socket = connect(port, '127.0.0.1');
  const heard: string[] = [];
  const waiting = new Set<() => void>();
  let isEnded = false;
  const notify = () => {
    for (const check of waiting) check();
  };
  const read = createReader((event) => {
    heard.push(event);
    if (event.startsWith('close')) socket.end();
  });
  const ended = new Promise<void>((resolve) => {
    socket.once('close', () => {
      isEnded = true;
      notify();
      resolve();
    });
  });
  // A reset is an end like others.
  socket.on('error', () => {});
  socket.on('data', (bytes) => {
    read(bytes);
    notify();
  });

  return {
    socket,
    heard,
    ended,
    hears: (prefix, count = 1) =>
      new Promise((resolve) => {
        const check = () => {
          if (!isEnded && heard.filter((event) => event.startsWith(prefix)).length < count) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
        check();
      }),
    send(bytes) {
      if (socket.writable) socket.write(bytes);
    },
    cut(reset = false) {
      // Node never closes a socket that is reset while its end is on its way.
      if (reset && !socket.writableEnded) socket.resetAndDestroy();
      else socket.destroy();
    },
  };
}

/** Reads what a server sends: responses until one is an upgrade, then WebSocket frames, in them gradsock's. */
function createReader(onEvent: (event: string) => void): (bytes: Buffer) => void {
  let rest = Buffer.alloc(0);
  let isWebSocket = false;
  const assembler = createAssembler();

  const takeResponse = (): boolean => {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) return false;
    const head = rest.toString('latin1', 0, end);
    const length = /content-length: (\d+)/i.exec(head)?.[1];
    const isChunked = /transfer-encoding: chunked/i.test(head);
    const bodyEnd = isChunked ? rest.indexOf('0\r\n\r\n', end) + 5 : end + 4 + Number(length ?? 0);
    if (bodyEnd < end + 4 || bodyEnd > rest.length) return false;
    rest = rest.subarray(bodyEnd);
    const status = head.slice(9, 12);
    isWebSocket = status === '101';
    onEvent(`HTTP ${status}`);
    return true;
  };

  const takeFrame = (): boolean => {
    if (rest.length < 2) return false;
    const short = rest[1]! & 0x7f;
    const headBytes = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (rest.length < headBytes) return false;
    const length = short < 126 ? short : short === 126 ? rest.readUInt16BE(2) : Number(rest.readBigUInt64BE(2));
    if (rest.length < headBytes + length) return false;
    const opcode = rest[0]! & 0x0f;
    const payload = Uint8Array.from(rest.subarray(headBytes, headBytes + length));
    rest = rest.subarray(headBytes + length);
    if (opcode === OPCODES.pong) onEvent('pong');
    else if (opcode === OPCODES.close) onEvent(`close ${Buffer.from(payload).readUInt16BE(0)}`);
    else if (opcode === OPCODES.binary) {
      const message = assembler.accept(payload);
      if (message) onEvent(message.kind === 'error' ? message.code : message.kind);
    }
    return true;
  };

  return (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    while (isWebSocket ? takeFrame() : takeResponse());
  };
}
