/**
 * Schedules that once broke a promise, each shrunken, with what was wrong in the program. They are simulated in every run
 * of the tests. They are kept whole, not as seeds: a seed means another schedule when the making of schedules changes.
 */
import type { Schedule } from './schedule.ts';

export const FAILED_ONCE: readonly (readonly [fault: string, schedule: Schedule])[] = [
  [
    'a worker that took over work in the middle of a step waited for averages that it had already',
    {
      seed: 3000010,
      allReduce: 'star',
      wire: 'f32',
      numBuckets: 4,
      microbatches: 1,
      localSteps: 1,
      epochs: 1,
      numAwaited: 1,
      workers: [
        {
          startMs: 1,
          latencyMs: 1,
          jitterMs: 0,
          sharesMemory: false,
          computeMs: 1,
          evaluateMs: 1,
          faults: [{ kind: 'die', atSend: 7, replacedAfterMs: 433 }],
        },
      ],
      coordinatorFaults: [],
    },
  ],
  [
    'a proof behind parts of a sum that another member had answered first was refused',
    {
      seed: 3000028,
      allReduce: 'star',
      wire: 'f32',
      numBuckets: 1,
      microbatches: 4,
      localSteps: 1,
      epochs: 3,
      numAwaited: 1,
      workers: [
        { startMs: 265, latencyMs: 1, jitterMs: 100, sharesMemory: false, computeMs: 1, evaluateMs: 1, faults: [] },
        { startMs: 1230, latencyMs: 150, jitterMs: 0, sharesMemory: false, computeMs: 30, evaluateMs: 1, faults: [] },
      ],
      coordinatorFaults: [],
    },
  ],
  [
    'the only worker was set aside in the evaluation, as late, again and again',
    {
      seed: 3000022,
      allReduce: 'ring',
      wire: 'f32',
      numBuckets: 1,
      microbatches: 1,
      localSteps: 1,
      epochs: 1,
      numAwaited: 1,
      workers: [
        { startMs: 1, latencyMs: 1, jitterMs: 0, sharesMemory: false, computeMs: 1, evaluateMs: 2652, faults: [] },
      ],
      coordinatorFaults: [],
    },
  ],
  [
    'a deadline ran before its worker had anything to do',
    {
      seed: 3000158,
      allReduce: 'star',
      wire: 'f32',
      numBuckets: 4,
      microbatches: 5,
      localSteps: 1,
      epochs: 1,
      numAwaited: 3,
      workers: [
        {
          startMs: 1,
          latencyMs: 1,
          jitterMs: 100,
          sharesMemory: false,
          computeMs: 1,
          evaluateMs: 1,
          faults: [
            { kind: 'wrongOnce', atSend: 1 },
            { kind: 'hang', atSend: 16, stopMs: 12919 },
          ],
        },
        { startMs: 1, latencyMs: 1, jitterMs: 0, sharesMemory: false, computeMs: 1, evaluateMs: 1, faults: [] },
        { startMs: 1, latencyMs: 1, jitterMs: 0, sharesMemory: false, computeMs: 1, evaluateMs: 1, faults: [] },
      ],
      coordinatorFaults: [],
    },
  ],
  [
    'a worker that computed as the run ended called the run lost',
    {
      seed: 3000009,
      allReduce: 'star',
      wire: 'f32',
      numBuckets: 1,
      microbatches: 2,
      localSteps: 1,
      epochs: 1,
      numAwaited: 2,
      workers: [
        { startMs: 1, latencyMs: 1, jitterMs: 0, sharesMemory: false, computeMs: 1, evaluateMs: 2149, faults: [] },
        { startMs: 1, latencyMs: 1, jitterMs: 0, sharesMemory: false, computeMs: 1, evaluateMs: 1, faults: [] },
      ],
      coordinatorFaults: [],
    },
  ],
  [
    'a worker that stood by at the end was said not to have joined',
    {
      seed: 3000004,
      allReduce: 'star',
      wire: 'f32',
      numBuckets: 1,
      microbatches: 1,
      localSteps: 1,
      epochs: 1,
      numAwaited: 1,
      workers: [
        { startMs: 1, latencyMs: 1, jitterMs: 0, sharesMemory: false, computeMs: 1, evaluateMs: 1, faults: [] },
        { startMs: 1, latencyMs: 1, jitterMs: 0, sharesMemory: false, computeMs: 1, evaluateMs: 1, faults: [] },
      ],
      coordinatorFaults: [],
    },
  ],
  [
    'a worker that was set aside in the evaluation was asked to leave its ring, and heard twice',
    {
      seed: 3000328,
      allReduce: 'ring',
      wire: 'f32',
      numBuckets: 1,
      microbatches: 2,
      localSteps: 1,
      epochs: 2,
      numAwaited: 2,
      workers: [
        { startMs: 1, latencyMs: 1, jitterMs: 0, sharesMemory: false, computeMs: 1, evaluateMs: 1, faults: [] },
        { startMs: 1, latencyMs: 1, jitterMs: 0, sharesMemory: false, computeMs: 1, evaluateMs: 3260, faults: [] },
      ],
      coordinatorFaults: [],
    },
  ],
  [
    'workers were told that a run is over before its last checkpoint was written',
    {
      seed: 3000769,
      allReduce: 'ring',
      wire: 'f32',
      numBuckets: 1,
      microbatches: 1,
      localSteps: 1,
      epochs: 1,
      numAwaited: 1,
      workers: [
        { startMs: 1, latencyMs: 1, jitterMs: 100, sharesMemory: false, computeMs: 1, evaluateMs: 1, faults: [] },
        { startMs: 279, latencyMs: 1, jitterMs: 0, sharesMemory: false, computeMs: 1, evaluateMs: 1, faults: [] },
      ],
      coordinatorFaults: [{ kind: 'kill', atEvent: 33, losesPower: true, resumedAfterMs: 3876 }],
    },
  ],
  [
    'the coordinator was busy for ever with a connection whose own silence had ended it',
    {
      seed: 1010,
      allReduce: 'star',
      wire: 'f32',
      numBuckets: 1,
      microbatches: 7,
      localSteps: 1,
      epochs: 1,
      numAwaited: 2,
      workers: [
        { startMs: 1, latencyMs: 1, jitterMs: 0, sharesMemory: false, computeMs: 10, evaluateMs: 100, faults: [] },
        {
          startMs: 1,
          latencyMs: 1,
          jitterMs: 0,
          sharesMemory: false,
          computeMs: 449,
          evaluateMs: 100,
          faults: [{ kind: 'vanish', atSend: 6 }],
        },
      ],
      coordinatorFaults: [],
    },
  ],
];
