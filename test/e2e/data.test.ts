/** Data of the user's: trained on by processes that have its files and by one that has to be sent it. */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readResult, runCli, startCli, startCoordinator } from '../helpers/cli.ts';
import { makeData, writeIdxFolder, writeImageFolder, writeNpz } from '../helpers/data-files.ts';
import { temporaryFolder } from '../helpers/folder.ts';
import { runInProcess } from '../helpers/in-process.ts';

const flags = ['--model', 'conv-pool', '--microbatches', '3', '--global-batch', '48', '--epochs', '1', '--seed', '3'];
const data = makeData([3, 24, 20], 5, [480, 100]);

test('a folder of images is trained on, by a worker that is sent it too; then it is moved and the run resumed', async () => {
  const folder = temporaryFolder();
  const images = writeImageFolder(join(folder, 'images'), data);
  const cacheOf = (name: string) => ({ XDG_CACHE_HOME: join(folder, name) });
  const run = ['--data', images, ...flags];

  const baseline = await runInProcess(
    ['baseline', ...run, '--run-dir', join(folder, 'baseline')],
    cacheOf('baseline-cache'),
  );
  expect(baseline.code, baseline.output).toBe(0);
  const { parametersSha256 } = readResult(join(folder, 'baseline'));
  const config = JSON.parse(readFileSync(join(folder, 'baseline', 'config.json'), 'utf8')) as { dataset: object };
  expect(config.dataset).toEqual({
    name: 'images',
    source: images,
    shape: [3, 24, 20],
    classes: data.classes,
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
  });

  const runDir = join(folder, 'coordinator');
  const joinFile = ['--join-file', join(folder, 'join')];
  const { coordinator, url } = await startCoordinator([...run, ...joinFile, '--workers', '2', '--run-dir', runDir]);
  const workers = ['one', 'two'].map((name) => startCli(['worker', url, '--name', name], cacheOf(name)));
  for (const cli of [coordinator, ...workers]) expect(await cli.exit, cli.output()).toBe(0);
  expect(workers[0]!.output()).toContain('images is not on this machine: receiving it from the coordinator into');
  expect(readdirSync(join(folder, 'one', 'gradsock', 'datasets'))).toEqual([expect.stringMatching(/\.safetensors$/)]);
  expect(readResult(runDir).parametersSha256).toBe(parametersSha256);

  // Of a run in this state the data is all that is looked at.
  rmSync(join(runDir, 'result.json'));
  const other = writeNpz(join(folder, 'other.npz'), data, 'keras');
  const refused = await runInProcess(['baseline', '--resume', runDir, '--data', other], cacheOf('baseline-cache'));
  expect(refused.code).toBe(2);
  expect(refused.output).toMatch(
    /expected the data that the run trains on, images with sha256 \w+, got .*other\.npz with/,
  );
  rmSync(images, { recursive: true });
  const resumed = await runInProcess(['baseline', '--resume', runDir], cacheOf('baseline-cache'));
  expect(resumed.code, resumed.output).toBe(0);
  expect(readResult(runDir).parametersSha256).toBe(parametersSha256);
});

test('gradsock data says what a dataset is, and draws it', async () => {
  const folder = writeIdxFolder(join(temporaryFolder(), 'mine'), makeData([1, 12, 10], 3, [30, 12]), true);
  const sheet = join(folder, '..', 'sheet.png');
  const info = await runCli(['data', 'info', folder, '--sheet', sheet]);
  expect(info.code, info.output).toBe(0);
  expect(info.output).toContain('samples    30 for training, 12 for testing');
  expect(info.output).toContain('    2  class-c       10        4');
  expect(existsSync(sheet)).toBe(true);
  const json = await runInProcess(['data', 'info', folder, '--json']);
  const summary = JSON.parse(json.output) as { sha256: string; mean: number[]; classes: { train: number }[] };
  expect(summary.classes.map(({ train }) => train)).toEqual([10, 10, 10]);
  const verified = await runInProcess(['data', 'verify', folder]);
  expect(verified.output).toBe(`${folder}: ok, in canonical form sha256 ${summary.sha256}`);
});
