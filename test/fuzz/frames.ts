/**
 * Generators of frames that know the format: sound ones, and ones that are wrong in each way that a frame can be. An
 * input is a list of WebSocket messages, a head and the pieces of its payload.
 */
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { encodeFrame, PIECE_BYTES } from '../../protocol/wire/frame.ts';
import { LIMITS } from '../../protocol/wire/limits.ts';
import { MESSAGES, PROTOCOL_VERSION } from '../../protocol/wire/messages.ts';
import type { Message } from '../../protocol/wire/messages.ts';
import { ALL_MESSAGES, RECIPE_WELCOME, SAMPLE_MESSAGES } from '../helpers/messages.ts';

export type Bytes = Uint8Array<ArrayBuffer>;

export interface FrameInput {
  readonly what: string;
  readonly parts: readonly Bytes[];
  /** What a sound input must decode to. */
  readonly message?: Message;
}

const PREFIX_BYTES = 24;
const packr = new Packr({ useRecords: false });

/** The memories that a receiver of these inputs shares: those that name a place mean one of them, or miss. */
export const SHARED_BYTES = 4096;

/** Head, then pieces. */
export function partsOf(message: Message): Bytes[] {
  const { head, payload } = encodeFrame(message);
  return [head, ...piecesOf(payload)];
}

function piecesOf(payload: Bytes): Bytes[] {
  const pieces = [];
  for (let at = 0; at < payload.length; at += PIECE_BYTES) pieces.push(payload.slice(at, at + PIECE_BYTES));
  return pieces;
}

interface Prefix {
  readonly code: number;
  readonly payloadType?: number;
  readonly place?: number;
  readonly headerBytes?: number;
  readonly payloadBytes?: number;
  readonly offset?: number;
}

/** A head made by hand: what `prefix` leaves out is as it should be. */
function craftHead(prefix: Prefix, header: Uint8Array): Bytes {
  const head = Buffer.alloc(Math.ceil((PREFIX_BYTES + header.length) / 8) * 8);
  head.write('GSCK', 'latin1');
  head.set([PROTOCOL_VERSION, prefix.code, prefix.payloadType ?? 0, prefix.place ?? 0], 4);
  head.writeUInt32LE(prefix.headerBytes ?? header.length, 8);
  head.writeUInt32LE(prefix.payloadBytes ?? 0, 12);
  head.writeUInt32LE(prefix.offset ?? 0, 16);
  head.set(header, PREFIX_BYTES);
  return Uint8Array.from(head);
}

/** A head of the message's kind around another header. */
function withHeader(message: Message, header: Uint8Array): Bytes[] {
  const [head, ...pieces] = partsOf(message) as [Bytes, ...Bytes[]];
  const payloadBytes = pieces.reduce((sum, { length }) => sum + length, 0);
  return [craftHead({ code: head[5]!, payloadType: head[6]!, payloadBytes }, header), ...pieces];
}

function patched(head: Bytes, change: (view: DataView) => void): Bytes {
  const copy = head.slice();
  if (copy.length >= PREFIX_BYTES) change(new DataView(copy.buffer));
  return copy;
}

const anyMessage = fc.constantFrom(...ALL_MESSAGES, RECIPE_WELCOME);
const payloadKinds = ALL_MESSAGES.filter(({ kind }) => MESSAGES[kind].payload !== 'none');
const anyBytes = fc.uint8Array({ maxLength: 64 }) as fc.Arbitrary<Bytes>;

/** Lengths at which something begins or ends. */
const anyLength = fc.oneof(
  fc.constantFrom(0, 1, 3, 4, 7, 8, PIECE_BYTES - 4, PIECE_BYTES, PIECE_BYTES + 4, 2 * PIECE_BYTES, 40_000),
  fc.nat({ max: 64 }),
);
const anyWord = fc.oneof(
  fc.constantFrom(
    0,
    1,
    8,
    2 ** 16,
    2 ** 16 + 1,
    2 ** 20,
    2 ** 24,
    2 ** 30 - 4,
    2 ** 30,
    2 ** 30 + 4,
    2 ** 31,
    2 ** 32 - 1,
  ),
  fc.nat({ max: 2 ** 32 - 1 }),
);

/** A message with another payload than its sample has. */
function withPayload(message: Message, numBytes: number, fill: number): Message {
  const type = MESSAGES[message.kind].payload;
  if (type === 'float32') return { ...message, payload: new Float32Array(numBytes >> 2).fill(fill / 7) } as Message;
  return type === 'bytes' ? ({ ...message, payload: new Uint8Array(numBytes).fill(fill) } as Message) : message;
}

