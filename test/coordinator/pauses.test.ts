/** Runs that a person pauses and stops, with real sessions over the in-memory transport. Minutes of a pause pass on a false clock. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createPauses } from '../../coordinator/pauses.ts';
import type { ControlState } from '../../coordinator/reporting/reported-event.ts';
import type { StepRecord } from '../../coordinator/reporting/step-record.ts';
import { createRunControl } from '../../coordinator/run-control.ts';
import type { RunConfig } from '../../coordinator/run-config.ts';
import type { Member } from '../../coordinator/members/member.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { runCluster, runConfig } from '../helpers/cluster.ts';
import type { ClusterOptions } from '../helpers/cluster.ts';
import { sumOfParts } from '../helpers/parts.ts';
import { never } from '../helpers/sockets.ts';

/** Three times as long as a worker waits for a silent coordinator here, and nine times as long as a step may take. */
const PAUSE_MS = 190_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
});

afterEach(() => {
  vi.useRealTimers();
});

interface PausedOptions extends Partial<ClusterOptions> {
  readonly changes?: Partial<RunConfig>;
  /** The step after which the pause button is pressed. Default: the second. */
  readonly after?: number;
  /** While the run is paused, before it is resumed. */
  readonly meanwhile?: (control: ReturnType<typeof createRunControl>) => Promise<void>;
}

/** A run of two epochs of five steps that is paused once. */
async function pausedRun({ changes, after = 2, meanwhile, ...others }: PausedOptions = {}) {
  const control = createRunControl();
  const said: string[] = [];
  const states: ControlState[] = [];
  const steps: StepRecord[] = [];
  let numSteps = 0;
  const sit = async () => {
    await vi.advanceTimersByTimeAsync(PAUSE_MS);
    await meanwhile?.(control);
    control.resume();
  };
  control.onChange((state) => {
    states.push(state);
    if (state === 'paused') void sit();
  });
  if (after === 0) control.pause();
  const outcome = await runCluster({
    config: runConfig({ workers: 2, ...changes }),
    control,
    say: (line) => said.push(line),
    onStepRecord: (record) => steps.push(record),
    onProgress() {
      if (++numSteps === after) control.pause();
    },
    ...others,
  });
  return { ...outcome, said, states, steps };
}

const isLoss = (line: string) => line.startsWith('lost');

const KINDS = [
  ['a star', {}, {}],
  ['a ring', { allReduce: 'ring' }, {}],
  ['local steps', { localSteps: 2 }, {}],
  ['int8 on the wire', { wire: 'int8' }, {}],
  ['a ring with int8 on the wire', { allReduce: 'ring', wire: 'int8' }, {}],
  ['one process with one replica', { workers: 1 }, { shareReplica: true }],
] as const satisfies readonly (readonly [string, Partial<RunConfig>, Partial<ClusterOptions>])[];

