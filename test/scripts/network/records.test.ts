import { describe, expect, it } from 'vitest';
import { figuresOf, parseEpochs } from '../../../scripts/network/records.ts';

const record = {
  epoch: 1,
  loss: 2.3,
  seconds: 0.4,
  samples: 2560,
  steps: 10,
  computePartSeconds: 0.1,
  encodePartSeconds: 0.02,
  wirePartSeconds: 0.2,
  waitPartSeconds: 0.04,
  reducePartSeconds: 0.02,
  applyPartSeconds: 0.01,
  otherPartSeconds: 0.01,
  bytesSent: 40_000,
  bytesReceived: 80_000,
  workers: [{ name: 'host-1' }, { name: 'host-2' }],
};
const lines = (...records: object[]) => `${records.map((one) => JSON.stringify(one)).join('\n')}\n`;

describe('records of epochs', () => {
  it('the first half of the epochs is left out; the others make the figures of a step', () => {
    const slow = { ...record, seconds: 9, bytesSent: 1e9 };
    const figures = figuresOf(parseEpochs(lines(slow, slow, record, { ...record, seconds: 0.6 })));
    expect(figures.numSteps).toBe(20);
    expect(figures.stepMs).toBeCloseTo(50, 9);
    expect(figures.computeMs).toBeCloseTo(10, 9);
    expect(figures.communicationMs).toBeCloseTo(24, 9);
    expect(figures.waitMs).toBeCloseTo(4, 9);
    expect(figures.applyMs).toBeCloseTo(1, 9);
    expect(figures.samplesPerSecond).toBeCloseTo(5120, 9);
    // A step's, of one of the two workers.
    expect(figures.bytesDown).toBe(2000);
    expect(figures.bytesUp).toBe(4000);
  });

  it('one epoch is not enough', () => {
    expect(() => figuresOf(parseEpochs(lines(record)))).toThrow('1 epoch recorded: expected 2 or more');
  });

  it('a line that is no record is named, with what is wrong with it', () => {
    expect(() => parseEpochs(lines(record) + '{"epo')).toThrow('epochs.jsonl, line 2: expected JSON, got "{\\"epo"');
    expect(() => parseEpochs(lines({ ...record, steps: 0 }))).toThrow(/^epochs\.jsonl, line 1: steps: /);
    expect(() => parseEpochs(lines({ ...record, wirePartSeconds: -1 }))).toThrow(
      /^epochs\.jsonl, line 1: wirePartSeconds: /,
    );
  });
});
