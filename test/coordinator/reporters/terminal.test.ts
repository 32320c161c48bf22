import { Writable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { createTerminalReporter } from '../../../coordinator/reporters/terminal.ts';
import type { Progress, RunResult } from '../../../coordinator/reporters/reporter.ts';

/** A stream that keeps what is written to it. */
function fakeStream(isTTY: boolean) {
  let text = '';
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString();
      done();
    },
  });
  return { stream: Object.assign(stream, { isTTY, columns: 120, rows: 40 }) as never, text: () => text };
}

const progress: Progress = {
  epoch: 2,
  epochs: 5,
  stepInEpoch: 47,
  stepsPerEpoch: 235,
  loss: 0.4567,
  trainAccuracy: 0.84,
  samplesPerSecond: 12345.6,
  runSecondsLeft: 203.9,
};

const result: RunResult = {
  status: 'failed',
  steps: 3,
  epochs: 0,
  testAccuracy: null,
  seconds: 1.26,
  trainingSeconds: 1.23,
  waitingSeconds: 0.03,
  parametersSha256: 'ab'.repeat(32),
  error: { code: 'ERR_CLOSED', message: 'worker local-1 (w1), step 4: the connection was lost', worker: 'local-1' },
};

describe('the progress line', () => {
  test('shows where a running epoch stands, on a terminal', () => {
    const { stream, text } = fakeStream(true);
    createTerminalReporter({ stream, quiet: false }).onProgress!(progress);
    expect(text()).toContain(
      'epoch 2/5, step 47/235, loss 0.4567, train acc 0.840, 12346 samples/s, run: 3 min 24 s left',
    );
  });

  test('is redrawn no more often than people can see', () => {
    const { stream, text } = fakeStream(true);
    const reporter = createTerminalReporter({ stream, quiet: false });
    for (let i = 0; i < 100; i++) reporter.onProgress!(progress);
    expect(text().split('s left').length - 1).toBeLessThan(10);
  });

  test.each([
    ['in a pipe', false, false],
    ['when quiet', true, true],
  ])('is not drawn %s', (_where, isTTY, quiet) => {
    const { stream, text } = fakeStream(isTTY);
    createTerminalReporter({ stream, quiet }).onProgress!(progress);
    expect(text()).toBe('');
  });
});

describe('the end of a run', () => {
  test('is told with the error and the run directory, also when quiet', () => {
    const { stream, text } = fakeStream(false);
    createTerminalReporter({ stream, quiet: true }).onEnd!(result, 'runs/x');
    expect(text()).toBe(
      'failed: 3 steps in 1.2 s, parameters abababababab\nrun directory runs/x\n' +
        'error: worker local-1 (w1), step 4: the connection was lost\n',
    );
  });

  test('is not told when quiet and all is well', () => {
    const { stream, text } = fakeStream(false);
    createTerminalReporter({ stream, quiet: true }).onEnd!({ ...result, status: 'completed' }, 'runs/x');
    expect(text()).toBe('');
  });
});
