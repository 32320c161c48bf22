/** The bytes of event files. */
import { expect, test } from 'vitest';
import { crc32c } from '../../../../coordinator/crc32.ts';
import {
  fileVersionEvent,
  frameRecord,
  imageEvent,
  scalarsEvent,
  sessionStartEvent,
} from '../../../../coordinator/reporting/tensorboard/event.ts';
import { slowCrc32c } from '../../../helpers/event-files.ts';

test.each([
  ['the usual check', Buffer.from('123456789'), 0xe3069283],
  ['32 bytes of 0', new Uint8Array(32), 0x8a9136aa],
  ['32 bytes of 255', new Uint8Array(32).fill(255), 0x62a8ab43],
  ['0 to 31', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  ['31 to 0', Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
  ['nothing', new Uint8Array(0), 0],
])('CRC-32C of %s is as RFC 3720 has it', (_, bytes, expected) => {
  expect(crc32c(bytes)).toBe(expected);
  expect(slowCrc32c(bytes)).toBe(expected);
});

test('CRC-32C by a table is CRC-32C bit by bit, for every byte', () => {
  for (let byte = 0; byte < 256; byte++) {
    const bytes = Uint8Array.of(byte, 255 - byte, byte);
    expect(crc32c(bytes)).toBe(slowCrc32c(bytes));
  }
});

/** As TensorBoard 2.21.0's own RecordWriter writes them. */
test.each([
  [
    'version',
    fileVersionEvent(1.5),
    '1800000000000000 a37f4b22 09000000000000f83f 1a0d 627261696e2e4576656e743a32 2a28646c',
  ],
  [
    'start of a session',
    sessionStartEvent(1.5, 301),
    '1000000000000000 95fbfe18 09000000000000f83f 10ad02 3a020801 d17949d4',
  ],
  [
    'scalars',
    scalarsEvent(1.5, 300, { loss: 0.25, 'time/x': -2 }),
    '2a00000000000000 ae8d91f5 09000000000000f83f 10ac02 2a1c ' +
      '0a0b 0a046c6f7373 150000803e 0a0d 0a0674696d652f78 15000000c0 44d9eb25',
  ],
  [
    'image',
    imageEvent(1.5, 300, 'confusion_matrix', { png: Buffer.from('89504e47', 'hex'), side: 20 }),
    '3000000000000000 95f5d05f 09000000000000f83f 10ac02 2a22 ' +
      '0a20 0a10636f6e667573696f6e5f6d6174726978 220c 0814 1014 1803 220489504e47 cfd0d629',
  ],
])('the record of a %s has these bytes', (_, event, hex) => {
  expect(Buffer.from(frameRecord(event)).toString('hex')).toBe(hex.replaceAll(' ', ''));
});
