/** What every AllReduce must do. Run for each, with real worker sessions over real sockets. */
import { describe, expect, test } from 'vitest';
import { createVectorCodec } from '../../protocol/vectors/vector-codec.ts';
import { WIRE_FORMATS } from '../../protocol/vectors/encoding.ts';
import type { WireFormat } from '../../protocol/vectors/encoding.ts';
import { startAllReduce } from '../helpers/all-reduce-cluster.ts';
import type { Tampering } from '../helpers/all-reduce-cluster.ts';

/** 65 samples in batches of 32: the last step of an epoch has one, and all workers but one have no part in it. */
const NUM_SAMPLES = 65;
const STEPS = 3;

/** The largest error of an average whose values are below 1, for sums that are rounded up to five times on their way. */
const TOLERANCE = { f32: 2e-6, bf16: 0.03, f16: 0.004, int8: 0.06 };

export interface AllReduceTraits {
  readonly workers: readonly number[];
  /** Payloads that `numWorkers` send, or receive, in a step. */
  readonly payloadsPerStep: (numWorkers: number) => number;
}

export function allReduceContract(name: 'star' | 'ring', { workers, payloadsPerStep }: AllReduceTraits): void {
  const start = (numWorkers: number, wire: WireFormat = 'f32', tampering: Tampering = {}, microbatches = 5) =>
    startAllReduce({ workers: numWorkers, wire, allReduce: name, microbatches }, NUM_SAMPLES, tampering);
  type Cluster = Awaited<ReturnType<typeof start>>;

  /** Runs an epoch's steps to the proof; returns what each step gave. */
  const runEpoch = async ({ allReduce, planOf }: Cluster) => {
    const reduced = [];
    let plan = planOf(1);
    allReduce.open(plan);
    for (let step = 1; step <= STEPS; step++) {
      reduced.push(await allReduce.collect(plan));
      const next = step < STEPS ? planOf(step + 1) : undefined;
      allReduce.distribute(plan, next);
      allReduce.apply(plan);
      if (next) plan = next;
    }
    await allReduce.confirm();
    return reduced;
  };

  /** The largest difference between the replica and one that has applied the plain means. */
  const errorOf = async (cluster: Cluster) => {
    const { replica, meanOf } = cluster;
    const expected = Float64Array.from(replica.parameters);
    const running = Float64Array.from(replica.buffers);
    const reduced = await runEpoch(cluster);
    for (let step = 1; step <= STEPS; step++) {
      const { gradient, statistics } = meanOf(step);
      gradient.forEach((value, i) => (expected[i]! -= value));
      statistics.forEach((value, i) => (running[i] = 0.9 * running[i]! + 0.1 * value));
    }
    const largest = (values: Float64Array, others: Float32Array) =>
      values.reduce((most, value, i) => Math.max(most, Math.abs(value - others[i]!)), 0);
    return {
      gradient: largest(expected, replica.parameters),
      statistics: largest(running, replica.buffers),
      reduced,
    };
  };

  const expectEqualReplicas = ({ replica, states }: Cluster) => {
    for (const { parameters, buffers } of states) {
      expect(Buffer.compare(bytesOf(parameters), bytesOf(replica.parameters))).toBe(0);
      expect(Buffer.compare(bytesOf(buffers), bytesOf(replica.buffers))).toBe(0);
    }
  };

  describe(`the ${name} all-reduce`, () => {
    test.each(workers)('gives %i workers the plain mean, ragged last batch included', async (numWorkers) => {
      const cluster = await start(numWorkers);
      const { gradient, statistics, reduced } = await errorOf(cluster);
      expect(gradient).toBeLessThan(STEPS * TOLERANCE.f32);
      expect(statistics).toBeLessThan(TOLERANCE.f32);
      expect(cluster.replica.step).toBe(STEPS);
      expect(reduced.map(({ totals, isFinite }) => [totals.numSamples, totals.numCorrect, isFinite])).toEqual([
        [32, 32, true],
        [32, 32, true],
        [1, 1, true],
      ]);
      for (const { arrivals, totals } of reduced) {
        expect(arrivals.reduce((sum, { numSamples }) => sum + numSamples, 0)).toBe(totals.numSamples);
      }
      expectEqualReplicas(cluster);
    });

    test.each(WIRE_FORMATS)('keeps within the error of %s, all replicas equal bit by bit', async (wire) => {
      const cluster = await start(3, wire);
      const { gradient, statistics } = await errorOf(cluster);
      expect(gradient).toBeLessThan(STEPS * TOLERANCE[wire]);
      expect(statistics).toBeLessThan(TOLERANCE.f32);
      expectEqualReplicas(cluster);
    });

    test.each(['gradient', 'loss'])(
      'a %s that is no number, whoever computes it, is applied by nobody',
      async (what) => {
        const cluster = await start(3, 'bf16', {
          engine: (engine) => ({
            ...engine,
            async computeGradient(batch, into) {
              const sums = await engine.computeGradient(batch, into);
              if (what === 'loss') return { ...sums, lossSum: NaN };
              into.gradient[77_777] = Infinity;
              return sums;
            },
          }),
        });
        const { allReduce, planOf, replica } = cluster;
        const before = Buffer.from(bytesOf(replica.parameters));
        allReduce.open(planOf(1));
        expect(await allReduce.collect(planOf(1))).toMatchObject({ isFinite: false });
        for (const { parameters } of [...cluster.states, replica]) {
          expect(Buffer.compare(bytesOf(parameters), before)).toBe(0);
        }
      },
    );

    test('a worker that is lost in a step leaves it to the others', async () => {
      const { allReduce, planOf, meanOf, replica } = await start(3, 'f32', {
        engine: (engine, index, transport) => ({
          ...engine,
          computeGradient(batch, into) {
            if (index === 1) transport.close();
            return engine.computeGradient(batch, into);
          },
        }),
      });
      allReduce.open(planOf(1));
      const { totals, isFinite, arrivals } = await allReduce.collect(planOf(1));
      expect([totals.numSamples, isFinite]).toEqual([32, true]);
      expect(arrivals.reduce((sum, { numSamples }) => sum + numSamples, 0)).toBe(32);
      const before = replica.parameters.slice();
      allReduce.distribute(planOf(1));
      allReduce.apply(planOf(1));
      expect(await allReduce.confirm()).toHaveLength(2);
      const { gradient } = meanOf(1);
      const error = gradient.reduce(
        (most, mean, i) => Math.max(most, Math.abs(before[i]! - mean - replica.parameters[i]!)),
        0,
      );
      expect(error).toBeLessThan(TOLERANCE.f32);
    });

    test('counts what travels', async () => {
      const numWorkers = 3;
      const cluster = await start(numWorkers, 'f32', {}, numWorkers);
      const total = () => {
        const counts = cluster.members.map(({ transport }) => transport);
        return {
          sent: counts.reduce((sum, { bytesSent }) => sum + bytesSent, 0),
          received: counts.reduce((sum, { bytesReceived }) => sum + bytesReceived, 0),
        };
      };
      const { allReduce, planOf, replica } = cluster;
      const before = total();
      allReduce.open(planOf(1));
      const { peerExchange } = await allReduce.collect(planOf(1));
      allReduce.distribute(planOf(1), planOf(2));
      const after = total();
      const expected = payloadsPerStep(numWorkers) * createVectorCodec('f32', replica.plan).payloadBytes;
      for (const bytes of [
        after.sent - before.sent + (peerExchange?.bytesSent ?? 0),
        after.received - before.received + (peerExchange?.bytesReceived ?? 0),
      ]) {
        expect(bytes).toBeGreaterThanOrEqual(expected);
        expect(bytes).toBeLessThan(1.01 * expected + 10_000);
      }
    });
  });
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array<ArrayBuffer>): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
