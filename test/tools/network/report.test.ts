import { describe, expect, it } from 'vitest';
import { parseLink } from '../../../scripts/network/link.ts';
import {
  formatHandling,
  formatMeasured,
  formatOutlook,
  summariseErrors,
} from '../../../scripts/bench/network/report.ts';
import type { MeasuredRow } from '../../../scripts/bench/network/report.ts';

const row: MeasuredRow = {
  model: 'conv',
  numWorkers: 2,
  link: parseLink('1gbit/1ms'),
  wire: 'bf16',
  stepsPerEpoch: 24,
  otherLoad: 0.004,
  predictedMs: 110,
  aloneMs: 10,
  figures: {
    ...{ numSteps: 72, stepMs: 100, computeMs: 9.25, communicationMs: 80.5, waitMs: 4, applyMs: 1 },
    ...{ samplesPerSecond: 2560, bytesDown: 1_884_700, bytesUp: 1_884_900 },
  },
};

describe('what is printed', () => {
  it('a row for each case, with the distance of the prediction', () => {
    expect(formatMeasured([row]).split('\n')).toEqual([
      '| model | hosts | link           | wire | step, ms | predicted, ms | error | compute, ms | communication, ms | wait, ms | up, KB | down, KB | samples/s | efficiency | others had |',
      '| ----- | ----: | -------------- | ---- | -------: | ------------: | ----: | ----------: | ----------------: | -------: | -----: | -------: | --------: | ---------: | ---------: |',
      '| conv  |     2 | 1 Gbit/s, 1 ms | bf16 |      100 |           110 | +10 % |        9.25 |              80.5 |     4.00 |   1885 |     1885 |      2560 |       10 % |     0.40 % |',
    ]);
  });

  it('how near the predictions came', () => {
    const rows = [110, 60, 130].map((predictedMs) => ({ ...row, predictedMs }));
    expect(summariseErrors(rows)).toBe(
      'Predictions within 25 % of the measured step: 1 of 3; median error 30 %, largest 40 %.',
    );
  });

  it('calibrations by the megabyte, and the outlook with the faster algorithm', () => {
    const handling = { fixedMs: 0.5, msPerByte: 3e-6 };
    expect(formatHandling([{ hosts: '2, sharing', wire: 'f32', handling }])).toContain(
      '| 2, sharing | f32  |      0.50 |    3.00 |',
    );
    const outcomes = { star: { stepMs: 1000, efficiency: 0.005 }, ring: { stepMs: 50, efficiency: 0.2 } };
    expect(
      formatOutlook([{ model: 'conv', wire: 'f32', link: row.link, numWorkers: 64, outcomes, winner: 'ring' }]),
    ).toContain(
      '| conv  | f32  | 1 Gbit/s, 1 ms |      64 |     1000 |           0.50 % |     50.0 |             20 % | ring   |',
    );
  });
});
