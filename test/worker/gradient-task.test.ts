/** Buckets leave a worker while the gradient that they belong to is still being computed. */
import { describe, expect, it } from 'vitest';
import { planModel } from '../../protocol/state/model-spec.ts';
import { createReplica } from '../../protocol/state/replica.ts';
import { plainVectorMath } from '../../protocol/state/vector-math.ts';
import { BUCKETS_AHEAD, cutIntoBuckets } from '../../protocol/wire/buckets.ts';
import type { WireFormat } from '../../protocol/wire/encoding.ts';
import type { Assignment, Message, MessageOf } from '../../protocol/wire/messages.ts';
import { memoryTransportPair } from '../../protocol/wire/transport.ts';
import { createVectorCodec } from '../../protocol/wire/vector-codec.ts';
import { createGradientContribution } from '../../worker/contribution.ts';
import type { Engine } from '../../worker/engines/engine.ts';
import { createGradientTask } from '../../worker/gradient-task.ts';
import { madeUpDataset, WIDE_MODEL } from '../helpers/cluster.ts';
import { PLAIN_SGD } from '../helpers/optimizers.ts';

const plan = planModel(WIDE_MODEL);
const cuts = cutIntoBuckets(plan, 6);
const sums = { lossSum: 2.5, numCorrect: 3, numSamples: 4 };
const sizes = { seed: 1, globalBatch: 16, numMicrobatches: 4, numTrainSamples: 32 };

/** Of one microbatch, which nobody sums up here. */
const ASSIGNMENT: Assignment = {
  ...{ step: 1, epoch: 1, stepInEpoch: 0, firstMicrobatch: 2, numMicrobatches: 1 },
  numBuckets: 6,
};

/** A task whose engine does what the test says, when it says so. */
function setUp(wire: WireFormat = 'f32') {
  const sent: Message[] = [];
  const transport = { ...memoryTransportPair()[1], send: (message: Message) => void sent.push(message) };
  const calls: Parameters<Engine['computeGradient']>[] = [];
  const endings: { resolve: () => void; reject: (error: Error) => void }[] = [];
  const engine: Engine = {
    name: 'by hand',
    device: 'cpu',
    threads: 1,
    computeGradient: (...call) => {
      calls.push(call);
      return new Promise((resolve, reject) => endings.push({ resolve: () => resolve(sums), reject }));
    },
    evaluate: () => Promise.reject(new Error('not here')),
    dispose: () => Promise.resolve(),
  };
  const welcome = { ...sizes, wire };
  const replica = createReplica(plan, PLAIN_SGD, 1);
  const parts = { engine, replica, welcome, dataset: madeUpDataset(32, 10), vectorMath: plainVectorMath };
  const task = createGradientTask({ ...parts, transport, contribution: createGradientContribution(parts) });
  return {
    task,
    sent,
    /** Of the last call: writes the gradient from `first` to `end`, value i being `value(i)`, and tells. */
    complete(first: number, end: number, value = (i: number) => i / 7) {
      const [, { gradient, statistics }, onFinal] = calls.at(-1)!;
      for (let i = first; i < end; i++) gradient[i] = value(i);
      if (end === plan.numParameters) statistics.fill(0.5);
      onFinal?.(first);
    },
    finish: () => endings.at(-1)!.resolve(),
    fail: (error: Error) => endings.at(-1)!.reject(error),
    isListenedTo: () => calls.at(-1)![2] !== undefined,
  };
}

const placesOf = (messages: readonly Message[]) =>
  messages.map((message) => (message.kind === 'gradientBucket' ? message.bucket : message.kind));

