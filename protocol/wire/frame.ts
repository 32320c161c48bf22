/**
 * Frames: the bytes of a message. The only place where bytes become trusted messages, and messages bytes.
 *
 *     offset  size
 *          0     4  magic "GSCK"
 *          4     1  protocol version
 *          5     1  message kind (its code)
 *          6     1  payload type: 0 none, 1 float32, 2 bytes
 *          7     1  reserved, 0
 *          8     4  header length H in bytes
 *         12     4  payload length P in bytes
 *         16     H  header: msgpack, checked by the kind's schema
 *       16+H        zeros up to the next multiple of 8
 *                P  payload, little-endian; ends with the frame
 *
 * Numbers are little-endian. A WebSocket message is one frame.
 */
import { Packr } from 'msgpackr';
import { internalError, ProtocolError } from '../errors.ts';
import { LIMITS } from './limits.ts';
import { MESSAGES, PROTOCOL_VERSION } from './messages.ts';
import type { Message, MessageKind, PayloadType } from './messages.ts';

const MAGIC = 0x4b435347; // "GSCK", read as a little-endian number
const PREFIX_BYTES = 16;
const ALIGNMENT = 8;
const PAYLOAD_TYPES = ['none', 'float32', 'bytes'] as const satisfies PayloadType[];

const KIND_BY_CODE = new Map(
  (Object.keys(MESSAGES) as MessageKind[]).map((kind) => [MESSAGES[kind].code as number, kind]),
);

// Headers are plain maps: no shared structures between messages, so that each frame can be read by itself.
const packr = new Packr({ useRecords: false });

/** A frame in the two pieces in which it is sent, so that a payload of megabytes is not copied to join them. */
export interface EncodedFrame {
  /** Prefix, header and padding. */
  readonly head: Uint8Array<ArrayBuffer>;
  /** A view of the message's payload, not a copy; empty for kinds without one. */
  readonly payload: Uint8Array<ArrayBuffer>;
}

/** Packs a message. Trusts it: what this program sends has been checked by its types. */
export function encodeFrame(message: Message): EncodedFrame {
  const { kind, payload, ...header } = message as Message & { payload?: Float32Array<ArrayBuffer> };
  const payloadType = MESSAGES[kind].payload;
  const headerBytes = packr.pack(header);
  const head = new Uint8Array(align(PREFIX_BYTES + headerBytes.length));
  const payloadBytes = payload
    ? new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength)
    : new Uint8Array(0);
  if (headerBytes.length > LIMITS.maxHeaderBytes) throw internalError(`${kind}: header of ${headerBytes.length} bytes`);
  if ((payloadType === 'none') !== (payload === undefined))
    throw internalError(`${kind}: payload does not fit the kind`);

  const view = new DataView(head.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint8(4, PROTOCOL_VERSION);
  view.setUint8(5, MESSAGES[kind].code);
  view.setUint8(6, PAYLOAD_TYPES.indexOf(payloadType));
  view.setUint32(8, headerBytes.length, true);
  view.setUint32(12, payloadBytes.length, true);
  head.set(headerBytes, PREFIX_BYTES);
  return { head, payload: payloadBytes };
}

/**
 * Reads and checks a frame from anyone.
 *
 * The payload is a view of `frame` where that is aligned for its type, else a copy. Throws `ProtocolError` with a code
 * for every way in which the bytes can be wrong; never anything else, and never reads past what is there.
 */
export function decodeFrame(frame: Uint8Array<ArrayBuffer>): Message {
  const kind = decodeKind(frame);
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const headerLength = view.getUint32(8, true);
  const payloadLength = view.getUint32(12, true);
  if (headerLength > LIMITS.maxHeaderBytes) {
    throw new ProtocolError(
      'ERR_MALFORMED_FRAME',
      `${kind}: a header of ${headerLength} bytes, expected at most ${LIMITS.maxHeaderBytes}`,
    );
  }
  const payloadStart = align(PREFIX_BYTES + headerLength);
  if (frame.length !== payloadStart + payloadLength) {
    throw new ProtocolError(
      'ERR_MALFORMED_FRAME',
      `${kind}: ${frame.length} bytes, but its lengths call for ${payloadStart + payloadLength}`,
    );
  }

  const header = decodeHeader(kind, frame.subarray(PREFIX_BYTES, PREFIX_BYTES + headerLength));
  const payload = new Uint8Array(frame.buffer, frame.byteOffset + payloadStart, payloadLength);
  switch (MESSAGES[kind].payload) {
    case 'none':
      if (payloadLength !== 0) {
        throw new ProtocolError('ERR_MALFORMED_FRAME', `${kind}: ${payloadLength} bytes of payload, expected none`);
      }
      return { kind, ...header } as Message;
    case 'bytes':
      return { kind, ...header, payload } as Message;
    case 'float32':
      return { kind, ...header, payload: asFloats(kind, payload) } as Message;
  }
}

/** Checks the prefix up to the lengths; returns the kind. */
function decodeKind(frame: Uint8Array): MessageKind {
  if (frame.length < PREFIX_BYTES) {
    throw new ProtocolError(
      'ERR_MALFORMED_FRAME',
      `a frame of ${frame.length} bytes, expected at least ${PREFIX_BYTES}`,
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
  if (PAYLOAD_TYPES[view.getUint8(6)] !== MESSAGES[kind].payload || view.getUint8(7) !== 0) {
    throw new ProtocolError('ERR_MALFORMED_FRAME', `${kind}: payload type or reserved byte is wrong`);
  }
  return kind;
}

function decodeHeader(kind: MessageKind, bytes: Uint8Array): Record<string, unknown> {
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
  return checked.data;
}

function asFloats(kind: MessageKind, bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const { BYTES_PER_ELEMENT } = Float32Array;
  if (bytes.length % BYTES_PER_ELEMENT !== 0) {
    throw new ProtocolError('ERR_MALFORMED_FRAME', `${kind}: ${bytes.length} bytes of payload are no whole float32s`);
  }
  const aligned = bytes.byteOffset % BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice();
  return new Float32Array(aligned.buffer, aligned.byteOffset, bytes.length / BYTES_PER_ELEMENT);
}

function align(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}
