import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BEST_NAME, checkpointName } from '../../../coordinator/run-directory/checkpoint-writer.ts';
import { BEGINNING, readRecordedRun, restoreRun } from '../../../coordinator/run-directory/resume.ts';
import { openRunDirectory } from '../../../coordinator/run-directory/run-directory.ts';
import { checkpointFile, headerAt, replicaAt, RUN_ID } from '../../helpers/checkpoints.ts';
import { runConfig } from '../../helpers/cluster.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

const config = runConfig();

/** A run directory with checkpoints after these steps, the epochs of 5 steps each. */
function runWith(...steps: number[]) {
  const path = temporaryFolder();
  const folder = join(path, 'checkpoints');
  mkdirSync(folder);
  const at = (step: number) => headerAt({ step, epochsDone: Math.floor(step / 5) });
  for (const step of steps) writeFileSync(join(folder, checkpointName(step)), checkpointFile(at(step)));
  const records = (text: string) => writeFileSync(join(path, 'epochs.jsonl'), text);
  const replica = replicaAt(0);
  const told: string[] = [];
  const tell = { say: (line: string) => void told.push(line), warn: (line: string) => void told.push(line) };
  const directory = openRunDirectory(path, RUN_ID, tell.warn);
  return { path, folder, records, replica, told, restore: () => restoreRun(directory, config, replica, tell) };
}

const lines = (...epochs: number[]) => epochs.map((epoch) => `${JSON.stringify({ epoch })}\n`).join('');

describe('resuming takes', () => {
  test('the newest checkpoint, and cuts off the records after it', async () => {
    const run = runWith(9, 10, 12);
    run.records(`${lines(1, 2, 3, 4)}{"epoch":5,"lo`);
    writeFileSync(join(run.path, 'result.json'), '{"status":"failed"}');
    expect(await run.restore()).toMatchObject({ step: 12, epochsDone: 2 });
    expect(run.replica.step).toBe(12);
    expect(run.replica.state).toEqual(replicaAt(12).state);
    expect(readFileSync(join(run.path, 'epochs.jsonl'), 'utf8')).toBe(lines(1, 2));
    expect(existsSync(join(run.path, 'result.json'))).toBe(false);
    expect(run.told).toEqual([`resuming ${run.path} after step 12, 2 epochs done, from ${checkpointName(12)}`]);
  });

  test('the one before where the newest are torn or of another run, and says why', async () => {
    const run = runWith(8, 9);
    const [torn, foreign] = [join(run.folder, checkpointName(11)), join(run.folder, checkpointName(12))];
    writeFileSync(torn, checkpointFile(headerAt({ step: 11 })).subarray(0, 500));
    writeFileSync(foreign, checkpointFile({ ...headerAt({ step: 12 }), runId: 'other' }));
    run.records(lines(1, 2));
    expect(await run.restore()).toMatchObject({ step: 9, epochsDone: 1 });
    expect(run.told).toEqual([
      expect.stringMatching(`^refused ${torn}: torn: 500 bytes, expected \\d+$`),
      `refused ${foreign}: of run other, expected run ${RUN_ID}`,
      expect.stringContaining('after step 9'),
    ]);
    expect(readdirSync(run.folder)).toContain(`${checkpointName(11)}.refused`);
    expect(readFileSync(join(run.path, 'epochs.jsonl'), 'utf8')).toBe(lines(1));
  });

  test('the best where it alone is whole', async () => {
    const run = runWith();
    writeFileSync(join(run.folder, BEST_NAME), checkpointFile(headerAt({ step: 3 })));
    writeFileSync(join(run.folder, checkpointName(4)), '');
    expect(await run.restore()).toMatchObject({ step: 3 });
  });

  test('the beginning where there never was one, and says so; what was half written goes', async () => {
    const run = runWith();
    writeFileSync(join(run.folder, `${checkpointName(4)}.x.part`), 'half');
    run.records(lines(1));
    expect(await run.restore()).toEqual(BEGINNING);
    expect(run.told).toEqual([`resuming ${run.path}: it ended before its first checkpoint: beginning at step 0`]);
    expect(readdirSync(run.folder)).toEqual([]);
    expect(readFileSync(join(run.path, 'epochs.jsonl'), 'utf8')).toBe('');
  });
});

describe('resuming is refused', () => {
  test('where no checkpoint is whole, again too', async () => {
    const run = runWith();
    writeFileSync(join(run.folder, checkpointName(4)), 'torn');
    for (let i = 0; i < 2; i++) {
      await expect(run.restore()).rejects.toThrow('expected a whole checkpoint of this run, got none: put one back');
    }
    expect(run.replica.step).toBe(0);
  });

  test.each(['', lines(1), lines(1, 3), `${lines(1)}{"epoch":2`])('where records are missing: %j', async (text) => {
    const run = runWith(10);
    run.records(text);
    await expect(run.restore()).rejects.toThrow(/expected the records of epochs 1 to 2.*got [01]: put the file back/);
  });

  test('where there is no run, or none that can be read', () => {
    const path = temporaryFolder();
    expect(() => readRecordedRun(path)).toThrow(`--resume ${path}: expected a run directory, got no config.json`);
    writeFileSync(join(path, 'config.json'), '{"runId":');
    expect(() => readRecordedRun(path)).toThrow(
      `--resume ${path}: ${join(path, 'config.json')}: expected JSON, got something else`,
    );
    writeFileSync(join(path, 'config.json'), JSON.stringify({ ...config, seed: 'x', runId: RUN_ID }));
    expect(() => readRecordedRun(path)).toThrow(/config\.json is not that of a run that can be resumed:\n {2}seed:/);
  });
});

test('the record of a run has what config.json has', () => {
  const path = temporaryFolder();
  writeFileSync(
    join(path, 'config.json'),
    JSON.stringify({ runId: RUN_ID, ...config, checkpointEvery: 5, origin: {} }),
  );
  expect(readRecordedRun(path)).toMatchObject({ path, runId: RUN_ID, config, checkpointEvery: 5 });
  expect(readRecordedRun(path)).not.toHaveProperty('completed');
});

test('the record of a run has the all-reduce that it began with, as soon as that is known', async () => {
  const path = temporaryFolder();
  const directory = openRunDirectory(path, RUN_ID, () => {});
  await directory.writeConfig(config, { checkpointEvery: 5 });
  expect(readRecordedRun(path).begunWith).toBeUndefined();
  await directory.recordAllReduce('ring');
  expect(readRecordedRun(path)).toMatchObject({ config, checkpointEvery: 5, begunWith: 'ring' });
});
