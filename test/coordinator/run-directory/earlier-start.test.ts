/** What a folder may hold for a new run to be recorded there, and what is left of one that cannot be. */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkRunFolder, clearEarlierStart } from '../../../coordinator/run-directory/earlier-start.ts';
import { createRunDirectory } from '../../../coordinator/run-directory/locked-run-directory.ts';
import { openRunDirectory } from '../../../coordinator/run-directory/run-directory.ts';
import type { RunResult } from '../../../coordinator/reporting/reporter.ts';
import { writeOutcome } from '../../../coordinator/run-directory/outcome.ts';
import { ConfigError } from '../../../protocol/errors.ts';
import { replicaAt } from '../../helpers/checkpoints.ts';
import { runConfig } from '../../helpers/cluster.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { asOrdinaryUser, openFolder } from '../../helpers/ordinary-user.ts';

const result = (changes: Partial<RunResult> = {}): RunResult => ({
  status: 'failed',
  steps: 0,
  epochs: 0,
  testAccuracy: null,
  trainingSeconds: 0,
  waitingSeconds: 0,
  seconds: 1,
  parametersSha256: '',
  ...changes,
});

/** A directory as a run leaves it that was begun and ended so. */
async function runThat(outcome?: Partial<RunResult>, begunWith?: 'star') {
  const folder = temporaryFolder();
  const directory = openRunDirectory(folder, 'abc', () => {});
  await directory.writeConfig(runConfig(), {});
  if (begunWith) await directory.recordAllReduce(begunWith);
  if (outcome) await writeOutcome(directory, { replica: replicaAt(outcome.steps ?? 0), facts: {} }, result(outcome));
  return folder;
}

const told = { say: () => {}, warn: () => {} };

describe('a start that took no step', () => {
  test.each<[string, Partial<RunResult> | undefined, string]>([
    ['failed', { error: { code: 'ERR_TIMEOUT', message: '0 of 2 workers joined' } }, 'failed: 0 of 2 workers joined'],
    ['was interrupted', { status: 'interrupted' }, 'interrupted'],
    ['was killed', undefined, 'it was killed'],
  ])('because it %s leaves no model and a folder that may be used again', async (_, outcome, how) => {
    const folder = await runThat(outcome);
    writeFileSync(join(folder, 'token'), 'of that start');
    // In a ring, workers may have taken steps that the run does not have.
    writeFileSync(join(folder, 'steps.jsonl'), '{"step":1}\n');
    mkdirSync(join(folder, 'tensorboard', 'train'), { recursive: true });
    expect(existsSync(join(folder, 'model.safetensors'))).toBe(false);
    checkRunFolder(folder);
    const said: string[] = [];
    const directory = await createRunDirectory('tiny', folder, { ...told, say: (line) => said.push(line) });
    expect(said).toEqual([`${folder}: an earlier start took no step (${how}): beginning anew`]);
    expect(readdirSync(folder).sort()).toEqual(['lock', 'log.jsonl']);
    await directory.release();
  });

  test('leaves other files of that folder alone', async () => {
    const folder = await runThat({});
    writeFileSync(join(folder, 'notes.txt'), 'mine');
    await clearEarlierStart(folder);
    expect(readdirSync(folder)).toEqual(['notes.txt']);
  });
});

describe('a run is never overwritten:', () => {
  test.each<[string, () => Promise<string>]>([
    ['one with steps', () => runThat({ status: 'interrupted', steps: 3 })],
    ['one that was to have its initial model', () => runThat({ status: 'completed' })],
    ['one that was killed after it had all its workers', () => runThat(undefined, 'star')],
    [
      'one with a checkpoint',
      async () => {
        const folder = await runThat();
        mkdirSync(join(folder, 'checkpoints'));
        return folder;
      },
    ],
    [
      'a configuration that cannot be read',
      () => {
        const folder = temporaryFolder();
        writeFileSync(join(folder, 'config.json'), '{}');
        return Promise.resolve(folder);
      },
    ],
  ])('%s', async (_, make) => {
    const folder = await make();
    const before = readdirSync(folder);
    const problem = `--run-dir ${folder}: holds a run already: choose another folder, or remove this one`;
    expect(() => checkRunFolder(folder)).toThrow(problem);
    await expect(createRunDirectory('tiny', folder, told)).rejects.toThrow(problem);
    expect(await clearEarlierStart(folder)).toBeUndefined();
    expect(readdirSync(folder)).toEqual(before);
  });
});

describe('a folder that cannot be used is refused before anything is made:', () => {
  test('one below a file', () => {
    const file = join(temporaryFolder(), 'file');
    writeFileSync(file, '');
    expect(() => checkRunFolder(join(file, 'run'))).toThrow(
      `--run-dir ${join(file, 'run')}: cannot be made: a part of the path is a file, not a folder (ENOTDIR)`,
    );
    expect(readFileSync(file, 'utf8')).toBe('');
  });

  test.skipIf(process.getuid?.() === 0)('one below a folder that only others can write', () => {
    const folder = temporaryFolder();
    chmodSync(folder, 0o500);
    expect(() => checkRunFolder(join(folder, 'run'))).toThrow(/cannot be made: permission denied for .* \(EACCES\)/);
  });

  test.skipIf(process.getuid?.() !== 0)(
    'one that another user owns: both are named by number, with the cures',
    async () => {
      const folder = openFolder();
      await asOrdinaryUser([folder], async (uid) => {
        await expect(createRunDirectory('tiny', join(folder, 'run'), told)).rejects.toThrow(
          `--run-dir ${join(folder, 'run')}: cannot be made: permission denied for user ${uid} (EACCES): ` +
            `${folder} belongs to user 0 and group 0: run chown -R ${uid} ${folder}, start this program as user 0 ` +
            '(a container: --user 0:0), or name another folder',
        );
      });
      expect(readdirSync(folder)).toEqual([]);
    },
  );

  test('and what was made up to then is removed', async () => {
    const folder = temporaryFolder();
    // A lock that another version left: found only when the folder is there.
    const lock = { id: 'aaaa', pid: 1, host: 'elsewhere', processStart: null, since: 'then' };
    mkdirSync(join(folder, 'run'));
    writeFileSync(join(folder, 'run', 'lock'), JSON.stringify(lock));
    await expect(createRunDirectory('tiny', join(folder, 'run'), told)).rejects.toThrow(ConfigError);
    expect(readdirSync(join(folder, 'run'))).toEqual(['lock']);

    const directory = await createRunDirectory('tiny', join(folder, 'a', 'b'), told);
    await directory.release();
    await directory.discard();
    expect(readdirSync(folder)).toEqual(['run']);
  });
});
