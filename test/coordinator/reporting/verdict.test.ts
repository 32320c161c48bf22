import { describe, expect, test } from 'vitest';
import { verdictOf } from '../../../coordinator/reporting/verdict.ts';
import type { TimeSpent, VerdictConfig } from '../../../coordinator/reporting/verdict.ts';
import { createProgram } from '../../../scripts/program.ts';

const config: VerdictConfig = {
  globalBatch: 256,
  microbatches: 2,
  accumulate: 1,
  localSteps: 1,
  wire: 'f32',
  shares: 'auto',
};

/** An epoch of 10 s and 100 steps. `parts`: seconds of compute, wire, wait, apply and other. */
function spentOn(
  parts: readonly [number, number, number, number, number],
  changes: Partial<TimeSpent> = {},
): TimeSpent {
  const [compute, wire, wait, apply, other] = parts;
  return {
    seconds: compute + wire + wait + apply + other,
    steps: 100,
    bytesSent: 1e6,
    bytesReceived: 1e6,
    slowestWorker: 'local-2',
    slowestDelaySeconds: 0,
    computePartSeconds: compute,
    encodePartSeconds: 0,
    wirePartSeconds: wire,
    waitPartSeconds: wait,
    reducePartSeconds: 0,
    applyPartSeconds: apply,
    otherPartSeconds: other,
    workers: [{ workerComputeSeconds: compute }, { workerComputeSeconds: compute + wait }],
    ...changes,
  };
}

describe('the verdict on an epoch', () => {
  test('that computes most of the time is what one more worker may gain', () => {
    // 1 / (0.92 x 2/3 + 0.08) = 1.44
    expect(verdictOf(spentOn([9.2, 0.3, 0.2, 0.2, 0.1]), config)).toBe(
      'computing 92 %: one more worker would gain at most 1.4 x, with cores of its own',
    );
  });

  test('that communicates most names flags by which replicas talk less', () => {
    // 1 / (0.45 x 2/3 + 0.55) = 1.18
    expect(verdictOf(spentOn([4.5, 4.8, 0.3, 0.3, 0.1]), config)).toBe(
      'communication 48 %: one more worker would gain at most 1.2 x; ' +
        'try --global-batch 512, --local-steps 4 or --wire bf16',
    );
  });

  test('that communicates so much that one process may be faster says that, too', () => {
    // 2 x 1.5 s of computing and 0.2 s of updates, in place of 10 s
    expect(verdictOf(spentOn([1.5, 8.2, 0, 0.2, 0.1]), config)).toContain(
      '. One process alone (gradsock baseline) may be up to 3.1 x as fast',
    );
  });

  test('that waits for one worker names it, and the flag by which shares follow speeds', () => {
    const spent = spentOn([6, 0.4, 3.3, 0.2, 0.1], { slowestDelaySeconds: 3.3 });
    const what = 'waiting 33 %: local-2 is the slowest; equal speeds would gain at most 1.5 x';
    expect(verdictOf(spent, config)).toBe(`${what}; try --microbatches 8`);
    expect(verdictOf(spent, { ...config, shares: 'equal' })).toBe(`${what}; try --shares speed`);
    expect(verdictOf(spent, { ...config, microbatches: 8 })).toBe(what);
  });

  test('that waits for one worker now, and for another then, blames nobody', () => {
    expect(verdictOf(spentOn([6, 0.4, 3.3, 0.2, 0.1], { slowestDelaySeconds: 1 }), config)).toBe(
      'waiting 33 %: no worker is always the slowest; equal speeds would gain at most 1.5 x; try --local-steps 4',
    );
  });

  test('of steps that are too short to pay for themselves is that, and what a larger batch does', () => {
    // 100 steps in 0.2 s: 2 ms each
    const spent = spentOn([0.06, 0.08, 0.02, 0.03, 0.01]);
    expect(verdictOf(spent, config)).toBe(
      'per-step overhead 60 %: a step takes 2.0 ms and computes for 0.6 ms; ' +
        'try --global-batch 512 or --local-steps 4',
    );
  });

  test('of updates that take longest is a larger batch', () => {
    expect(verdictOf(spentOn([5, 1, 0.5, 3.4, 0.1]), config)).toMatch(/^updating 34 %: .*; try --global-batch 512$/);
  });

  test('of one process is that it waits for nobody', () => {
    const alone = { bytesSent: 0, bytesReceived: 0, workers: [{ workerComputeSeconds: 9 }] };
    expect(verdictOf(spentOn([9, 0, 0, 0.8, 0.2], alone), config)).toBe(
      'one process: nothing to wait for; computing 90 %, updating 8 %',
    );
  });

  test('does not name a flag that is used to the full, or that cannot be used with others', () => {
    const spent = spentOn([4.5, 4.8, 0.3, 0.3, 0.1]);
    expect(verdictOf(spent, { ...config, wire: 'int8', localSteps: 8 })).toMatch(/; try --global-batch 512$/);
    expect(verdictOf(spent, { ...config, wire: 'f16', accumulate: 2 })).not.toContain('--local-steps');
  });

  test('of an epoch that has not begun is none', () => {
    expect(verdictOf(spentOn([0, 0, 0, 0, 0]), config)).toBeUndefined();
  });

  test('names flags that exist', async () => {
    const program = await createProgram(['coordinator']);
    const flags = program.commands.find((command) => command.name() === 'coordinator')!.options.map(({ long }) => long);
    const verdicts = [
      spentOn([4.5, 4.8, 0.3, 0.3, 0.1]),
      spentOn([6, 0.4, 3.3, 0.2, 0.1], { slowestDelaySeconds: 3.3 }),
    ].flatMap((spent) => [verdictOf(spent, config)!, verdictOf(spent, { ...config, shares: 'equal' })!]);
    const named = verdicts.flatMap((text) => [...text.matchAll(/--[\w-]+/g)].map(([name]) => name));
    expect(flags).toEqual(expect.arrayContaining(named));
    expect(new Set(named).size).toBe(5);
  });
});
