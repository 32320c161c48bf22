/**
 * Frames: the bytes of a message. The only place where bytes become trusted messages, and messages bytes.
 *
 * A frame is a head, and a payload after it if the kind has one:
 *
 *     offset  size
 *          0     4  magic "GSCK"
 *          4     1  protocol version
 *          5     1  message kind (its code)
 *          6     1  payload type: 0 none, 1 float32, 2 bytes
 *          7     1  place of the payload: 0 it follows, n it lies in the n-th memory that both ends share
 *          8     4  header length H in bytes
 *         12     4  payload length P in bytes
 *         16     4  where the payload begins in that memory, in units of 8 bytes; 0 where it follows
 *         20     4  reserved, 0
 *         24     H  header: msgpack, checked by the kind's schema
 *       24+H        zeros up to the next multiple of 8: the head ends here
 *
 * Numbers are little-endian, the payload's too. The head is a WebSocket message of its own. A payload that follows does so
 * in pieces of {@link PIECE_BYTES}, the last one shorter, each a WebSocket message: so a receiver holds no more than a
 * piece of it before it lies where it belongs.
 */
import { Packr } from 'msgpackr';
import { countOf } from '../counts.ts';
import { internalError, printable, ProtocolError } from '../errors.ts';
import { isPlainMsgpack } from './header-check.ts';
import { LIMITS } from './limits.ts';
import { MESSAGES, PROTOCOL_VERSION } from './messages.ts';
import type { Message, MessageKind, PayloadType } from './messages.ts';

const MAGIC = 0x4b435347; // "GSCK", read as a little-endian number
const PREFIX_BYTES = 24;
const ALIGNMENT = 8;
const FLOAT_BYTES = 4;
const PAYLOAD_TYPES = ['none', 'float32', 'bytes'] as const satisfies PayloadType[];

const KIND_BY_CODE = new Map(
  (Object.keys(MESSAGES) as MessageKind[]).map((kind) => [MESSAGES[kind].code as number, kind]),
);

// Headers are plain maps: no shared structures between messages, so that each frame can be read by itself.
const packr = new Packr({ useRecords: false });

/** The length of every piece of a payload except the last. */
export const PIECE_BYTES = 16 * 1024;

/** The longest WebSocket message that a frame can need. */
export const MAX_MESSAGE_BYTES = Math.max(PIECE_BYTES, PREFIX_BYTES + LIMITS.maxHeaderBytes + ALIGNMENT);

/** A frame in the two parts in which it is sent, so that a payload of megabytes is not copied to join them. */
export interface EncodedFrame {
  /** Prefix, header and padding. */
  readonly head: Uint8Array<ArrayBuffer>;
  /** A view of the message's payload, not a copy; empty for kinds without one. */
  readonly payload: Uint8Array<ArrayBuffer>;
  /** Whether the payload must be sent: it does not lie in a memory that both ends share. */
  readonly payloadFollows: boolean;
}

/**
 * Packs a message. Trusts it: what this program sends has been checked by its types. A payload that lies in one of
 * `memories` stays there, and the head says where.
 */
export function encodeFrame(message: Message, memories: readonly ArrayBuffer[] = []): EncodedFrame {
  const { kind, payload, ...header } = message as Message & { payload?: Float32Array<ArrayBuffer> };
  const payloadType = MESSAGES[kind].payload;
  const headerBytes = packr.pack(header);
  const head = new Uint8Array(align(PREFIX_BYTES + headerBytes.length));
  const payloadBytes = payload
    ? new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength)
    : new Uint8Array(0);
  if (headerBytes.length > LIMITS.maxHeaderBytes)
    throw internalError(`${kind}: header of ${countOf(headerBytes.length, 'byte')}`);
  if ((payloadType === 'none') !== (payload === undefined))
    throw internalError(`${kind}: payload does not fit the kind`);

  const view = new DataView(head.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint8(4, PROTOCOL_VERSION);
  view.setUint8(5, MESSAGES[kind].code);
  view.setUint8(6, PAYLOAD_TYPES.indexOf(payloadType));
  // A place that the head cannot name is none: then the payload is sent.
  const isAligned = payloadBytes.byteOffset % ALIGNMENT === 0;
  const place = payload && isAligned ? 1 + memories.indexOf(payload.buffer) : 0;
  view.setUint8(7, place);
  if (place > 0) view.setUint32(16, payloadBytes.byteOffset / ALIGNMENT, true);
  view.setUint32(8, headerBytes.length, true);
  view.setUint32(12, payloadBytes.length, true);
  head.set(headerBytes, PREFIX_BYTES);
  return { head, payload: payloadBytes, payloadFollows: place === 0 };
}

/** A head that was read and checked. */
export interface DecodedHead {
  readonly kind: MessageKind;
  readonly header: Record<string, unknown>;
  readonly payloadBytes: number;
  /** Where the payload lies: in which of the shared memories, from 1, and at which byte. 0 where it follows. */
  readonly place: number;
  readonly offsetBytes: number;
}

/**
 * Reads and checks a head from anyone. Throws `ProtocolError` with a code for every way in which the bytes can be wrong;
 * never anything else, and never reads past what is there.
 */
