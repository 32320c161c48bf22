import { expect, test } from 'vitest';
import { createJsonReporter } from '../../../coordinator/reporting/json-lines.ts';
import { beginOrResume, epochRecordsOf } from '../../helpers/small-run.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { join } from 'node:path';

test('a run as JSON lines: its start, what it does, the records of its epochs, its end', async () => {
  let text = '';
  const json = createJsonReporter({ write: (line: string) => (text += line) });
  const runDir = join(temporaryFolder(), 'run');
  const result = await beginOrResume(runDir, { subscribers: [json] });
  json.warn('a warning');
  const lines = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { kind: string });
  const told = (kind: string) => lines.filter((line) => line.kind === kind);
  expect(new Set(lines.map(({ kind }) => kind))).toEqual(new Set(['phase', 'start', 'epoch', 'end', 'warning']));
  expect(told('start')).toMatchObject([{ runDir, workers: [{ name: 'worker', engine: 'reference' }] }]);
  expect(Object.keys((told('start') as unknown as { workers: object[] }[])[0]!.workers[0]!)).not.toContain('transport');
  expect(told('epoch')).toEqual(epochRecordsOf(runDir).map((record) => ({ kind: 'epoch', ...record })));
  expect(told('end')).toEqual([{ kind: 'end', ...result, runDir }]);
  expect(told('warning')).toMatchObject([{ text: 'a warning' }]);
});

test('what a person asks of a run is a line of its own', () => {
  const lines: unknown[] = [];
  const json = createJsonReporter({ write: (line: string) => lines.push(JSON.parse(line)) });
  json.onEvent!({ kind: 'control', state: 'paused' });
  json.onEvent!({ kind: 'saved', step: 7 });
  expect(lines).toMatchObject([
    { kind: 'control', state: 'paused', at: expect.stringMatching(/^\d{4}-.*Z$/) as string },
  ]);
});
