/** Members that are late: others do what they owe, the first answer counts, and the run has the same bits. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Message } from '../../../../protocol/wire/messages.ts';
import type { Transport } from '../../../../protocol/wire/transport.ts';
import { runCluster, runConfig, WIDE_MODEL } from '../../../helpers/cluster.ts';
import type { ClusterOptions } from '../../../helpers/cluster.ts';
import type { EngineOptions } from '../../../../worker/engines/engine.ts';
import { createSimulatedEngine, numberedDataset } from '../../../simulation/engine.ts';
import { countOfCases, freshSeed } from '../../../helpers/tier.ts';

const hashOf = async (options: ClusterOptions) => (await runCluster(options)).replica.parametersSha256();

const isOfGradient = ({ kind }: Message) => kind === 'gradient' || kind === 'gradientBucket';

/** A worker's end whose messages, from the one that `holds` names, are kept back until they are let go. */
function holding(transport: Transport, holds: (message: Message) => boolean) {
  const held: Message[] = [];
  let isHolding = false;
  let isOver = false;
  const end: Transport = {
    ...transport,
    send(message) {
      isHolding ||= !isOver && holds(message);
      if (isHolding) held.push(message);
      else transport.send(message);
    },
  };
  return {
    end,
    letGo() {
      isHolding = false;
      isOver = true;
      for (const message of held.splice(0)) transport.send(message);
    },
  };
}

