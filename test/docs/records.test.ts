/** The reference lists the fields that are written, and no other; the guide's tables are made of them. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../helpers/folder.ts';
import { beginOrResume, epochRecordsOf, stepRecordsOf } from '../helpers/small-run.ts';

const pageOf = (path: string) => readFileSync(fileURLToPath(new URL(`../../docs/${path}`, import.meta.url)), 'utf8');

/** The part of a page below a heading, to the next one. */
function sectionOf(page: string, heading: string): string {
  const [, rest] = page.split(`\n## ${heading}\n`);
  return rest!.split('\n## ')[0]!;
}

/** The fields in the first column of the table with this heading, in order; `?` marks those that may be absent. */
function fieldsIn(section: string, heading: string): { all: string[]; needed: string[] } {
  const lines = section.split('\n');
  const first = lines.findIndex((line) => line.startsWith(`| ${heading} `)) + 2;
  const rows = lines.slice(first, first + lines.slice(first).findIndex((line) => !line.startsWith('|')));
  const fields = rows.flatMap((row) => [...row.split('|')[1]!.matchAll(/`([\w.]+)`(\??)/g)]);
  const namesOf = (some: typeof fields) => some.map(([, name]) => name!).sort();
  return { all: namesOf(fields), needed: namesOf(fields.filter(([, , mark]) => mark === '')) };
}

const page = pageOf('reference/run-directory.md');
const epochs = sectionOf(page, 'epochs.jsonl');
const steps = sectionOf(page, 'steps.jsonl');

/** One run with all optional fields in one record or another: with validation, and resumed in the middle of an epoch. */
async function recordedRun(): Promise<string> {
  const runDir = join(temporaryFolder(), 'run');
  const controller = new AbortController();
  const options = { recordSteps: 1, stepsPerEpoch: 4, changes: { validationSamples: 8 } };
  const reporter = {
    line: () => {},
    onProgress({ stepInEpoch }: { stepInEpoch: number }) {
      if (stepInEpoch === 1) controller.abort();
    },
  };
  await beginOrResume(runDir, { ...options, reporter, signal: controller.signal });
  await beginOrResume(runDir, options);
  return runDir;
}

describe('docs/reference/run-directory.md', () => {
  test('has the fields of the records of epochs and of their workers, the deprecated ones too', async () => {
    const runDir = await recordedRun();
    const plainDir = join(temporaryFolder(), 'run');
    await beginOrResume(plainDir);
    const written = [...epochRecordsOf(runDir), ...epochRecordsOf(plainDir)].map((record) => Object.keys(record));
    const { all, needed } = fieldsIn(epochs, 'field');
    const deprecated = ['breakdown', 'bytesPerStep'];
    expect([...new Set(written.flat())].sort()).toEqual([...all, ...deprecated].sort());
    for (const names of written) expect(names).toEqual(expect.arrayContaining(needed));
    expect(written.flat()).toContain('stepsBeforeResume');

    const ofDeprecated = fieldsIn(epochs, 'deprecated field').all;
    expect(ofDeprecated.filter((name) => name.includes('.')).map((name) => name.split('.')[0])).toEqual(
      expect.arrayContaining(deprecated),
    );
    const ofWorker = [
      ...fieldsIn(epochs, 'field of a worker').all,
      ...ofDeprecated.filter((name) => !name.includes('.') && !deprecated.includes(name)),
    ];
    for (const { workers } of epochRecordsOf(plainDir)) {
      expect(Object.keys(workers[0]!).sort()).toEqual(ofWorker.sort());
    }
  });

  test('has the fields of the records of steps', async () => {
    const { all, needed } = fieldsIn(steps, 'field');
    expect(all).toEqual(needed);
    for (const record of stepRecordsOf(await recordedRun())) expect(Object.keys(record).sort()).toEqual(all);
  });
});

describe('docs/guide/records-for-pandas.md', () => {
  const blocks = [...pageOf('guide/records-for-pandas.md').matchAll(/```python\n([\s\S]*?)```/g)].map(
    ([, code]) => code!,
  );

  test('names columns that the records have', async () => {
    const runDir = await recordedRun();
    const [step] = stepRecordsOf(runDir);
    const [epoch] = epochRecordsOf(runDir);
    const columns = [step!, epoch!, epoch!.workers[0]!].flatMap((record) => Object.keys(record));
    const named = blocks
      .flatMap((code) => [...code.matchAll(/"([A-Za-z]+)"/g)])
      .map(([, name]) => name!)
      .filter((name) => name !== 'endedAt');
    expect(named.length).toBeGreaterThan(5);
    expect(columns).toEqual(expect.arrayContaining(named));
  });

  const hasPandas = spawnSync('python3', ['-c', 'import pandas'], { stdio: 'ignore' }).status === 0;
  if (!hasPandas) process.stdout.write('skipped: the guide in Python, as python3 has no pandas\n');
  test.skipIf(!hasPandas)('is what pandas does', async () => {
    const runDir = await recordedRun();
    // A picture needs another library.
    const code = blocks.join('').replaceAll('.plot()', '').replaceAll('runs/mine', runDir);
    const { status, stderr } = spawnSync('python3', ['-c', code], { encoding: 'utf8' });
    expect(status, stderr).toBe(0);
  });
});
