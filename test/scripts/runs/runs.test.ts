/** `gradsock runs`: what run directories say, as tables, filtered, sorted, compared. */
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import type { EpochRecord, RunResult } from '../../../coordinator/reporting/reporter.ts';
import { runConfig } from '../../helpers/cluster.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { runInProcess } from '../../helpers/in-process.ts';
import { diffRuns } from '../../../scripts/runs/run-diff.ts';
import { listRuns, summariseRun } from '../../../scripts/runs/run-summary.ts';
import { filterRuns, formatRuns, sortRuns, toCsv } from '../../../scripts/runs/run-table.ts';

let folder: string;

interface Made {
  readonly accuracies?: readonly (number | null)[];
  readonly config?: object;
  readonly result?: Partial<RunResult>;
}

function makeRun(name: string, { accuracies = [], config = {}, result }: Made): string {
  const path = join(folder, name);
  mkdirSync(path);
  writeFileSync(join(path, 'config.json'), JSON.stringify({ runId: name, ...runConfig({ epochs: 3 }), ...config }));
  const records = accuracies.map((testAccuracy, index): Partial<EpochRecord> => {
    const worker = { engine: 'native', device: 'cpu' } as EpochRecord['workers'][number];
    return {
      epoch: index + 1,
      testAccuracy,
      loss: 1 / (index + 1),
      seconds: 2,
      evaluationSeconds: 1,
      workers: [worker],
    };
  });
  writeFileSync(join(path, 'epochs.jsonl'), records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  if (result) writeFileSync(join(path, 'result.json'), JSON.stringify(result));
  return path;
}

beforeEach(() => {
  folder = temporaryFolder();
  const dataset = { name: 'mine', source: '/mine', shape: [1, 2, 2], classes: ['a'], sha256: '0'.repeat(64) };
  makeRun('a', {
    accuracies: [0.5, 0.8, 0.7],
    config: { dataset, startedAt: '2026-11-29T10:00:00.000Z', workers: 2 },
    result: { status: 'completed', trainingSeconds: 7.5 },
  });
  makeRun('b', { accuracies: [0.9], config: { startedAt: '2026-11-30T10:00:00.000Z' }, result: { status: 'failed' } });
  makeRun('c', { accuracies: [null], config: { startedAt: '2026-11-28T10:00:00.000Z' } });
  mkdirSync(join(folder, 'no-run'));
  symlinkSync('b', join(folder, 'latest'));
});

describe('a run', () => {
  test('is summed up by its best and last epoch', () => {
    expect(summariseRun(join(folder, 'a'))).toMatchObject({
      ...{ run: 'a', model: 'tiny', data: 'mine', recipe: 'sgd 0.05 cosine', workers: 2, engine: 'native on cpu' },
      ...{ epochs: 3, plannedEpochs: 3, bestEpoch: 2, bestAccuracy: 0.8, lastAccuracy: 0.7, lastLoss: 1 / 3 },
      ...{ trainingSeconds: 7.5, status: 'completed' },
    });
  });

  test('that is under way, or was killed, is told by its records', () => {
    const path = join(folder, 'c');
    writeFileSync(join(path, 'epochs.jsonl'), '{"epoch": 1, "loss": 0.5, "testAc', { flag: 'a' });
    expect(summariseRun(path)).toMatchObject({
      ...{
        data: 'fashion-mnist',
        epochs: 1,
        bestEpoch: null,
        lastAccuracy: null,
        trainingSeconds: 3,
        status: 'unfinished',
      },
    });
  });

  test('is found by its folder, links apart', () => {
    expect(listRuns(folder).map(({ run }) => run)).toEqual(['a', 'b', 'c']);
    expect(listRuns(join(folder, 'a')).map(({ run }) => run)).toEqual(['a']);
    expect(summariseRun(join(folder, 'latest')).run).toBe('b');
  });
});

describe('runs', () => {
  const namesOf = (runs: readonly { readonly run: string }[]) => runs.map(({ run }) => run).join('');

  test.each([
    ['startedAt', 'bac'],
    ['-startedAt', 'cab'],
    ['bestAccuracy', 'bac'],
    ['-bestaccuracy', 'abc'],
    ['run', 'abc'],
    ['-run', 'cba'],
    ['workers', 'abc'],
  ])('are sorted by %s', (column, order) => {
    const sorted = sortRuns(listRuns(folder), column);
    if (column !== 'workers') expect(namesOf(sorted)).toBe(order);
    expect(sorted.length).toBe(3);
  });

  test.each([
    [['bestAccuracy>0.8'], 'b'],
    [['bestAccuracy >= 0.8'], 'ab'],
    [['status=failed'], 'b'],
    [['status!=failed'], 'ac'],
    [['data=mine', 'model=tiny'], 'a'],
    [['startedAt<2026-11-29T12'], 'ac'],
    [['epochs=1'], 'bc'],
  ])('are filtered by %j', (conditions, names) => {
    expect(namesOf(filterRuns(listRuns(folder), conditions))).toBe(names);
  });

  test.each([
    ['accuracy>1', '--filter accuracy: expected run, model, data,'],
    ['nonsense', '--filter nonsense: expected COLUMN=VALUE, or another of != > >= < <= between them'],
  ])('are not filtered by %s', (condition, message) => {
    expect(() => filterRuns([], [condition])).toThrow(message);
    expect(() => sortRuns([], 'colour')).toThrow('--sort colour: expected run, model, data,');
  });

  test.each([
    [30, ['run', 'best', 'last']],
    [70, ['run', 'model', 'data', 'epochs', 'best', 'last', 'status']],
    [Infinity, 12],
  ] as const)('fit a terminal of %d characters', (columns, headings) => {
    const lines = formatRuns(listRuns(folder), columns).split('\n');
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
    const found = lines[0]!.split(/ {2,}/);
    expect(typeof headings === 'number' ? found.length : found).toEqual(headings);
  });

  test('as CSV keep what has a comma in it', () => {
    const [run] = listRuns(join(folder, 'a'));
    const [headings, row] = toCsv([{ ...run!, recipe: 'a, "b"' }]).split('\n');
    expect(headings).toMatch(/^run,model,data,recipe,workers,engine,epochs/);
    expect(row).toMatch(/^a,tiny,mine,"a, ""b""",2,native on cpu,3,3,2,0\.8,0\.7,/);
  });

  test('are compared field by field', () => {
    const { configuration, result } = diffRuns(join(folder, 'a'), join(folder, 'b'));
    expect(configuration).toContainEqual({ field: 'workers', a: '2', b: '1' });
    expect(configuration).toContainEqual({ field: 'dataset.name', a: '"mine"', b: undefined });
    expect(configuration.map(({ field }) => field)).not.toContain('runId');
    expect(result).toContainEqual({ field: 'status', a: '"completed"', b: '"failed"' });
    expect(diffRuns(join(folder, 'a'), join(folder, 'a'))).toEqual({ configuration: [], result: [] });
  });
});

describe('gradsock runs', () => {
  test('prints a table, JSON or CSV', async () => {
    const table = await runInProcess(['runs', folder]);
    expect(table.output.split('\n').map((line) => line.split(/ {2,}/)[0])).toEqual(['run', 'b', 'a', 'c']);
    expect(table.output).toMatch(/ 80\.00 % +2 +70\.00 %/);
    const json = await runInProcess(['runs', folder, '--json', '--filter', 'run=c']);
    expect(JSON.parse(json.output)).toMatchObject([{ run: 'c', bestAccuracy: null }]);
    const none = await runInProcess(['runs', folder, '--filter', 'run=z']);
    expect(none.output).toBe(`${folder}: 3 runs, none to show`);
    expect((await runInProcess(['runs', join(folder, 'none')])).code).toBe(2);
    expect((await runInProcess(['runs', folder, '--json', '--csv'])).output).toContain('leave out one of them');
  });

  test('says what differs', async () => {
    const diff = await runInProcess(['runs', 'diff', join(folder, 'a'), join(folder, 'latest')]);
    expect(diff.output).toMatch(/^workers {2,}2 {2,}1$/m);
    const wrong = await runInProcess(['runs', 'diff', join(folder, 'a'), folder]);
    expect(wrong).toEqual({ code: 2, output: `error: ${folder}: expected a run directory, got none there` });
  });
});
