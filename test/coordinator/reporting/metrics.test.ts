import { describe, expect, test } from 'vitest';
import type { Member } from '../../../coordinator/members/member.ts';
import { openEpochMetrics } from '../../../coordinator/reporting/metrics.ts';
import { breakdownLine, epochLine } from '../../../coordinator/reporting/run-lines.ts';
import type { EpochRecord } from '../../../coordinator/reporting/reporter.ts';
import { memoryTransportPair } from '../../../protocol/wire/transport.ts';

const member = (id: string): Member => ({
  id,
  name: id,
  engine: 'onnx',
  device: 'cpu',
  threads: 1,
  transport: memoryTransportPair()[0],
});
const [a, b] = [member('a'), member('b')];

describe('the parts of a step', () => {
  const moments = {
    startMs: 1000,
    arrivals: [
      { member: a, atMs: 1010, numSamples: 128, computeMs: 6, encodeMs: 1, applyMs: 0.5 },
      { member: b, atMs: 1014, numSamples: 128, computeMs: 9, encodeMs: 1, applyMs: 0.5 },
    ],
    reducedMs: 1015,
    sentMs: 1016.5,
    ownApplyMs: 0.75,
  };

  test('are the first arrival’s own work, wire for the rest, wait, reduce, and the packing of the update', () => {
    const metrics = openEpochMetrics(999, [a, b]);
    metrics.recordStep(moments);
    const { wallMs, breakdown, workers, slowest } = metrics.close(1017);
    expect(wallMs).toBe(18);
    expect(breakdown).toEqual({
      computeMs: 6,
      applyMs: 0.75,
      encodeMs: 1 + 1.5,
      wireMs: 10 - 6 - 0.75 - 1,
      waitMs: 4,
      reduceMs: 1,
      otherMs: 1 + 0.5,
    });
    expect(workers.map(({ waitMs, communicationMs }) => [waitMs, communicationMs])).toEqual([
      [4, 10 - 6 - 0.5],
      [0, 14 - 9 - 0.5],
    ]);
    expect([slowest.member, slowest.delayMs]).toEqual([b, 4]);
  });

  test('hold what workers did among themselves: their packing, their adding, and wire for the rest', () => {
    const metrics = openEpochMetrics(1000, [a, b]);
    metrics.recordStep({ ...moments, reducedMs: 1020, sentMs: 1020, peerExchange: { encodeMs: 2, reduceMs: 1 } });
    const { breakdown, workers } = metrics.close(1020);
    expect(breakdown).toEqual({
      computeMs: 6,
      applyMs: 0.75,
      encodeMs: 1 + 2,
      wireMs: 10 - 6 - 0.75 - 1 + (6 - 2 - 1),
      waitMs: 4,
      reduceMs: 1,
      otherMs: 0,
    });
    expect(workers.map(({ communicationMs }) => communicationMs)).toEqual([10 - 6 - 0.5 + 6, 14 - 9 - 0.5 + 6]);
  });

  test('of a worker that comes back in the middle of an epoch go to the totals that it has', () => {
    const metrics = openEpochMetrics(1000, [a, b]);
    metrics.recordStep(moments);
    const again = member('a');
    metrics.recordStep({ ...moments, arrivals: [{ ...moments.arrivals[0]!, member: again }, moments.arrivals[1]!] });
    const { workers } = metrics.close(1017);
    expect(workers.map(({ member: { id }, samples, computeMs }) => [id, samples, computeMs])).toEqual([
      ['a', 256, 12],
      ['b', 256, 18],
    ]);
    expect(workers[0]!.member).toBe(again);
  });

  test('never exceed the time that was seen, when a worker began before the step was counted', () => {
    const metrics = openEpochMetrics(1000, [a]);
    metrics.recordStep({
      ...moments,
      arrivals: [{ ...moments.arrivals[0]!, computeMs: 12 }],
      reducedMs: 1010,
      sentMs: 1010,
    });
    expect(metrics.close(1010).breakdown).toMatchObject({ computeMs: 10, wireMs: 0, applyMs: 0, otherMs: 0 });
  });

  test('never are more than the time of the step, when its first answer is older than the step itself', () => {
    const metrics = openEpochMetrics(1000, [a, b]);
    const [early, late] = moments.arrivals;
    metrics.recordStep({ ...moments, arrivals: [{ ...early!, atMs: 998 }, late!] });
    const { wallMs, parts } = metrics.settle(1016.5);
    expect(wallMs).toBe(16.5);
    expect(parts).toMatchObject({ computeMs: 0, applyMs: 0, wireMs: 0, waitMs: 14, otherMs: 0 });
    expect(parts).toMatchObject({ reduceMs: 1, encodeMs: 1.5 });
  });

  test('settle step by step, with what lies between steps as other, and add up to the epoch', () => {
    const metrics = openEpochMetrics(999, [a, b]);
    metrics.recordStep(moments);
    const first = metrics.settle(1016.5);
    expect([first.wallMs, first.parts.otherMs]).toEqual([17.5, 1]);
    metrics.recordConfirmation(1016.5, [{ member: a, atMs: 1020.5, applyMs: 2, hashMs: 1 }], 0.5);
    const last = metrics.settle(1021);
    expect(last).toMatchObject({ wallMs: 4.5, parts: { applyMs: 2, otherMs: 1.5, wireMs: 1, computeMs: 0 } });
    const { wallMs, breakdown } = metrics.close(1021);
    expect(wallMs).toBe(22);
    expect(breakdown).toMatchObject({ computeMs: 6, applyMs: 2.75, otherMs: 2.5 });
  });

  test('of the end of an epoch are applying, wire, and the wait for the last proof', () => {
    const metrics = openEpochMetrics(1000, [a, b]);
    const proof = { applyMs: 2, hashMs: 1 };
    metrics.recordConfirmation(
      1000,
      [
        { member: b, atMs: 1009, ...proof },
        { member: a, atMs: 1005, ...proof },
      ],
      0.5,
    );
    expect(metrics.close(1009).breakdown).toMatchObject({ applyMs: 2, otherMs: 1, wireMs: 2, waitMs: 4 });
  });
});

