import { describe, expect, test } from 'vitest';
import { liveBlock, WorkerStates } from '../../../coordinator/reporting/live-block.ts';
import type { BlockFacts } from '../../../coordinator/reporting/live-block.ts';
import type { WorkerEvent } from '../../../coordinator/reporting/reported-event.ts';
import type { EpochSoFar, Progress } from '../../../coordinator/reporting/reporter.ts';

const progress: Progress = {
  ...{ epoch: 2, epochs: 5, stepInEpoch: 47, stepsPerEpoch: 235 },
  ...{ loss: 0.4567, trainAccuracy: 0.84, samplesPerSecond: 12345.6, runSecondsLeft: 203.9 },
};

/** Workers local-1, local-2, ...; the n-th takes 10 n ms for a step. */
function soFarOf(numWorkers: number): EpochSoFar {
  const workers = Array.from({ length: numWorkers }, (_, index) => ({
    ...{ id: `w${index + 1}`, name: `local-${index + 1}`, engine: 'native', workerSamples: 6016, workerSteps: 47 },
    ...{ workerStepSeconds: 0.47 * (index + 1), workerComputeSeconds: 0.0235 },
  }));
  return { seconds: 1, steps: 47, workers } as unknown as EpochSoFar;
}

const facts = (numWorkers: number, changes: Partial<BlockFacts> = {}): BlockFacts => ({
  ...{ doing: undefined, progress, idleSeconds: 0, soFar: soFarOf(numWorkers), states: new WorkerStates() },
  verdict: 'waiting 33 %: local-2 is the slowest; equal speeds would gain at most 1.5 x; try --microbatches 8',
  ...changes,
});

const event = (change: WorkerEvent['change'], id: string, name: string): WorkerEvent => ({
  ...{ change, id, name, host: 'here' },
});

const linesOf = (block: string) => block.split('\n');

describe('the live block', () => {
  test('on a wide terminal has everything: a line of progress, a row a worker, the verdict', () => {
    const states = new WorkerStates();
    states.add(event('late', 'w2', 'local-2'));
    expect(linesOf(liveBlock(facts(2, { states }), 120, 30))).toEqual([
      'epoch 2/5, step 47/235, loss 0.4567, train acc 0.840, 12346 samples/s, run: 3 min 24 s left',
      '  local-1  native  50 %  step 10 ms  compute 0.5 ms  at work',
      '  local-2  native  50 %  step 20 ms  compute 0.5 ms  late',
      'waiting 33 %: local-2 is the slowest; equal speeds would gain at most 1.5 x; try --microbatches 8',
    ]);
  });

  test('on a narrow one has two lines of progress, fewer columns, and the verdict without its advice', () => {
    expect(linesOf(liveBlock(facts(2), 39, 30))).toEqual([
      'epoch 2/5, run: 3 min 24 s left',
      'loss 0.4567, train acc 0.840',
      '  local-1  50 %  step 10 ms  at work',
      '  local-2  50 %  step 20 ms  at work',
      'waiting 33 %: local-2 is the slowest',
    ]);
  });

  test.each([1, 2, 8, 9, 1000])('of %i workers fits into any width and height', (numWorkers) => {
    for (const columns of [20, 39, 79, 119]) {
      const lines = linesOf(liveBlock(facts(numWorkers), columns, 24));
      expect(lines.length).toBeLessThanOrEqual(14);
      for (const line of lines.filter((text) => text.startsWith('  ')))
        expect(line.length).toBeLessThanOrEqual(columns);
    }
  });

  test('of more than eight workers has the slowest five, those that are lost or late before them', () => {
    const states = new WorkerStates();
    states.add(event('lost', 'w3', 'local-3'));
    const rows = linesOf(liveBlock(facts(12, { states, verdict: undefined }), 120, 30)).slice(1);
    expect(rows.map((row) => row.trim().split(' ')[0])).toEqual([
      ...['local-3', 'local-12', 'local-11', 'local-10', 'local-9', 'and'],
    ]);
    expect(rows[0]).toMatch(/lost$/);
    expect(rows.at(-1)).toBe('  and 7 more');
    // Of a low terminal less is taken.
    expect(linesOf(liveBlock(facts(12, { verdict: undefined }), 120, 8))).toHaveLength(4);
  });

  test('of one worker has no row: the line of progress says the same', () => {
    expect(linesOf(liveBlock(facts(1, { verdict: undefined }), 120, 30))).toHaveLength(1);
  });

  test('shows a worker that came back, and not the process in whose place it came', () => {
    const states = new WorkerStates();
    states.add(event('lost', 'w2', 'local-2'));
    states.add(event('joined', 'w3', 'local-2'));
    const soFar = soFarOf(3);
    const workers = soFar.workers.map((worker) => (worker.id === 'w3' ? { ...worker, name: 'local-2' } : worker));
    const rows = linesOf(liveBlock(facts(3, { states, soFar: { ...soFar, workers }, verdict: undefined }), 120, 30));
    expect(rows.slice(1).map((row) => row.trim().split(' ')[0])).toEqual(['local-1', 'local-2']);
    states.add(event('joined', 'w2', 'local-2'));
    expect(states.of({ id: 'w2' })).toBe('at work');
  });

  test('goes on showing a worker that is late or lost when the next epoch has begun without it', () => {
    const states = new WorkerStates();
    states.add(event('late', 'w7', 'local-7'));
    expect(linesOf(liveBlock(facts(2, { states }), 120, 30))[3]).toMatch(/^ {2}local-7 +0 % +late$/);
  });

  test('says what the run does besides steps, and how long a long step has taken so far', () => {
    expect(linesOf(liveBlock(facts(2, { doing: 'evaluating epoch 1' }), 120, 30))[0]).toBe('evaluating epoch 1');
    expect(linesOf(liveBlock(facts(2, { idleSeconds: 12 }), 140, 30))[0]).toContain(', this step: 12 s so far');
  });

  test('cuts names that are too long', () => {
    const soFar = soFarOf(2);
    const workers = soFar.workers.map((worker) => ({ ...worker, name: 'a-machine-with-a-very-long-name.example.org' }));
    const rows = linesOf(liveBlock(facts(2, { soFar: { ...soFar, workers } }), 39, 30));
    expect(rows[2]).toBe('  a-machine-with-a-very-long-…  at work');
  });
});
