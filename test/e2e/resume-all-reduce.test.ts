/** A run is resumed with the all-reduce that it began with, which its directory records. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readResult, runCli, SMALL, startCli } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/folder.ts';

const train = ['train', '--workers', '2', '--model', 'dense', '--epochs', '3', '--microbatches', '2', ...SMALL];

const configOf = (runDir: string) => JSON.parse(readFileSync(join(runDir, 'config.json'), 'utf8')) as object;

/** Begins a run and interrupts it after its first epoch. */
async function beginRun(): Promise<string> {
  const runDir = join(temporaryFolder(), 'run');
  const first = startCli([...train, '--run-dir', runDir]);
  await first.line(/^epoch 1,/);
  first.kill('SIGINT');
  expect(await first.exit, first.output()).toBe(130);
  return runDir;
}

test('a run records what `auto` chose, and is resumed with it', async () => {
  const runDir = await beginRun();
  expect(configOf(runDir)).toMatchObject({ allReduce: 'auto', begunWith: 'star' });
  const config = configOf(runDir);
  // As if its workers had been on several machines, for which `auto` chooses the ring.
  writeFileSync(join(runDir, 'config.json'), JSON.stringify({ ...config, begunWith: 'ring' }));

  const more = await runCli(['train', '--workers', '1', '--resume', runDir]);
  expect(more.output).toContain('1 worker, but the run has 2, and with the ring another number would change');
  expect(more.code).toBe(2);

  const { code, output } = await runCli(['train', '--resume', runDir]);
  expect(code, output).toBe(0);
  expect(output).toMatch(/^all-reduce: ring of 2 workers$/m);
  expect(readResult(runDir)).toMatchObject({ status: 'completed', epochs: 3 });
  expect(configOf(runDir)).toMatchObject({ ...config, begunWith: 'ring' });
});