describe('an epoch on the terminal', () => {
  const record: EpochRecord = {
    epoch: 1,
    loss: 0.518,
    trainAccuracy: 0.8234,
    testLoss: 0.4,
    testAccuracy: 0.858,
    seconds: 9.12,
    evaluationSeconds: 1,
    samples: 60000,
    samplesPerSecond: 6579,
    steps: 235,
    computeSeconds: 6,
    communicationSeconds: 2.12,
    otherSeconds: 1,
    computePartSeconds: 5.7,
    encodePartSeconds: 0.12,
    wirePartSeconds: 1.7,
    waitPartSeconds: 0.9,
    reducePartSeconds: 0.3,
    applyPartSeconds: 0.3,
    otherPartSeconds: 0.1,
    bytesSent: 114.8e6,
    bytesReceived: 114.8e6,
    wireRatio: 1,
    slowestWorker: 'local-2',
    slowestDelaySeconds: 0.25,
    bytesSentPerStep: 244e3,
    bytesReceivedPerStep: 244e3,
    numWorkers: 0,
    workers: [],
  };

  test("is a line in the homework's form", () => {
    expect(epochLine(record)).toBe('epoch 1, loss 0.5180, train acc 0.823, test acc 0.858, time 9.1 sec');
    expect(epochLine({ ...record, testAccuracy: null })).toContain('test acc none');
  });

  test('and one that says where the time went', () => {
    const worker = {
      id: 'w1',
      name: 'local-1',
      engine: 'onnx',
      device: 'cpu',
      threads: 1,
      workerSamples: 1,
      workerComputeSeconds: 1,
      workerCommunicationSeconds: 1,
      workerWaitSeconds: 1,
    };
    expect(breakdownLine({ ...record, workers: [worker, worker] })).toBe(
      '  compute 62.5 %, encode 1.3 %, wire 18.6 %, wait 9.9 %, reduce 3.3 %, apply 3.3 %, other 1.1 %; ' +
        '6579 samples/s, sent 114.8 MB, received 114.8 MB, slowest local-2 (cost 0.3 s)',
    );
  });
});
