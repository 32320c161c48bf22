/** Runs that are interrupted while a step, or an evaluation, does not end: what is left of them, and how they go on. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createAbandonment, unlessAbandoned } from '../../coordinator/abandonment.ts';
import type { SummonContext } from '../../coordinator/run-options.ts';
import { memoryTransportPair } from '../../protocol/wire/transport.ts';
import type { Engine } from '../../worker/engines/engine.ts';
import { createReferenceEngine } from '../../worker/engines/reference/reference-engine.ts';
import { runWorkerSession } from '../../worker/session.ts';
import { temporaryFolder } from '../helpers/folder.ts';
import { beginOrResume, epochRecordsOf, madeUpSource } from '../helpers/small-run.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** What an engine does in place of its work, at the call of this number. */
interface Obstacle {
  readonly method: 'computeGradient' | 'evaluate';
  readonly call: number;
  readonly act: (gone: () => void) => void;
}

/** A worker that never answers the call at which the obstacle is. `gone` closes its connection. */
function summonWorker({ membership, samples }: SummonContext, { method, call, act }: Obstacle) {
  const [coordinatorEnd, workerEnd] = memoryTransportPair();
  void membership.admit(coordinatorEnd);
  let numCalls = 0;
  const session = runWorkerSession(workerEnd, {
    name: 'worker',
    loadDataset: () => Promise.resolve(samples),
    async createEngine(options): Promise<Engine> {
      const engine = await createReferenceEngine({ ...options, threads: 1 });
      return {
        ...engine,
        [method]: (...args: unknown[]) => {
          if (++numCalls < call) return (engine[method] as (...given: unknown[]) => unknown)(...args);
          act(() => workerEnd.close());
          return new Promise(() => {});
        },
      };
    },
  });
  session.catch(() => {});
  return Promise.resolve({ stop: () => Promise.resolve() });
}

/** Two epochs of three steps of two microbatches, interrupted where the obstacle is, then resumed to the end. */
async function interruptedAndResumed(obstacle: Omit<Obstacle, 'act'>, act: (gone: () => void) => void = () => {}) {
  const runDir = join(temporaryFolder(), 'run');
  const interruption = new AbortController();
  const interrupted = await beginOrResume(runDir, {
    stepsPerEpoch: 3,
    checkpointSettings: { keep: 1 },
    signal: interruption.signal,
    summonWorkers: (context) =>
      summonWorker(context, {
        ...obstacle,
        act(gone) {
          interruption.abort(new Error('interrupted'));
          act(gone);
        },
      }),
  });
  const records = interrupted.epochs > 0 || interrupted.steps > 0 ? epochRecordsOf(runDir) : [];
  const resumed = await beginOrResume(runDir, { stepsPerEpoch: 3 });
  const wholeDir = join(temporaryFolder(), 'run');
  const whole = await beginOrResume(wholeDir, { stepsPerEpoch: 3 });
  const { parametersSha256, testAccuracy } = whole;
  expect(resumed).toMatchObject({ status: 'completed', steps: 6, epochs: 2, parametersSha256, testAccuracy });
  const resumedRecords = epochRecordsOf(runDir);
  const figures = ({ epoch, loss, testLoss }: (typeof records)[0]) => [epoch, loss, testLoss];
  expect(resumedRecords.map(figures)).toEqual(epochRecordsOf(wholeDir).map(figures));
  return { interrupted, records, resumedRecords };
}

const graceOver = () => void vi.advanceTimersByTime(3000);

describe('a run that is interrupted', () => {
  test.each([
    ['a step that does not end is left after 3 s', graceOver],
    ['a step without workers is left at once', (gone: () => void) => gone()],
  ])('%s, with the steps before it saved', async (_, act) => {
    const { interrupted, records } = await interruptedAndResumed({ method: 'computeGradient', call: 5 }, act);
    expect(interrupted).toMatchObject({ status: 'interrupted', steps: 2 });
    expect(records).toMatchObject([{ epoch: 1, steps: 2, samples: 16, testAccuracy: null }]);
    const [{ seconds, computeSeconds, communicationSeconds, otherSeconds }] = records as [(typeof records)[0]];
    expect(computeSeconds + communicationSeconds + otherSeconds).toBeCloseTo(seconds, 6);
  });

  test.each([
    ['the first step', 1],
    ['the first step of an epoch', 7],
  ])('%s is left, and nothing is recorded for it', async (_, call) => {
    const { interrupted, records } = await interruptedAndResumed({ method: 'computeGradient', call }, graceOver);
    expect(interrupted).toMatchObject({ status: 'interrupted', steps: call === 1 ? 0 : 3 });
    expect(records.map(({ steps }) => steps)).toEqual(call === 1 ? [] : [3]);
  });

  test.each([
    ['in mid-run', 1],
    ['after the last step', 2],
  ])('an evaluation that does not end is left, %s, and made when the run is resumed', async (_, call) => {
    const { interrupted, records, resumedRecords } = await interruptedAndResumed(
      { method: 'evaluate', call },
      graceOver,
    );
    expect(interrupted).toMatchObject({ status: 'interrupted', steps: 3 * call });
    expect(records.at(-1)).toMatchObject({ epoch: call, steps: 3, testAccuracy: null });
    expect(resumedRecords[call - 1]).toMatchObject({ steps: 3, stepsBeforeResume: 3, seconds: 0, samplesPerSecond: 0 });
  });
});

test('a run that is interrupted while it reads its data rejects with the reason, and leaves nothing', async () => {
  const runDir = join(temporaryFolder(), 'run');
  const interruption = new AbortController();
  const reason = new Error('interrupted');
  let isOpened!: (data: Awaited<ReturnType<ReturnType<typeof madeUpSource>['open']>>) => void;
  const dataset = {
    ...madeUpSource(8),
    open() {
      interruption.abort(reason);
      return new Promise<Parameters<typeof isOpened>[0]>((resolve) => (isOpened = resolve));
    },
  };
  await expect(beginOrResume(runDir, { dataset, signal: interruption.signal })).rejects.toBe(reason);
  expect(existsSync(runDir)).toBe(false);
  const data = await madeUpSource(8).open();
  const close = vi.spyOn(data.bytes, 'close');
  isOpened(data);
  await vi.waitFor(() => expect(close).toHaveBeenCalled());
});

describe('abandonment', () => {
  test('begins with the interruption, also with one that came before, and ends with the run', () => {
    const late = new AbortController();
    const [before, after, ended] = [AbortSignal.abort(), late.signal, late.signal].map((signal) =>
      createAbandonment(signal, 100),
    );
    late.abort();
    ended!.end();
    expect(after!.signal.aborted).toBe(false);
    vi.advanceTimersByTime(100);
    expect([before, after, ended].map((abandonment) => abandonment!.signal.aborted)).toEqual([true, true, false]);
  });

  test('leaves work that is done as it is', async () => {
    await expect(unlessAbandoned(Promise.resolve(7), new AbortController().signal)).resolves.toBe(7);
    await expect(unlessAbandoned(Promise.reject(new Error('its own')), undefined)).rejects.toThrow('its own');
    await expect(unlessAbandoned(new Promise(() => {}), AbortSignal.abort(new Error('left')))).rejects.toThrow('left');
  });
});