const sound = fc.tuple(anyMessage, anyLength, fc.nat({ max: 255 })).map(([sample, numBytes, fill]): FrameInput => {
  const message = withPayload(sample, numBytes, fill);
  return { what: 'sound', message, parts: partsOf(message) };
});

const cut = fc.tuple(anyMessage, anyLength, fc.nat(), fc.nat()).map(([sample, numBytes, which, at]): FrameInput => {
  const parts = partsOf(withPayload(sample, numBytes, 1));
  const part = parts[which % parts.length]!;
  parts[which % parts.length] = part.slice(0, at % (part.length + 1));
  return { what: 'truncated', parts };
});

const long = fc.tuple(anyMessage, anyLength, fc.nat(), anyBytes).map(([sample, numBytes, which, more]): FrameInput => {
  const parts = partsOf(withPayload(sample, numBytes, 1));
  const at = which % (parts.length + 1);
  if (at === parts.length) parts.push(more);
  else parts[at] = Uint8Array.from([...parts[at]!, ...more]);
  return { what: 'oversized', parts };
});

const lengths = fc
  .tuple(anyMessage, fc.constantFrom(8, 12, 16, 20), anyWord, fc.integer({ min: -8, max: 8 }), fc.boolean())
  .map(([message, at, word, difference, isNear]): FrameInput => {
    const [head, ...pieces] = partsOf(message) as [Bytes, ...Bytes[]];
    const wrong = patched(head, (view) => {
      view.setUint32(at, isNear ? view.getUint32(at, true) + difference : word, true);
    });
    return { what: 'wrong lengths', parts: [wrong, ...pieces] };
  });

