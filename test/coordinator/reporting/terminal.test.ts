import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createTerminalReporter } from '../../../coordinator/reporting/terminal.ts';
import type { EpochRecord, Progress, RunResult } from '../../../coordinator/reporting/reporter.ts';
import { runConfig } from '../../helpers/cluster.ts';

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

const completed: RunResult = {
  status: 'completed',
  steps: 3,
  epochs: 0,
  testAccuracy: null,
  seconds: 1.26,
  trainingSeconds: 1.23,
  waitingSeconds: 0.03,
  parametersSha256: 'ab'.repeat(32),
};

const result: RunResult = {
  ...completed,
  status: 'failed',
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

const ESC = '\u001b';
const ESCAPE_OR_CHARACTER = new RegExp(`${ESC}\\[([?\\d]*[A-Za-z])|[^${ESC}]`, 'gu');

/** What a terminal shows after this was written to it, wide enough for all lines. */
function screenOf(text: string): string[] {
  const lines = [''];
  let [row, column] = [0, 0];
  for (const [token, code] of text.matchAll(ESCAPE_OR_CHARACTER)) {
    if (code === undefined && token === '\n') [row, column] = [row + 1, 0];
    else if (code === undefined) {
      const line = (lines[row] ?? '').padEnd(column);
      lines[row] = line.slice(0, column) + token + line.slice(column + 1);
      column++;
    } else if (code === '2K') lines[row] = '';
    else if (code === 'K') lines[row] = (lines[row] ?? '').slice(0, column);
    else if (code === 'G') column = 0;
    else if (code.endsWith('A')) row -= Number(code.slice(0, -1) || 1);
    else if (code.endsWith('B')) row += Number(code.slice(0, -1) || 1);
    else if (!code.startsWith('?')) throw new Error(`a code that this terminal does not know: ${code}`);
    lines[row] ??= '';
  }
  return lines.join('\n').trimEnd().split('\n');
}

const workers = ['local-1', 'local-2'].map((name, index) => ({
  ...{ id: `w${index + 1}`, name, engine: 'native', workerSamples: 6016, workerSteps: 47 },
  ...{ workerStepSeconds: 1.9, workerComputeSeconds: 1.3 },
}));

const spent = {
  ...{ seconds: 3, steps: 47, bytesSent: 1e6, bytesReceived: 1e6, slowestWorker: 'local-2', slowestDelaySeconds: 1 },
  ...{ computePartSeconds: 1.8, encodePartSeconds: 0, wirePartSeconds: 0.1, waitPartSeconds: 1 },
  ...{ reducePartSeconds: 0, applyPartSeconds: 0.1, otherPartSeconds: 0, workers },
};

describe('the block', () => {
  const begin = (columns?: number) => {
    const { stream, text } = fakeStream(true, columns);
    const reporter = createTerminalReporter({ stream, quiet: false });
    reporter.onStart!(runConfig({ workers: 2 }), [], undefined, 0);
    reporter.onProgress!({ ...progress, soFar: () => spent });
    return {
      reporter,
      stream: stream as { columns: number; emit(event: string): void },
      screen: () => screenOf(text()),
    };
  };
  const rows = [
    '  local-1  native  50 %  step 40 ms  compute 28 ms  at work',
    '  local-2  native  50 %  step 40 ms  compute 28 ms  at work',
    'waiting 33 %: local-2 is the slowest; equal speeds would gain at most 1.5 x; try --microbatches 8',
  ];

  test('stays below the lines that are written meanwhile, and is gone at the end', async () => {
    const { reporter, screen } = begin();
    expect(screen().slice(2)).toEqual(rows);
    reporter.line('a line');
    reporter.onEvent!({ kind: 'worker', change: 'lost', id: 'w2', name: 'local-2', host: 'here' });
    reporter.line('another');
    expect(screen().slice(1)).toEqual(['a line', 'another']);
    await Promise.resolve();
    expect(screen().slice(1)).toEqual([
      ...['a line', 'another', screen()[3], rows[0], rows[1]!.replace('at work', 'lost'), rows[2]],
    ]);
    reporter.onEnd!(completed, undefined);
    expect(screen().slice(1)).toEqual(['a line', 'another', expect.stringMatching(/^completed: /)]);
  });

  test('is drawn anew when the window changes; of what that has made of its lines nothing stays', () => {
    const { stream, screen } = begin(100);
    expect(screen()).toHaveLength(5);
    stream.columns = 60;
    stream.emit('resize');
    expect(screen().at(-1)).toBe('    gain at most 1.5 x; try --microbatches 8');
    stream.columns = 100;
    stream.emit('resize');
    expect(screen().slice(-3)).toEqual(rows);
  });

  test('is given up by a terminal reporter that ends: nothing is drawn, and no timer runs', () => {
    vi.useFakeTimers();
    const { reporter, stream, screen } = begin();
    reporter.onRefused!();
    stream.emit('resize');
    expect(vi.getTimerCount()).toBe(0);
    expect(screen()).toHaveLength(1);
  });
});

describe('in a pipe, a run that has said nothing for 30 s', () => {
  test('or as long as was asked for, speaks; for 0 s, never', () => {
    vi.useFakeTimers();
    const texts = [5, 0].map((progressIntervalSeconds) => {
      const { stream, text } = fakeStream(false);
      createTerminalReporter({ stream, quiet: false, progressIntervalSeconds });
      return text;
    });
    vi.advanceTimersByTime(300_000);
    expect(texts.map((text) => text().split('\n').length - 1)).toEqual([60, 0]);
  });

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

  test('says that it is paused until its next step', () => {
    vi.useFakeTimers();
    const { stream, text } = fakeStream(false);
    const reporter = createTerminalReporter({ stream, quiet: false });
    reporter.onProgress!(progress);
    for (const state of ['pausing', 'paused'] as const) reporter.onEvent!({ kind: 'control', state });
    expect(text()).toBe('pausing after the step at hand\npaused: resume on the dashboard\n');
    vi.advanceTimersByTime(30_000);
    expect(text()).toContain('\npaused: resume on the dashboard, for 30 s so far\n');
    reporter.onEvent!({ kind: 'control', state: 'running' });
    expect(text()).toMatch(/\ngoing on\n$/);
    reporter.onProgress!(progress);
    reporter.onEvent!({ kind: 'control', state: 'stopping' });
    vi.advanceTimersByTime(30_000);
    expect(text()).toMatch(/\nstopping after the epoch at hand\nepoch 2\/5, .*\n$/);
    reporter.onEnd!(completed, undefined);
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
  test('of several workers has the verdict on the last epoch', () => {
    const { stream, text } = fakeStream(false);
    const reporter = createTerminalReporter({ stream, quiet: false });
    reporter.onStart!(runConfig({ workers: 2 }), [], undefined, 0);
    const record = { ...spent, loss: 0.5, trainAccuracy: 0.8, testAccuracy: 0.8, samplesPerSecond: 1 };
    reporter.onEpoch!(record as unknown as EpochRecord);
    reporter.onEnd!(completed, 'runs/x');
    expect(text()).toMatch(/run directory runs\/x\nin the last epoch, waiting 33 %: local-2 is the slowest; .*\n$/);
  });

  test('tells waiting for workers apart', () => {
    const { stream, text } = fakeStream(false);
    const waited = { ...result, seconds: 4.73, waitingSeconds: 3.5 };
    createTerminalReporter({ stream, quiet: false }).onEnd!(waited, 'runs/x');
    expect(text()).toContain('failed: 3 steps in 1.2 s, parameters abababababab, waited 3.5 s\n');
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
