import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { cureOf } from '../../../coordinator/reporting/cures.ts';
import { createFirstFailure } from '../../../coordinator/reporting/first-failure.ts';
import type { WorkerEvent } from '../../../coordinator/reporting/reported-event.ts';
import type { Progress, RunResult } from '../../../coordinator/reporting/reporter.ts';
import { summaryLines } from '../../../coordinator/reporting/run-lines.ts';
import { ProtocolError } from '../../../protocol/errors.ts';
import { createReferenceEngine } from '../../../worker/engines/reference/reference-engine.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { beginOrResume } from '../../helpers/small-run.ts';

const loss = (nth: number, reason: string): WorkerEvent & { kind: 'worker' } => ({
  kind: 'worker',
  ...{ change: 'lost', id: `w${nth}`, name: `local-${nth}`, host: `10.0.0.${nth}:4711`, step: 7 },
  ...{ code: 'ERR_PEER_LOST', reason: `worker local-${nth} (w${nth}), step 7: ${reason}` },
});
/** What ends the run: the last worker's loss. */
const lastOf = (nth: number) => {
  const message = `worker local-${nth} (w${nth}), step 7: the ring broke`;
  const record = { code: 'ERR_PEER_LOST', message, worker: `local-${nth}`, step: 7 };
  return [new ProtocolError('ERR_PEER_LOST', message, { worker: `local-${nth}` }), record] as const;
};
const progress = {} as Progress;

describe('the error of a run that fails', () => {
  test('is the first of the failures since the last step, with what is known of its worker', () => {
    const failures = createFirstFailure((worker) => [`the last words of ${worker}`]);
    failures.onEvent!(loss(1, 'forgotten: a step came after it'));
    failures.onProgress!(progress);
    failures.onEvent!(loss(2, 'its disk is on fire'));
    failures.onEvent!(loss(3, 'the ring broke'));
    failures.onEvent!(loss(1, 'the ring broke'));
    expect(failures.of(...lastOf(1))).toEqual({
      code: 'ERR_PEER_LOST',
      message: 'worker local-2 (w2), step 7: its disk is on fire',
      worker: 'local-2',
      host: '10.0.0.2:4711',
      step: 7,
      lastLines: ['the last words of local-2'],
    });
  });

  test('is not that of a worker which only reports that its link to another broke', () => {
    const failures = createFirstFailure();
    failures.onEvent!(loss(1, 'the link to local-2 was lost'));
    failures.onEvent!({ ...loss(2, 'the connection was lost'), code: 'ERR_CLOSED' });
    failures.onEvent!(loss(3, 'the link to local-2 was lost'));
    expect(failures.of(...lastOf(3))).toMatchObject({ code: 'ERR_CLOSED', worker: 'local-2' });
  });

  test('stays its own where it does not follow from a loss', () => {
    const failures = createFirstFailure();
    failures.onEvent!(loss(2, 'its disk is on fire'));
    const record = { code: 'ERR_NOT_FINITE', message: 'step 8: not finite', step: 8 };
    expect(failures.of(new ProtocolError('ERR_NOT_FINITE', 'step 8: not finite'), record)).toBe(record);
    const internal = { code: 'ERR_INTERNAL', message: 'internal: a fault' };
    expect(failures.of(new Error('internal: a fault'), internal)).toBe(internal);
  });

  test('says how the process of the same worker ended, where that ended the run', () => {
    const failures = createFirstFailure(() => ['local-2 was ended by SIGKILL']);
    failures.onEvent!(loss(2, 'the connection was lost'));
    const message = 'local-2 died 5 times';
    const error = new ProtocolError('ERR_PEER_LOST', message, { worker: 'local-2' });
    expect(failures.of(error, { code: 'ERR_PEER_LOST', message, worker: 'local-2' })).toEqual({
      ...{ code: 'ERR_PEER_LOST', message, worker: 'local-2', host: '10.0.0.2:4711' },
      lastLines: ['local-2 was ended by SIGKILL'],
    });
  });

  test('stands in result.json with the address of the worker', async () => {
    const runDir = join(temporaryFolder(), 'run');
    let numGradients = 0;
    const changes = { joinTimeoutSeconds: 0.01 };
    await beginOrResume(runDir, {
      changes,
      createEngine: async (options) => {
        const engine = await createReferenceEngine(options);
        return {
          ...engine,
          computeGradient(batch, into) {
            if (++numGradients > 3) throw new ProtocolError('ERR_ENGINE', 'the GPU fell off the bus');
            return engine.computeGradient(batch, into);
          },
        };
      },
    });
    const { error } = JSON.parse(readFileSync(join(runDir, 'result.json'), 'utf8')) as { error: object };
    expect(error).toMatchObject({ code: 'ERR_ENGINE', worker: 'worker', host: 'worker' });
    expect(error).toHaveProperty('message', expect.stringContaining('the GPU fell off the bus'));
  });
});

describe('at the end of such a run', () => {
  const result: RunResult = {
    status: 'failed',
    ...{ steps: 6, epochs: 0, testAccuracy: null, seconds: 1, trainingSeconds: 1 },
    ...{ waitingSeconds: 0, parametersSha256: 'ab'.repeat(32) },
  };

  test('the worker, its address, the step, its last lines and the cure are told', () => {
    const error = {
      ...{ code: 'ERR_CLOSED', message: 'worker local-2 (w2), step 7: the connection was lost', worker: 'local-2' },
      ...{ host: '127.0.0.1:4711', step: 7, lastLines: ['engine native', 'local-2 was ended by SIGKILL'] },
    };
    expect(summaryLines({ ...result, error }, 'runs/x')).toEqual([
      'failed: 6 steps in 1.0 s, parameters abababababab',
      'run directory runs/x',
      'error: worker local-2 (w2), step 7: the connection was lost',
      '  first to fail: worker local-2 at 127.0.0.1:4711, step 7',
      '  its last lines:',
      '    engine native',
      '    local-2 was ended by SIGKILL',
      '  what to do: if its work takes too much memory or time, use more --microbatches, or a longer --step-timeout, ' +
        'then go on with --resume runs/x',
    ]);
  });

  test.each([
    ['ERR_NOT_FINITE', 'step 3: not finite. Try a smaller --learning-rate', undefined],
    ['ERR_TIMEOUT', '1 of 2 workers joined within 120 s', 'start workers sooner, or set --join-timeout'],
    ['ERR_STORAGE', 'runs/x/result.json: no space is left', 'make room, then go on with --resume runs/x'],
  ])('the cure of %s is that of the reference', (code, message, cure) => {
    expect(cureOf({ code, message }, 'runs/x')).toBe(cure);
  });
});