const prefixes = fc
  .tuple(
    anyMessage,
    fc.array(fc.tuple(fc.integer({ min: 4, max: 7 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 2 }),
  )
  .map(([message, changes]): FrameInput => {
    const [head, ...pieces] = partsOf(message) as [Bytes, ...Bytes[]];
    const wrong = patched(head, (view) => changes.forEach(([at, value]) => view.setUint8(at, value)));
    return { what: 'wrong kinds, types, versions', parts: [wrong, ...pieces] };
  });

/** Kinds changed for one another, with the types that belong to them: the header does not. */
const swapped = fc.tuple(anyMessage, anyMessage).map(([message, other]): FrameInput => {
  const [head, ...pieces] = partsOf(message) as [Bytes, ...Bytes[]];
  const { head: otherHead } = encodeFrame(other);
  const wrong = head.slice();
  wrong.set(otherHead.subarray(5, 7), 5);
  return { what: 'headers of another kind', parts: [wrong, ...pieces] };
});

/** Claims of a msgpack header: a type and a count, of which little follows. */
const claims: [number, number][] = [
  [0xc4, 1],
  [0xc5, 2],
  [0xc6, 4],
  [0xc7, 1],
  [0xc8, 2],
  [0xc9, 4],
  [0xd9, 1],
  [0xda, 2],
  [0xdb, 4],
  [0xdc, 2],
  [0xdd, 4],
  [0xde, 2],
  [0xdf, 4],
];

function claim([type, width]: [number, number], count: number): Buffer {
  const bytes = Buffer.alloc(1 + width, type);
  bytes.writeUIntBE(count % 256 ** width, 1, width);
  return bytes;
}

const repeat = (bytes: readonly number[], times: number): Buffer =>
  Buffer.concat(Array.from({ length: times }, () => Buffer.from(bytes)));

/** Extension of 4 bytes: `type`, then a number. */
const extension = (type: number, id: number): Buffer => Buffer.from([0xd6, type, 0, 0, 0, id]);

/** Lists of references to the list before, `width` each: `width ** depth` values in a few hundred bytes. */
function references(width: number, depth: number): Buffer {
  const lists = Array.from({ length: depth }, (_, level) => {
    const items =
      level === 0 ? repeat([1], width) : Buffer.concat(Array.from({ length: width }, () => extension(0x70, level - 1)));
    return Buffer.concat([extension(0x69, level), Buffer.from([0x90 + width]), items]);
  });
  return Buffer.concat([Buffer.from([0x90 + depth]), ...lists]);
}

/** Definitions of records with `numFields` each, each used often enough to be compiled. */
function records(numFields: number, times: number): Buffer {
  const fields = Array.from({ length: numFields }, (_, i) => packr.pack(`f${i}`));
  const definition = Buffer.concat([
    Buffer.from([0xd4, 0x72, 0x40, 0x90 + numFields]),
    ...fields,
    repeat([1], numFields),
  ]);
  const uses = repeat([0x40, ...Array.from({ length: numFields }, () => 1)], 4);
  return Buffer.concat([
    claim([0xdc, 2], 5 * times),
    ...Array.from({ length: times }, () => Buffer.concat([definition, uses])),
  ]);
}

const small = fc.integer({ min: 1, max: 15 });
const bombHeader = fc.oneof(
  fc
    .tuple(fc.constantFrom(...claims), anyWord, anyBytes)
    .map(([type, count, rest]) => Buffer.concat([claim(type, count), rest])),
  // Claims within claims.
  fc
    .tuple(fc.constantFrom(...claims), anyWord, fc.integer({ min: 1, max: 2000 }))
    .map(([type, count, times]) => repeat([...claim(type, count)], times)),
  // A deep nest, up to the longest header.
  fc
    .tuple(
      fc.constantFrom([0x91], [0x81, 0xa0], [0xdc, 0, 1], [0xd4, 0x73, 0]),
      fc.constantFrom(4, 9, 100, 3000, 16_000),
    )
    .map(([level, depth]) => Buffer.concat([repeat(level, depth), Buffer.from([0xc0])])),
  fc.tuple(small, small, anyBytes).map(([width, depth, rest]) => Buffer.concat([references(width, depth), rest])),
  fc.tuple(small, fc.integer({ min: 1, max: 40 })).map(([numFields, times]) => records(numFields, times)),
  // Any extension at all.
  fc.tuple(fc.nat({ max: 255 }), anyBytes).map(([type, rest]) => Buffer.from([0xc7, rest.length, type, ...rest])),
  // A bundle of strings that lies elsewhere, a regular expression, an error, a typed array.
  fc
    .tuple(fc.constantFrom(0x62, 0x78, 0x65, 0x74, 0x42, 0xff), anyBytes)
    .map(([type, rest]) => Buffer.from([0xd6, type, ...rest])),
  fc.constant(Buffer.concat([claim([0xdc, 2], 20_000), repeat([0xc0], 20_000)])),
  fc.constant(Buffer.concat([claim([0xda, 2], 60_000), Buffer.alloc(60_000, 'x')])),
);

const bombs = fc.tuple(anyMessage, bombHeader, fc.boolean()).map(([message, header, isField]): FrameInput => {
  // By itself, or as the value of one more field of a header that is sound.
  const [head] = partsOf(message) as [Bytes];
  const length = new DataView(head.buffer).getUint32(8, true);
  const own = head.slice(PREFIX_BYTES, PREFIX_BYTES + length);
  const wrapped = Buffer.concat([own, packr.pack('extra'), header]);
  // msgpackr writes maps in the 16-bit form.
  if (own[0] === 0xde) wrapped[2]! += 1;
  const bytes = (isField ? wrapped : header).subarray(0, LIMITS.maxHeaderBytes);
  return { what: 'header bombs', parts: withHeader(message, bytes) };
});

const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    '',
    -1,
    0,
    1,
    1.5,
    2 ** 31,
    2 ** 53,
    1e300,
    NaN,
    Infinity,
    -Infinity,
    -0,
    [],
    {},
  ),
  fc.string({ maxLength: 8 }),
  fc.constantFrom('x'.repeat(501), 'ä€😀', 'constructor', '__proto__', 'ab'.repeat(32)),
  fc.anything({
    maxDepth: 2,
    maxKeys: 3,
    withBigInt: false,
    withDate: false,
    withMap: false,
    withSet: false,
    withTypedArray: false,
  }),
);

const fields = fc
  .tuple(
    anyMessage,
    fc.constantFrom('replace', 'remove', 'add', 'again'),
    fc.nat(),
    hostileValue,
    fc.constantFrom('__proto__', 'constructor', 'kind', 'payload', '', 'x'),
  )
  .map(([message, action, which, value, name]): FrameInput => {
    const entries = Object.entries(message).filter(([key]) => key !== 'kind' && key !== 'payload') as [
      string,
      unknown,
    ][];
    const at = which % Math.max(1, entries.length);
    // Of a message without fields there is only one thing that can be wrong.
    if (action === 'add' || entries.length === 0) entries.push([name, value]);
    else if (action === 'replace') entries[at] = [entries[at]![0], value];
    else if (action === 'remove') entries.splice(at, 1);
    else entries.push([entries[at]![0], value]);
    // By hand: an object would lose fields that come twice.
    const bytes = [
      claim([0xde, 2], entries.length),
      ...entries.flatMap(([key, of]) => [packr.pack(key), packr.pack(of)]),
    ];
    return { what: 'wrong fields', parts: withHeader(message, Buffer.concat(bytes)) };
  });