export function decodeHead(head: Uint8Array<ArrayBuffer>): DecodedHead {
  const kind = decodeKind(head);
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const headerLength = view.getUint32(8, true);
  const payloadBytes = view.getUint32(12, true);
  if (headerLength > LIMITS.maxHeaderBytes) {
    throw new ProtocolError(
      'ERR_MALFORMED_FRAME',
      `${kind}: a header of ${countOf(headerLength, 'byte')}, expected at most ${LIMITS.maxHeaderBytes}`,
    );
  }
  if (head.length !== align(PREFIX_BYTES + headerLength)) {
    throw new ProtocolError(
      'ERR_MALFORMED_FRAME',
      `${kind}: a head of ${countOf(head.length, 'byte')}, but its length calls for ${align(PREFIX_BYTES + headerLength)}`,
    );
  }
  checkPayloadLength(kind, payloadBytes);
  const place = view.getUint8(7);
  const offsetBytes = ALIGNMENT * view.getUint32(16, true);
  if (view.getUint32(20, true) !== 0 || (place === 0 && offsetBytes > 0) || (place > 0 && payloadBytes === 0)) {
    throw new ProtocolError('ERR_MALFORMED_FRAME', `${kind}: the place of the payload or a reserved byte is wrong`);
  }
  const header = decodeHeader(kind, head.subarray(PREFIX_BYTES, PREFIX_BYTES + headerLength));
  return { kind, header, payloadBytes, place, offsetBytes };
}

/** The message of a head and the memory that holds its whole payload, of which it holds a view. */
export function joinFrame({ kind, header, payloadBytes, offsetBytes }: DecodedHead, payload: ArrayBuffer): Message {
  switch (MESSAGES[kind].payload) {
    case 'none':
      return { kind, ...header } as Message;
    case 'bytes':
      return { kind, ...header, payload: new Uint8Array(payload, offsetBytes, payloadBytes) } as Message;
    case 'float32':
      return {
        kind,
        ...header,
        payload: new Float32Array(payload, offsetBytes, payloadBytes / FLOAT_BYTES),
      } as Message;
  }
}

function checkPayloadLength(kind: MessageKind, payloadBytes: number): void {
  const type = MESSAGES[kind].payload;
  if (type === 'none' && payloadBytes !== 0) {
    throw new ProtocolError(
      'ERR_MALFORMED_FRAME',
      `${kind}: ${countOf(payloadBytes, 'byte')} of payload, expected none`,
    );
  }
  if (type === 'float32' && payloadBytes % FLOAT_BYTES !== 0) {
    throw new ProtocolError(
      'ERR_MALFORMED_FRAME',
      `${kind}: ${countOf(payloadBytes, 'byte')} of payload, expected a multiple of 4`,
    );
  }
  if (payloadBytes > LIMITS.maxPayloadBytes) {
    const limit = `at most ${LIMITS.maxPayloadBytes}`;
    throw new ProtocolError(
      'ERR_FRAME_TOO_LARGE',
      `${kind}: ${countOf(payloadBytes, 'byte')} of payload, expected ${limit}`,
    );
  }
}

/** Checks the prefix up to the lengths; returns the kind. */
function decodeKind(frame: Uint8Array): MessageKind {
  if (frame.length < PREFIX_BYTES) {
    throw new ProtocolError(
      'ERR_MALFORMED_FRAME',
      `a frame of ${countOf(frame.length, 'byte')}, expected at least ${PREFIX_BYTES}`,
    );
  }
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint32(0, true) !== MAGIC) {
    throw new ProtocolError('ERR_BAD_MAGIC', 'not a gradsock frame: the first four bytes are not "GSCK"');
  }
  const version = view.getUint8(4);
  if (version !== PROTOCOL_VERSION) {
    throw new ProtocolError(
      'ERR_VERSION_MISMATCH',
      `the peer speaks protocol version ${version}, this program ${PROTOCOL_VERSION}: run the same gradsock on both sides`,
    );
  }
  const kind = KIND_BY_CODE.get(view.getUint8(5));
  if (kind === undefined) {
    throw new ProtocolError('ERR_UNKNOWN_KIND', `message kind ${view.getUint8(5)} is not in this protocol version`);
  }
  if (PAYLOAD_TYPES[view.getUint8(6)] !== MESSAGES[kind].payload) {
    throw new ProtocolError('ERR_MALFORMED_FRAME', `${kind}: the payload type is wrong`);
  }
  return kind;
}

function decodeHeader(kind: MessageKind, bytes: Uint8Array<ArrayBuffer>): Record<string, unknown> {
  if (!isPlainMsgpack(bytes))
    throw new ProtocolError('ERR_MALFORMED_HEADER', `${kind}: the header is not plain msgpack`);
  let header: unknown;
  try {
    header = packr.unpack(bytes);
  } catch (cause) {
    throw new ProtocolError('ERR_MALFORMED_HEADER', `${kind}: the header is not msgpack`, { cause });
  }
  const checked = MESSAGES[kind].header.safeParse(header);
  if (!checked.success) {
    const issue = checked.error.issues[0];
    const where = issue && issue.path.length > 0 ? ` at ${issue.path.join('.')}` : '';
    throw new ProtocolError('ERR_MALFORMED_HEADER', `${kind}: ${issue?.message ?? 'the header is wrong'}${where}`);
  }
  makePrintable(checked.data);
  return checked.data;
}

/** Replaces every text in a value by its printable form: what a peer says goes on to terminals and logs from here. */
function makePrintable(holder: Record<string, unknown> | unknown[]): void {
  const values = holder as Record<string, unknown>;
  for (const key of Object.keys(values)) {
    const value = values[key];
    if (typeof value === 'string') values[key] = printable(value);
    else if (typeof value === 'object' && value !== null) makePrintable(value as Record<string, unknown>);
  }
}

function align(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}
