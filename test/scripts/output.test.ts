import { afterEach, describe, expect, test } from 'vitest';
import { interruptSignal } from '../../scripts/process.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const before = new Map(SIGNALS.map((signal) => [signal, process.listeners(signal)]));
const onDisconnect = process.listeners('disconnect');

afterEach(() => {
  for (const [signal, kept] of before) {
    for (const listener of process.listeners(signal)) if (!kept.includes(listener)) process.off(signal, listener);
  }
  for (const listener of process.listeners('disconnect')) {
    if (!onDisconnect.includes(listener)) process.off('disconnect', listener);
  }
});

describe('a terminal that goes away', () => {
  test('ends a run that writes to it as SIGTERM does, however often it says so', () => {
    let numTold = 0;
    const signal = interruptSignal(() => numTold++, { isTTY: true });
    process.emit('SIGHUP');
    process.emit('SIGHUP');
    expect(signal.aborted).toBe(true);
    expect(numTold).toBe(1);
  });

  test('does not end a run that writes elsewhere', () => {
    const signal = interruptSignal(() => {}, { isTTY: false });
    process.emit('SIGHUP');
    expect(signal.aborted).toBe(false);
    expect(process.listenerCount('SIGHUP')).toBeGreaterThan(0);
  });
});