describe('a pause beyond all deadlines', () => {
  test.each(KINDS)('in %s changes no bit, loses nobody, and is no part of an epoch', async (_, changes, options) => {
    const config = runConfig({ workers: 2, ...changes });
    const undisturbed = await runCluster({ config, ...options });
    const run = await pausedRun({ changes, ...options });
    expect(run.status).toBe('completed');
    expect(run.states).toEqual(['pausing', 'paused', 'running']);
    expect(run.said.filter(isLoss)).toEqual([]);
    expect(run.replica.state).toEqual(undisturbed.replica.state);
    expect(run.pausedMs).toBeGreaterThanOrEqual(PAUSE_MS);
    const figures = ({ epochs }: typeof undisturbed) =>
      epochs.map(({ loss, trainAccuracy, testLoss, samples, steps }) => [
        loss,
        trainAccuracy,
        testLoss,
        samples,
        steps,
      ]);
    expect(figures(run)).toEqual(figures(undisturbed));
    // What a step takes is nothing on a clock that stands still: any time that is left would be the pause's.
    for (const record of run.epochs) expect([record.seconds, sumOfParts(record)]).toEqual([0, 0]);
    for (const record of run.steps) expect([record.stepMs, sumOfParts(record)]).toEqual([0, 0]);
    expect(run.steps.reduce((sum, { steps }) => sum + steps, 0)).toBe(10);
  });

  test.each([
    ['before the first step', 0],
    ["after an epoch's last step", 5],
    ["before a short last step's end", 9],
  ])('%s is one, too', async (_, after) => {
    const { replica: undisturbed } = await runCluster({ config: runConfig({ workers: 2 }) });
    const run = await pausedRun({ after });
    expect([run.status, run.states.at(-1)]).toEqual(['completed', 'running']);
    expect(run.pausedMs).toBeGreaterThanOrEqual(PAUSE_MS);
    expect(run.epochs.map(({ seconds }) => seconds)).toEqual([0, 0]);
    expect(run.replica.state).toEqual(undisturbed.state);
  });

  test.each(['star', 'ring'] as const)('in a %s finds who leaves at once, and lets others in', async (allReduce) => {
    const transports: Transport[] = [];
    let join!: () => Promise<string>;
    const saidInPause: string[] = [];
    const said: string[] = [];
    const run = await pausedRun({
      changes: { allReduce },
      tamper: (transport) => {
        transports.push(transport);
        return transport;
      },
      onStart: (given) => (join = given),
      say: (line) => said.push(line),
      async meanwhile() {
        transports[1]!.send({ kind: 'leave', reason: 'asked to' });
        transports[1]!.close();
        await vi.advanceTimersByTimeAsync(1);
        void join();
        await vi.advanceTimersByTimeAsync(100);
        saidInPause.push(...said);
      },
    });
    expect(saidInPause.find(isLoss)).toContain('left the run: asked to');
    const welcomed = { star: 'worker-2 (w3) takes part from step 4 on', ring: 'worker-2 (w3) stands by' }[allReduce];
    expect(saidInPause.some((line) => line.startsWith(welcomed))).toBe(true);
    expect(run.status).toBe('completed');
    expect(run.epochs.map(({ samples, steps }) => [samples, steps])).toEqual([
      [150, 5],
      [150, 5],
    ]);
    expect(run.epochs[1]!.workers.map(({ name }) => name)).toEqual(['worker-0', 'worker-2']);
    if (allReduce === 'ring') return;
    const { replica: undisturbed } = await runCluster({ config: runConfig({ workers: 2 }) });
    expect(run.replica.state).toEqual(undisturbed.state);
  });

  test.each(['star', 'ring'] as const)(
    'in a %s may outlive all workers, and waits for others after it',
    async (allReduce) => {
      const transports: Transport[] = [];
      let join!: () => Promise<string>;
      const run = await pausedRun({
        changes: { allReduce },
        waitMs: 60_000,
        tamper: (transport) => {
          transports.push(transport);
          return transport;
        },
        onStart: (given) => (join = given),
        async meanwhile() {
          for (const transport of transports) transport.close();
          await vi.advanceTimersByTimeAsync(1);
          // After the run goes on: nobody is there.
          queueMicrotask(() => void join());
        },
      });
      expect(run.status).toBe('completed');
      expect(run.said.filter(isLoss)).toHaveLength(2);
      expect(run.epochs.map(({ samples, seconds }) => [samples, seconds])).toEqual([
        [150, 0],
        [150, 0],
      ]);
    },
  );

  test('is ended by the signal, in order', async () => {
    const interruption = new AbortController();
    const run = await pausedRun({
      signal: interruption.signal,
      meanwhile: () => {
        interruption.abort(new Error('interrupted'));
        return new Promise(() => {});
      },
    });
    expect([run.status, run.replica.step]).toEqual(['interrupted', 3]);
    expect(run.epochs.map(({ steps, seconds, testLoss }) => [steps, seconds, testLoss])).toEqual([[3, 0, null]]);
    expect(run.sessions).toEqual(Array(2).fill({ status: 'fulfilled', value: 'done' }));
  });

  test('ends with a stop: the epoch is finished, and the run ends there', async () => {
    const run = await pausedRun({
      meanwhile(control) {
        control.stopAfterEpoch();
        control.onChange(() => expect.fail('a stop is no more'));
        return new Promise(() => {});
      },
    });
    expect([run.status, run.replica.step]).toEqual(['interrupted', 5]);
    expect(run.states).toEqual(['pausing', 'paused', 'stopping']);
  });
});

describe('a stop', () => {
  const stoppedRun = async (after: number) => {
    const control = createRunControl();
    let numSteps = 0;
    const onProgress = () => {
      if (++numSteps === after) control.stopAfterEpoch();
    };
    return runCluster({ config: runConfig({ workers: 2 }), control, onProgress });
  };

  test('ends the run after the epoch at hand', async () => {
    for (const after of [1, 5]) {
      const { status, replica, epochs } = await stoppedRun(after);
      expect([status, replica.step, epochs.length]).toEqual(['interrupted', 5, 1]);
      expect(epochs[0]!.testLoss).not.toBeNull();
    }
  });

  test('in the last epoch leaves a run that is completed', async () => {
    const { status, replica } = await stoppedRun(7);
    expect([status, replica.step]).toEqual(['completed', 10]);
  });
});

describe('while a run stands still', () => {
  const start = (patienceMs: number, checkIn: () => void = () => {}) => {
    const control = createRunControl();
    const heldAtMs: number[] = [];
    const fleet = { members: [] as Member[], lose() {}, hold: () => void heldAtMs.push(performance.now()) };
    const pauses = createPauses({ control, fleet, patienceMs, checkIn, interruption: never(), signal: never() });
    control.pause();
    return { control, pauses, heldAtMs, end: pauses.standStill() };
  };

  test.each([
    [600_000, 5000],
    [8000, 2000],
  ])(
    'workers with %d ms of patience are told to wait every %d ms, at once for the first time',
    async (patienceMs, everyMs) => {
      const startMs = performance.now();
      const { control, pauses, heldAtMs, end } = start(patienceMs);
      await vi.advanceTimersByTimeAsync(3 * everyMs);
      control.resume();
      await end;
      expect(heldAtMs.map((ms) => ms - startMs)).toEqual([0, everyMs, 2 * everyMs, 3 * everyMs]);
      expect(pauses.pausedMs).toBe(3 * everyMs);
      expect(vi.getTimerCount()).toBe(0);
    },
  );

  test('what ends the run is found, and the pause is over', async () => {
    let numCalls = 0;
    const { pauses, end } = start(600_000, () => {
      if (++numCalls === 3) throw new Error('the lock is lost');
    });
    const failed = expect(end).rejects.toThrow('the lock is lost');
    await vi.advanceTimersByTimeAsync(10_000);
    await failed;
    expect([numCalls, pauses.pausedMs, vi.getTimerCount()]).toEqual([3, 10_000, 0]);
  });
});
