import { expect, test } from 'vitest';
import { assignedMicrobatches } from '../../../worker/step/contribution.ts';

// Three steps of an epoch; the last one has a single sample, and so a single microbatch.
const sizes = { globalBatch: 8, numMicrobatches: 4, numTrainSamples: 17 };
const assignment = { step: 9, epoch: 3, stepInEpoch: 0, firstMicrobatch: 1, numMicrobatches: 3, numBuckets: 1 };

test('an assignment of microbatches that its step has is taken', () => {
  expect(assignedMicrobatches(assignment, sizes)).toEqual({ range: { first: 1, count: 3 }, numParts: 4 });
  const last = { ...assignment, stepInEpoch: 2, firstMicrobatch: 0, numMicrobatches: 1 };
  expect(assignedMicrobatches(last, sizes)).toEqual({ range: { first: 0, count: 1 }, numParts: 1 });
});

test.each([
  ['of a microbatch too many', { numMicrobatches: 4 }],
  ['of microbatches that a short last step has not', { stepInEpoch: 2 }],
  ['of a step beyond the epoch', { stepInEpoch: 3, firstMicrobatch: 0, numMicrobatches: 1 }],
])('an assignment %s is refused', (_what, change) => {
  const refused = expect.objectContaining({ code: 'ERR_SHAPE_MISMATCH', step: 9 }) as Error;
  expect(() => assignedMicrobatches({ ...assignment, ...change }, sizes)).toThrow(refused);
});