describe('the gradient task', () => {
  it('sends each bucket when all of it is final, a few ahead of the averages; counts and the last one at the end', async () => {
    const { task, sent, complete, finish } = setUp();
    const computed = task.compute(ASSIGNMENT, 0.25);
    complete(cuts[0]!.first + 1, plan.numParameters);
    expect(sent).toEqual([]);
    complete(cuts[0]!.first, cuts[0]!.first + 1);
    expect(placesOf(sent)).toEqual([0]);
    complete(cuts[2]!.first, cuts[0]!.first);
    expect(placesOf(sent)).toEqual([0, 1, 2]);
    complete(0, cuts[2]!.first);
    expect(placesOf(sent)).toEqual([0, 1, 2]);
    finish();
    await computed;
    for (let bucket = BUCKETS_AHEAD; bucket < cuts.length; bucket++) task.averageArrived();
    expect(placesOf(sent)).toEqual([0, 1, 2, 3, 4, 'gradient']);
    for (const message of sent) expect(message).toMatchObject({ step: 1, firstMicrobatch: 2, numMicrobatches: 1 });
    expect(sent.at(-1)).toMatchObject({ microbatches: [sums], applyMs: 0.25 });
    const values = cuts.map((cut, i) =>
      createVectorCodec('f32', cut).asVector!((sent[i] as MessageOf<'gradient'>).payload),
    );
    const whole = [...values].reverse().flatMap((part) => [...part]);
    const expected = Array.from({ length: plan.numParameters }, (_, i) => Math.fround(i / 7));
    // The statistics, by samples.
    expect(whole).toEqual([...expected, ...Array.from({ length: plan.numBuffers }, () => 0.5 * 4)]);
  });

  it('with int8 changes what is final alone, and remembers what rounding took', async () => {
    const early = setUp('int8');
    const late = setUp('int8');
    const halves = [Math.floor(plan.numParameters / 2), 0];
    for (let step = 1; step <= 3; step++) {
      for (const { task, complete, finish } of [early, late]) {
        const computed = task.compute({ ...ASSIGNMENT, step }, 0);
        const value = (i: number) => Math.sin(i * step);
        if (task === early.task) {
          complete(halves[0]!, plan.numParameters, value);
          complete(halves[1]!, halves[0]!, value);
        } else {
          complete(0, plan.numParameters, value);
        }
        finish();
        await computed;
        for (let bucket = BUCKETS_AHEAD; bucket < cuts.length; bucket++) task.averageArrived();
        task.gradientsArrived();
      }
    }
    expect(early.sent).toHaveLength(18);
    const payloads = ({ sent }: typeof early) => sent.map((message) => (message as MessageOf<'gradient'>).payload);
    expect(payloads(early)).toEqual(payloads(late));
  });

  it.each<[string, Partial<Assignment>]>([
    ['that others are added to', { firstMicrobatch: 0, numMicrobatches: 2 }],
    ['that travels in one piece', { numBuckets: 1 }],
    ['that is computed once more, to be looked at', { isRepeat: true }],
  ])('does not listen for progress of a gradient %s', async (_which, change) => {
    const { task, sent, complete, finish, isListenedTo } = setUp();
    const computed = task.compute({ ...ASSIGNMENT, ...change }, 0);
    expect(isListenedTo()).toBe(false);
    complete(0, plan.numParameters);
    expect(sent).toEqual([]);
    finish();
    if (change.numMicrobatches === 2) {
      await new Promise((resolve) => setImmediate(resolve));
      complete(0, plan.numParameters);
      finish();
    }
    await computed;
    expect(sent.length).toBeGreaterThan(0);
  });

  it('sends at once what another did not finish, also while it is computed', async () => {
    const { task, sent, complete, finish } = setUp();
    for (const firstMicrobatch of [2, 3]) {
      const computed = task.compute({ ...ASSIGNMENT, firstMicrobatch }, 0);
      if (firstMicrobatch === 3) {
        // What the sum before still had goes first.
        expect(placesOf(sent)).toEqual([0, 1, 2, 3, 4, 'gradient']);
        complete(cuts[4]!.first, plan.numParameters);
        expect(sent).toHaveLength(11);
      }
      complete(0, plan.numParameters);
      finish();
      await computed;
    }
    expect(placesOf(sent).slice(6)).toEqual([0, 1, 2, 3, 4, 'gradient']);
  });

  it('fails with an engine that fails half way', async () => {
    const { task, complete, fail, sent } = setUp();
    const computed = task.compute(ASSIGNMENT, 0);
    complete(cuts[1]!.first, plan.numParameters);
    fail(new Error('device lost'));
    await expect(computed).rejects.toThrow('device lost');
    expect(placesOf(sent)).toEqual([0, 1]);
  });
});
