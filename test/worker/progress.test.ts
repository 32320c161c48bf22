import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createWorkerProgress } from '../../worker/progress.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const welcome = { runId: 'abc', workerId: 'w2', model: { name: 'conv' }, globalBatch: 256, numMicrobatches: 4 };
const assignment = (step: number, numMicrobatches: number) => ({ step, epoch: 1, numMicrobatches });

test('a worker says when it joined, when it works, every 30 s how fast, and what it took part in', () => {
  const said: string[] = [];
  const progress = createWorkerProgress({ tell: (line) => said.push(line) });
  progress.joined(welcome);
  vi.advanceTimersByTime(30_000);
  progress.assigned(assignment(1, 2));
  for (let step = 2; step <= 61; step++) progress.assigned(assignment(step, 2));
  // What another did not finish of the same step is no step more.
  progress.assigned(assignment(61, 1));
  vi.advanceTimersByTime(30_000);
  progress.end();
  vi.advanceTimersByTime(60_000);
  expect(said).toEqual([
    'joined run abc as w2: conv, 256 samples a step in 4 microbatches',
    'waiting for the run to begin',
    'working from step 1 on: 2 of 4 microbatches a step',
    'step 61, epoch 1: 2 of 4 microbatches a step, 2.0 steps/s',
    'took part in 61 steps',
  ]);
});

test('a worker without work says why, and that it works when it does', () => {
  const said: string[] = [];
  const progress = createWorkerProgress({ tell: (line) => said.push(line) });
  progress.joined(welcome);
  progress.standsBy('nothing \u001b[2J to do');
  vi.advanceTimersByTime(30_000);
  progress.assigned(assignment(7, 1));
  progress.end();
  expect(said.slice(1)).toEqual([
    'standing by: nothing  [2J to do',
    'standing by: nothing  [2J to do',
    'working from step 7 on: 1 of 4 microbatches a step',
    'took part in 1 step',
  ]);
});