const strings = fc
  .tuple(anyMessage, fc.nat(), fc.constantFrom(0x80, 0xbf, 0xc0, 0xc3, 0xe2, 0xed, 0xf5, 0xff))
  .map(([message, which, byte]): FrameInput => {
    const parts = partsOf(message);
    const head = parts[0]!;
    const letters = [...head.keys()].filter((at) => at >= PREFIX_BYTES && head[at]! >= 0x61 && head[at]! <= 0x7a);
    const at = letters[which % letters.length];
    if (at !== undefined) head[at] = byte;
    return { what: 'strings that are no UTF-8', parts };
  });

const places = fc
  .tuple(
    fc.constantFrom(...payloadKinds),
    fc.integer({ min: 0, max: 3 }),
    fc.oneof(fc.nat({ max: SHARED_BYTES / 8 + 1 }), anyWord),
    fc.oneof(fc.nat({ max: SHARED_BYTES + 8 }), anyWord),
    fc.boolean(),
  )
  .map(([message, place, offset, payloadBytes, follows]): FrameInput => {
    const [head, ...pieces] = partsOf(message) as [Bytes, ...Bytes[]];
    const wrong = patched(head, (view) => {
      view.setUint8(7, place);
      view.setUint32(12, payloadBytes, true);
      view.setUint32(16, offset, true);
    });
    return { what: 'places in shared memory', parts: follows ? [wrong, ...pieces] : [wrong] };
  });

const reordered = fc
  .tuple(
    fc.constantFrom(...payloadKinds),
    fc.constantFrom(20_000, 40_000),
    fc.nat(),
    fc.nat(),
    fc.constantFrom('swap', 'repeat', 'drop'),
  )
  .map(([sample, numBytes, first, second, action]): FrameInput => {
    const parts = partsOf(withPayload(sample, numBytes, 3));
    const [a, b] = [first % parts.length, second % parts.length];
    if (action === 'swap') [parts[a], parts[b]] = [parts[b]!, parts[a]!];
    else if (action === 'repeat') parts.splice(a, 0, parts[b]!);
    else parts.splice(a, 1);
    return { what: 'pieces out of order', parts };
  });

const tensors = fc
  .tuple(fc.constantFrom(...payloadKinds), anyLength, anyLength)
  .map(([message, claimed, sent]): FrameInput => {
    const head = patched(encodeFrame(message).head, (view) => view.setUint32(12, claimed, true));
    return { what: 'payloads of another length', parts: [head, ...piecesOf(new Uint8Array(sent))] };
  });

const mutation = fc.record({
  at: fc.nat(),
  bit: fc.nat({ max: 7 }),
  action: fc.constantFrom('flip', 'insert', 'delete'),
});
const mutated = fc
  .tuple(anyMessage, anyMessage, fc.array(mutation, { minLength: 1, maxLength: 6 }), fc.option(fc.nat()))
  .map(([message, other, mutations, spliceAt]): FrameInput => {
    const [head, ...pieces] = partsOf(message) as [Bytes, ...Bytes[]];
    let bytes = [...head];
    if (spliceAt !== null) {
      const at = spliceAt % bytes.length;
      bytes = [...bytes.slice(0, at), ...encodeFrame(other).head.slice(at)];
    }
    for (const { at, bit, action } of mutations) {
      const where = at % Math.max(1, bytes.length);
      if (action === 'flip') bytes[where] = (bytes[where] ?? 0) ^ (1 << bit);
      else bytes.splice(where, action === 'delete' ? 1 : 0, ...(action === 'insert' ? [1 << bit] : []));
    }
    return { what: 'random mutations', parts: [Uint8Array.from(bytes), ...pieces] };
  });

const noise = fc.array(anyBytes, { minLength: 1, maxLength: 3 }).map((parts): FrameInput => ({ what: 'noise', parts }));

/** Any of the above. */
export const frameInputs: fc.Arbitrary<FrameInput> = fc.oneof(
  sound,
  cut,
  long,
  lengths,
  prefixes,
  swapped,
  bombs,
  fields,
  strings,
  places,
  reordered,
  tensors,
  mutated,
  noise,
);

/** Without this kind of message: no head claims to be one. */
export const frameInputsWithout = (kind: Message['kind']): fc.Arbitrary<FrameInput> =>
  frameInputs.filter(({ parts }) => parts.every((part) => part[5] !== MESSAGES[kind].code));

export const helloParts = (): Bytes[] => partsOf(SAMPLE_MESSAGES.hello);
