import { expect, test } from 'vitest';
import { workforceOf } from '../../../scripts/flags/worker-counts.ts';

test('a run begins with --min-workers, else --workers, and has a microbatch for each worker that it may have', () => {
  expect(workforceOf({ workers: 2 })).toEqual({ numWorkers: 2, defaultMicrobatches: 2 });
  expect(workforceOf({ workers: 4, minWorkers: 1 })).toEqual({ numWorkers: 1, defaultMicrobatches: 4 });
  expect(workforceOf({ workers: 2, minWorkers: 3 })).toEqual({ numWorkers: 3, defaultMicrobatches: 3 });
  const upTo8 = { numWorkers: 2, maxWorkers: 8, defaultMicrobatches: 8 };
  expect(workforceOf({ workers: 4, minWorkers: 2, maxWorkers: 8 })).toEqual(upTo8);
});

test('a maximum below what the run begins with is refused, with the flag that says so', () => {
  expect(() => workforceOf({ workers: 4, maxWorkers: 3 })).toThrow(
    '--max-workers 3: expected at least 4, as the run begins with 4 workers (--workers 4)',
  );
  expect(() => workforceOf({ workers: 2, minWorkers: 5, maxWorkers: 3 })).toThrow('(--min-workers 5)');
});
