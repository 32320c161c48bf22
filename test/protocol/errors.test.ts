import { describe, expect, test } from 'vitest';
import { ConfigError, describeError, printable, ProtocolError } from '../../protocol/errors.ts';
import { createAssembler } from '../../protocol/wire/assembler.ts';
import { encodeFrame } from '../../protocol/wire/frame.ts';
import { SAMPLE_MESSAGES } from '../helpers/messages.ts';

/** Red, a cleared line, an 8-bit control sequence, a forged line, a reversed order. */
const HOSTILE = 'w\u001b[31m\u009b2Jorker\r\nepoch 1, loss 0\u0000\u202e\u2028!';
const CLEAN = 'w [31m 2Jorker epoch 1, loss 0 !';

describe('text from others is printable', () => {
  test('where a frame is decoded: names, reasons, errors, and what lies deeper', () => {
    const decode = (message: Parameters<typeof encodeFrame>[0]) =>
      createAssembler().accept(Buffer.from(encodeFrame(message).head));
    expect(decode({ ...SAMPLE_MESSAGES.hello, name: HOSTILE })).toMatchObject({ name: CLEAN });
    expect(decode({ kind: 'leave', reason: HOSTILE })).toMatchObject({ reason: CLEAN });
    expect(decode({ kind: 'shutdown', reason: HOSTILE })).toMatchObject({ reason: CLEAN });
    expect(decode({ kind: 'error', code: 'ERR_ENGINE', message: HOSTILE })).toMatchObject({ message: CLEAN });
    expect(decode({ ...SAMPLE_MESSAGES.ready, engine: HOSTILE, device: HOSTILE })).toMatchObject({
      engine: CLEAN,
      device: CLEAN,
    });
    const { model } = SAMPLE_MESSAGES.welcome;
    expect(decode({ ...SAMPLE_MESSAGES.welcome, runId: HOSTILE })).toMatchObject({ runId: CLEAN, model });
  });

  test('in errors: a peer has one line, a mistake of the user may have several', () => {
    expect(new ProtocolError('ERR_CLOSED', `lost (1000, ${HOSTILE})`).message).toBe(`lost (1000, ${CLEAN})`);
    expect(new ConfigError('not a ModelSpec:\n  name: \u001b[31mred').message).toBe(
      'not a ModelSpec:\n  name:  [31mred',
    );
  });

  test('but for what people write', () => {
    expect(printable('größer als 3 · 日本語 👍')).toBe('größer als 3 · 日本語 👍');
  });
});

test('an error of several addresses is described by each of them', () => {
  const both = new AggregateError([
    new Error('connect ECONNREFUSED ::1:1'),
    new Error('connect ECONNREFUSED 127.0.0.1:1'),
  ]);
  expect(describeError(both)).toBe('connect ECONNREFUSED ::1:1, connect ECONNREFUSED 127.0.0.1:1');
});