describe('a member that is late', () => {
  test.each([
    [1, 8],
    [6, 8],
    [6, 2],
  ])(
    'is set aside, and takes part again: averages in %i buckets, %i microbatches',
    async (numBuckets, microbatches) => {
      const config = runConfig({ workers: 2, microbatches, model: WIDE_MODEL, epochs: 6 });
      const said: string[] = [];
      const reissued = new Set<string>();
      let late: ReturnType<typeof holding> | undefined;
      const outcome = await runCluster({
        config,
        numBuckets,
        lateMs: 20,
        say: (line) => said.push(line),
        onReissue: (reason, numMicrobatches) => reissued.add(`${reason} ${numMicrobatches > 0}`),
        // When the step is over.
        onProgress() {
          if (said.length > 0) late!.letGo();
        },
        tamper(transport, index) {
          if (index === 0) return transport;
          late = holding(transport, (message) => isOfGradient(message) && 'step' in message && message.step === 6);
          return late.end;
        },
      });
      expect(said).toEqual([
        'worker-1 (w2) is late in step 6: others do its work; it takes part again when it has caught up',
        expect.stringMatching(/^worker-1 \(w2\) takes part from step \d+ on$/),
      ]);
      expect([...reissued]).toEqual(['late true']);
      expect(outcome.replica.parametersSha256()).toBe(await hashOf({ config }));
      for (const { samples, workers } of outcome.epochs) {
        expect(samples).toBe(150);
        expect(workers.reduce((sum, worker) => sum + worker.workerSamples, 0)).toBe(150);
      }
      expect(outcome.epochs.at(-1)!.workers.map(({ workerSamples }) => workerSamples > 0)).toEqual([true, true]);
      expect(outcome.sessions.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled']);
    },
  );

  test.each([1, 6])('and answers before whoever was asked instead stays, with %i buckets', async (numBuckets) => {
    const config = runConfig({ workers: 2, microbatches: 4, model: WIDE_MODEL, epochs: 4 });
    const said: string[] = [];
    let late: ReturnType<typeof holding> | undefined;
    let numOfOther = 0;
    let wasFirst = false;
    const outcome = await runCluster({
      config,
      numBuckets,
      lateMs: 20,
      say: (line) => said.push(line),
      tamper(transport, index) {
        if (index === 1) {
          late = holding(
            transport,
            (message) => message.kind.startsWith('gradient') && 'step' in message && message.step === 6,
          );
          return late.end;
        }
        // The other's second answer in step 6 is for what worker-1 owes: that comes now, just before it.
        return {
          ...transport,
          send(message) {
            const isSecond = message.kind === 'gradient' && message.step === 6 && ++numOfOther === 2;
            if (isSecond) {
              wasFirst = true;
              late!.letGo();
              queueMicrotask(() => queueMicrotask(() => transport.send(message)));
            } else {
              transport.send(message);
            }
          },
        };
      },
    });
    expect(wasFirst).toBe(true);
    expect(said).toEqual([]);
    expect(outcome.replica.parametersSha256()).toBe(await hashOf({ config }));
    for (const { samples } of outcome.epochs) expect(samples).toBe(150);
  });

  test('in evaluation is set aside, and its chunks are evaluated by others', async () => {
    const config = runConfig({ workers: 2, epochs: 3 });
    const said: string[] = [];
    let late: ReturnType<typeof holding> | undefined;
    const outcome = await runCluster({
      config,
      say(line) {
        said.push(line);
        if (line.includes('in evaluation')) late!.letGo();
      },
      tamper(transport, index) {
        if (index === 0) return transport;
        late = holding(transport, ({ kind }) => kind === 'evaluation');
        return late.end;
      },
    });
    expect(said[0]).toMatch(/^worker-1 \(w2\) is late in evaluation/);
    const quiet = await runCluster({ config });
    expect(outcome.epochs.map(({ testLoss }) => testLoss)).toEqual(quiet.epochs.map(({ testLoss }) => testLoss));
    expect(outcome.replica.parametersSha256()).toBe(quiet.replica.parametersSha256());
  });

  const fresh = freshSeed('GRADSOCK_SEED_SCHEDULES');
  let numLate = 0;
  // The others once failed.
  test.concurrent.each([fresh, 1, 4, 689807575])(
    'or lost, at any moments, with any number of others: seed %i',
    async (seed) => {
      const pause = fc.oneof(
        { weight: 18, arbitrary: fc.constant(0) },
        { weight: 2, arbitrary: fc.integer({ min: 1, max: 60 }) },
        { weight: 1, arbitrary: fc.constant('die' as const) },
      );
      const pauses = fc.array(pause, { maxLength: 30 });
      const schedule = fc.record({
        workers: fc.integer({ min: 2, max: 4 }),
        microbatches: fc.integer({ min: 4, max: 7 }),
        numBuckets: fc.constantFrom(1, 6),
        pauses: fc.array(pauses, { minLength: 4, maxLength: 4 }),
      });
      const quiet = new Map<number, Promise<string>>();
      await fc.assert(
        fc.asyncProperty(schedule, async ({ workers, microbatches, numBuckets, pauses: ofWorkers }) => {
          const config = runConfig({ workers, microbatches, model: WIDE_MODEL });
          const exact = { dataset: EXACT_DATASET, createEngine: createExactEngine };
          let join!: () => Promise<string>;
          const lateness = announcement();
          const { replica, epochs } = await runCluster({
            ...exact,
            config,
            numBuckets,
            lateMs: 5,
            waitMs: 10_000,
            onStart: (given) => (join = given),
            say(line) {
              if (line.includes('is late')) {
                numLate++;
                lateness.announce();
              }
              if (line.startsWith('lost') || line.includes('has not joined')) void join();
            },
            tamper: (transport, index) => dawdling(transport, ofWorkers[index] ?? [], lateness.next),
          });
          if (!quiet.has(microbatches))
            quiet.set(microbatches, hashOf({ ...exact, config: { ...config, workers: 1 } }));
          expect(replica.parametersSha256()).toBe(await quiet.get(microbatches));
          for (const { samples } of epochs) expect(samples).toBe(150);
        }),
        { numRuns: countOfCases(20, 400), seed },
      );
    },
  );

  // Of one seed's schedules all may be in time: deadlines grow on a busy machine. Of all together they are not.
  test('in all of these schedules together somebody was late', () => {
    expect(numLate).toBeGreaterThan(0);
  });
});

/** What is tried here is when messages come: computing takes next to no time. */
const EXACT_DATASET = numberedDataset(150, 300);
const createExactEngine = (options: EngineOptions) =>
  createSimulatedEngine(options, { computeMs: () => 0, evaluateMs: () => 0, isWrong: () => false });

/** Pauses from here on last until a member is late, whatever the deadline is on a machine as busy as this one; */
const UNTIL_LATE_MS = 55;
/** or for as long as this, where nobody is left who could be waiting. */
const AT_MOST_MS = 300;

/** Something that happens again and again: `next` resolves when it does so the next time. */
function announcement() {
  let waiting: (() => void)[] = [];
  return {
    next: () => new Promise<void>((resolve) => waiting.push(resolve)),
    announce() {
      for (const resolve of waiting) resolve();
      waiting = [];
    },
  };
}

/** Waits as long as `pauses` says before each message of its results, in order, until it dies. */
function dawdling(transport: Transport, pauses: readonly (number | 'die')[], nextLate: () => Promise<void>): Transport {
  const pause = async (ms: number) => {
    const isUntilLate = ms >= UNTIL_LATE_MS;
    let timer: NodeJS.Timeout | undefined;
    const time = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, isUntilLate ? AT_MOST_MS : ms);
    });
    await (isUntilLate ? Promise.race([nextLate(), time]) : time);
    clearTimeout(timer);
  };
  let next = 0;
  let before = Promise.resolve();
  return {
    ...transport,
    send(message) {
      const pauseMs = isOfGradient(message) ? (pauses[next++] ?? 0) : 0;
      before = before.then(async () => {
        if (pauseMs === 'die') transport.close();
        else if (pauseMs > 0) await pause(pauseMs);
        try {
          transport.send(message);
        } catch {
          // It is dead, or the run is over.
        }
      });
    },
  };
}
