/** The report of a run changes nothing of the run: it comes afterwards, and what goes wrong in it is a warning. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { DatasetSource } from '../../../coordinator/dataset/dataset-source.ts';
import { toCanonical } from '../../../protocol/data/canonical.ts';
import { holdOpen } from '../../../scripts/report/held-data.ts';
import { createRunReport } from '../../../scripts/report/run-report.ts';
import { madeUpSamples } from '../../helpers/cluster.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { runResult } from '../../helpers/records.ts';
import { makeRunFolder } from '../../helpers/run-folders.ts';

function made() {
  const shape = [1, 28, 28] as const;
  let isClosed = false;
  const source: DatasetSource = {
    ...{ name: 'made up', source: 'made up', shape, classes: ['a', 'b'], numTrainSamples: 2 },
    async open() {
      const raw = { shape, classes: ['a', 'b'], train: madeUpSamples(2, 1), test: madeUpSamples(2, 2) };
      const data = await toCanonical(raw);
      return { ...data, bytes: { ...data.bytes, close: () => (isClosed = true) } };
    },
  };
  const warnings: string[] = [];
  const data = holdOpen(source);
  const report = createRunReport({ data, warn: (line) => warnings.push(line) });
  return { data, report, warnings, isClosed: () => isClosed };
}

test('it is written once the run is over, of the data that the run has opened, which is closed then', async () => {
  const { data, report, warnings, isClosed } = made();
  const run = makeRunFolder(join(temporaryFolder(), '<b>run</b>'));
  const opened = await data.source.open();
  report.onEnd!(runResult(), run);
  opened.bytes.close();
  expect([isClosed(), existsSync(join(run, 'report.html'))]).toEqual([false, false]);
  await report.close!();
  expect(warnings).toEqual([]);
  expect(isClosed()).toBe(true);
  const html = readFileSync(join(run, 'report.html'), 'utf8');
  expect(html).toContain('<svg class="static-chart">');
  expect(html).not.toContain('<b>run</b>');
});

test('a run without a step has none', async () => {
  const { report, warnings } = made();
  const run = makeRunFolder(join(temporaryFolder(), 'run'), { epochs: [] });
  report.onEnd!(runResult({ status: 'failed', steps: 0 }), run);
  await report.close!();
  expect([existsSync(join(run, 'report.html')), warnings]).toEqual([false, []]);
});

test('one that cannot be written is a warning', async () => {
  const { report, warnings } = made();
  report.onEnd!(runResult(), join(temporaryFolder(), 'gone'));
  await report.close!();
  expect(warnings).toEqual([expect.stringMatching(/^warning: no report was written: .*gone/)]);
});
