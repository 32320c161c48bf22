import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createTerminalReporter } from '../../../coordinator/reporting/terminal.ts';
import type { Progress, RunResult } from '../../../coordinator/reporting/reporter.ts';

/** A stream that keeps what is written to it. */
function fakeStream(isTTY: boolean, columns = 120) {
  let text = '';
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString();
      done();
    },
  });
  return { stream: Object.assign(stream, { isTTY, columns, rows: 40 }) as never, text: () => text };
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

// What is drawn depends on it.
beforeEach(() => {
  vi.stubEnv('TERM', 'xterm');
});

afterEach(() => {
  vi.unstubAllEnvs();
  vi.useRealTimers();
});

describe('the progress line', () => {
  test('goes into one line of a narrow terminal, and then says less', () => {
    const { stream, text } = fakeStream(true, 40);
    createTerminalReporter({ stream, quiet: false }).onProgress!({ ...progress, runSecondsLeft: 12 });
    expect(text()).toContain('epoch 2/5, step 47/235, run: 12 s left\n');
  });

  test('is not the only one that fits: texts are broken between words, commands stay whole', () => {
    const { stream, text } = fakeStream(true, 30);
    const { line } = createTerminalReporter({ stream, quiet: false });
    line('all-reduce: star, because all workers are on this machine');
    line('  npx gradsock worker ws://127.0.0.1:7878');
    expect(text()).toContain('all-reduce: star, because all\n    workers are on this\n    machine\n');
    expect(text()).toContain('  npx gradsock worker ws://127.0.0.1:7878\n');
  });

  test('is not drawn, and nothing escaped, where TERM is dumb', () => {
    vi.stubEnv('TERM', 'dumb');
    const { stream, text } = fakeStream(true);
    const reporter = createTerminalReporter({ stream, quiet: false });
    reporter.onPhase!('evaluating epoch 1');
    reporter.onProgress!(progress);
    reporter.line('a line');
    reporter.onEnd!(result, 'runs/x');
    expect(text()).not.toContain('\u001b');
    expect(text()).not.toContain('epoch 2/5');
  });

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

describe('in a pipe, a run that has said nothing for 30 s', () => {
  test('says nothing more once it was refused', () => {
    vi.useFakeTimers();
    const { stream, text } = fakeStream(false);
    const reporter = createTerminalReporter({ stream, quiet: false });
    reporter.onRefused!();
    vi.advanceTimersByTime(100_000);
    expect(text()).toBe('');
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  test('says where it stands, again and again, and not after its end', () => {
    vi.useFakeTimers();
    const { stream, text } = fakeStream(false);
    const reporter = createTerminalReporter({ stream, quiet: false });
    reporter.onPhase!('waiting for workers: 1 of 2 are ready');
    vi.advanceTimersByTime(29_000);
    reporter.line('a line');
    vi.advanceTimersByTime(29_000);
    expect(text()).toBe('a line\n');
    vi.advanceTimersByTime(2_000);
    expect(text()).toBe('a line\nwaiting for workers: 1 of 2 are ready, for 59 s so far\n');
    reporter.onProgress!(progress);
    vi.advanceTimersByTime(60_000);
    expect(text().split('\n').slice(2, -1)).toEqual(
      Array<string>(2).fill(
        'epoch 2/5, step 47/235, loss 0.4567, train acc 0.840, 12346 samples/s, run: 3 min 24 s left',
      ),
    );
    reporter.onEnd!({ ...result, status: 'completed' }, 'runs/x');
    const whole = text();
    vi.advanceTimersByTime(60_000);
    expect(text()).toBe(whole);
  });

  test('says nothing when quiet', () => {
    vi.useFakeTimers();
    const { stream, text } = fakeStream(false);
    createTerminalReporter({ stream, quiet: true });
    vi.advanceTimersByTime(60_000);
    expect(text()).toBe('');
  });
});

describe('the end of a run', () => {
  test('tells waiting for workers apart', () => {
    const { stream, text } = fakeStream(false);
    const waited = { ...result, seconds: 4.73, waitingSeconds: 3.5 };
    createTerminalReporter({ stream, quiet: false }).onEnd!(waited, 'runs/x');
    expect(text()).toContain('failed: 3 steps in 1.2 s, parameters abababababab, waited 3.5 s for workers\n');
  });

  test('is told with the error and the run directory, also when quiet', () => {
    const { stream, text } = fakeStream(false);
    createTerminalReporter({ stream, quiet: true }).onEnd!(result, 'runs/x');
    expect(text()).toBe(
      'failed: 3 steps in 1.2 s, parameters abababababab\nrun directory runs/x\n' +
        'error: worker local-1 (w1), step 4: the connection was lost\n' +
        "  what to do: look at the other end: the worker's own output says why it ended, then go on with --resume runs/x\n",
    );
  });

  test('is not told when quiet and all is well', () => {
    const { stream, text } = fakeStream(false);
    createTerminalReporter({ stream, quiet: true }).onEnd!({ ...result, status: 'completed' }, 'runs/x');
    expect(text()).toBe('');
  });
});
