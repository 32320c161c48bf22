/** Sweeps of real runs on a small slice of the data: what they leave, and how they end, stop and go on. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { TrialRecord } from '../../scripts/sweep/directory.ts';
import { allGone, childrenOf, readEpochs, readResult, runCli, startCli } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/folder.ts';

const SMALL = { model: 'dense', epochs: 3, 'train-samples': 512, testSamples: 256 };
/** Steps enough for a run to be ended in their middle: most of them are to come when the first epoch's record appears. */
const LONG = { ...SMALL, 'train-samples': 1536, 'global-batch': 8, epochs: 5 };
const GRID = { 'learning-rate': [0.02, 0.05], optimizer: ['sgd', 'adam'] };

/** A file for a sweep, and the command that carries it out, in a folder of its own. */
function prepare(content: object) {
  const folder = temporaryFolder();
  const file = join(folder, 'try.json');
  writeFileSync(file, JSON.stringify({ objective: 'testAccuracy', stopEarly: false, ...content }));
  const path = join(folder, 'sweep');
  return {
    file,
    path,
    args: ['sweep', file, '--sweep-dir', path],
    trial: (name: string) => join(path, `trial-${name}`),
  };
}

const recordsOf = (path: string): TrialRecord[] =>
  readFileSync(join(path, 'trials.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as TrialRecord);

/** The table without the column of seconds, which no two sweeps share. */
const tableOf = (path: string): string[][] =>
  readFileSync(join(path, 'table.md'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .map((cells, _, [head]) => cells.filter((_cell, column) => head![column] !== 'seconds'));

const appeared = async (path: string) => {
  while (!existsSync(path)) await delay(10);
};

test('a sweep runs every setting and leaves its records, a table, best first, and a picture; again, it has nothing to do', async () => {
  const { file, path, args, trial } = prepare({ flags: SMALL, grid: GRID, parallel: 2 });
  const { code, output } = await runCli(args, { GRADSOCK_EPOCHS: '9', GRADSOCK_RESUME: 'x' });
  expect(code, output).toBe(0);
  const records = recordsOf(path);
  expect(records.map(({ trial }) => trial).sort()).toEqual([1, 2, 3, 4]);
  for (const { trial: number, status, epochs, last, best, bestEpoch } of records) {
    const values = readEpochs(trial(`00${number}`)).map(({ testAccuracy }) => testAccuracy!);
    expect({ status, epochs, last }).toEqual({ status: 'completed', epochs: 3, last: values[2] });
    expect([best, bestEpoch]).toEqual([Math.max(...values), values.indexOf(best!) + 1]);
  }
  const config = JSON.parse(readFileSync(join(trial('004'), 'config.json'), 'utf8')) as object;
  expect(config).toMatchObject({ optimizer: { name: 'adam' }, schedule: { learningRate: 0.05 }, trainSamples: 512 });
  const [head, , ...rows] = tableOf(path);
  expect(head!.slice(1, -1)).toEqual([
    'status',
    'rank',
    'testAccuracy',
    'best',
    'at epoch',
    'learning-rate',
    'optimizer',
    'epochs',
    'trial',
  ]);
  const ranked = rows.map((row) => row[3]!);
  expect(ranked).toEqual([...ranked].sort().reverse());
  expect(output).toContain(readFileSync(join(path, 'table.md'), 'utf8').trimEnd());
  expect(readFileSync(join(path, 'plot.svg'), 'utf8')).toContain('>learning-rate<');
  expect(readFileSync(join(path, 'plot.png')).subarray(1, 4).toString()).toBe('PNG');
  expect(existsSync(join(path, 'lock'))).toBe(false);

  const again = await runCli(args);
  expect(again.code, again.output).toBe(0);
  expect(again.output).toContain('4 of 4 trials are done already');
  expect(again.output).not.toContain('trial 1');
  expect(recordsOf(path)).toEqual(records);

  writeFileSync(file, JSON.stringify({ objective: 'testAccuracy', flags: { ...SMALL, epochs: 4 }, grid: GRID }));
  const other = await runCli(args);
  expect(other.output).toContain(`error: --sweep-dir ${path}: expected the sweep that was begun there`);
  expect(other.output).toContain('name another --sweep-dir, or remove this one');
  expect(other.code).toBe(2);
});

describe('goes on to the table of a sweep in peace', () => {
  const content = { flags: LONG, grid: { 'learning-rate': [0.02, 0.05] }, seeds: [1, 2], parallel: 2 };
  /** Made once, by the first test that compares with it. */
  let peaceful: Promise<{ table: string[][]; parameters: string[] }> | undefined;
  const outcomeOf = (path: string, trial: (name: string) => string) => ({
    table: tableOf(path),
    parameters: ['001', '002', '003', '004'].map((name) => readResult(trial(name)).parametersSha256),
  });
  const runInPeace = async () => {
    const { path, args, trial } = prepare(content);
    const { code, output } = await runCli(args);
    expect(code, output).toBe(0);
    return outcomeOf(path, trial);
  };

  test("after a terminal's Ctrl-C, by which its runs end after their step", async () => {
    const { path, args, trial } = prepare(content);
    const sweep = startCli(args);
    await sweep.line(/^trial 3 of 4/);
    await appeared(join(trial('003'), 'epochs.jsonl'));
    sweep.killGroup('SIGINT');
    expect(await sweep.exit, sweep.output()).toBe(130);
    expect(sweep.output()).toContain(`interrupted: the same command goes on with ${path}`);
    expect(readResult(trial('003'))).toMatchObject({ status: 'interrupted' });
    expect(recordsOf(path).map(({ trial }) => trial)).not.toContain(3);
    expect(existsSync(join(path, 'table.md'))).toBe(false);
    const { steps } = readResult(trial('003'));

    const resumed = await runCli(args);
    expect(resumed.code, resumed.output).toBe(0);
    expect(recordsOf(path)).toHaveLength(4);
    expect(readFileSync(join(trial('003'), 'log.jsonl'), 'utf8')).toContain(`resumed after step ${steps}`);
    expect(outcomeOf(path, trial)).toEqual(await (peaceful ??= runInPeace()));
  });

  test('after it was killed, by which its runs end as well, in the middle of a record', async () => {
    const { path, args, trial } = prepare(content);
    const sweep = startCli(args);
    await sweep.line(/^trial 3 of 4/);
    await appeared(join(trial('003'), 'epochs.jsonl'));
    const runs = childrenOf(sweep.pid);
    expect(runs.length).toBeGreaterThan(0);
    // They hold still until the sweep is gone, however long that takes on a busy machine.
    for (const pid of runs) process.kill(pid, 'SIGSTOP');
    sweep.kill('SIGKILL');
    await sweep.exit;
    for (const pid of runs) process.kill(pid, 'SIGCONT');
    await allGone(runs);
    expect(readResult(trial('003'))).toMatchObject({ status: 'interrupted' });
    writeFileSync(join(path, 'trials.jsonl'), '{"trial":', { flag: 'a' });

    const resumed = await runCli(args);
    expect(resumed.code, resumed.output).toBe(0);
    expect(recordsOf(path)).toHaveLength(4);
    expect(outcomeOf(path, trial)).toEqual(await (peaceful ??= runInPeace()));
  });
});

test('a run below the median of the others is stopped, and ranked last', async () => {
  const flags = { ...SMALL, epochs: 28 };
  const grid = { 'learning-rate': [0.02, 0.03, 0.05, 1e-7] };
  const { path, args, trial } = prepare({ flags, grid, parallel: 1, stopEarly: { afterEpochs: 2, afterRuns: 3 } });
  const { code, output } = await runCli(args);
  expect(code, output).toBe(0);
  expect(recordsOf(path).map(({ status }) => status)).toEqual(['completed', 'completed', 'completed', 'stopped']);
  const { epochs, last } = recordsOf(path)[3]!;
  expect(epochs).toBeGreaterThanOrEqual(2);
  expect(epochs).toBeLessThan(28);
  expect(readResult(trial('004'))).toMatchObject({ status: 'interrupted' });
  expect(tableOf(path).at(-1)).toEqual(expect.arrayContaining(['stopped', '4', last!.toFixed(4)]));
  expect((await runCli(args)).output).toContain('4 of 4 trials are done already');
});

test('a run that diverges is recorded with its reason, and the others run', async () => {
  const { path, args } = prepare({ flags: SMALL, grid: { 'learning-rate': [1e38, 0.02] }, parallel: 1 });
  const { code, output } = await runCli(args);
  expect(code, output).toBe(0);
  expect(recordsOf(path)).toMatchObject([
    { trial: 1, status: 'failed', isFinal: true, epochs: 0, last: null },
    { trial: 2, status: 'completed' },
  ]);
  expect(recordsOf(path)[0]!.reason).toMatch(/not finite/);
  expect((await runCli(args)).output).toContain('2 of 2 trials are done already');
});

test('a run that failed for what may pass is tried again by the same command', async () => {
  const { path, args, trial } = prepare({ flags: SMALL, grid: { 'learning-rate': [0.02, 0.03] }, parallel: 1 });
  mkdirSync(trial('001'), { recursive: true });
  writeFileSync(join(trial('001'), 'checkpoints'), 'in the way');
  const first = await runCli(args);
  expect(first.code, first.output).toBe(1);
  expect(first.output).toContain('failed, and tried again by the same command: 1');
  expect(recordsOf(path)).toMatchObject([{ trial: 1, status: 'failed', isFinal: false }, { trial: 2 }]);
  rmSync(join(trial('001'), 'checkpoints'));
  const second = await runCli(args);
  expect(second.code, second.output).toBe(0);
  expect(second.output).toContain('1 of 2 trials are done already');
  expect(
    tableOf(path)
      .slice(2)
      .map(([, status]) => status),
  ).toEqual(['completed', 'completed']);
});

describe('ends with exit code 2', () => {
  test('before anything runs, for a value that a flag cannot have', async () => {
    const { file, path, args } = prepare({ flags: SMALL, grid: { momentum: [0.9, 2] } });
    const { code, output } = await runCli(args);
    expect(output).toContain(`error: ${file}: trial 2: option '--momentum <x>' argument '2' is invalid.`);
    expect(code).toBe(2);
    expect(existsSync(path)).toBe(false);
  });

  test('for what only the runs can refuse, when all of them have ended', async () => {
    const { path, args, trial } = prepare({
      flags: { ...LONG, 'train-samples': undefined },
      grid: { 'train-samples': [2048, 70000] },
      parallel: 2,
    });
    const { code, output } = await runCli(args);
    expect(output).toContain('error: trial 2: exit code 2: --train-samples 70000: fashion-mnist has 60000');
    expect(code).toBe(2);
    expect(existsSync(join(path, 'lock'))).toBe(false);
    expect(existsSync(join(trial('001'), 'lock'))).toBe(false);
  });

  test('while another process carries out the same sweep, which is not disturbed', async () => {
    const { path, args } = prepare({ flags: SMALL, grid: { 'learning-rate': [0.02, 0.03] }, parallel: 1 });
    const first = startCli(args);
    await first.line(/^trial 1 of 2/);
    // It must not end meanwhile.
    first.kill('SIGSTOP');
    const second = await runCli(args);
    expect(second.output).toContain(`error: --sweep-dir ${path}: expected a run that nobody writes`);
    expect(second.output).toContain(`process ${first.pid} on`);
    expect(second.code).toBe(2);
    first.kill('SIGCONT');
    expect(await first.exit, first.output()).toBe(0);
  });
});
