/** The coordinator killed before any operation on its files, in a torn write, and on a full disk: the run goes on to its bits. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { RunResult } from '../../../coordinator/reporting/reporter.ts';
import { ConfigError } from '../../../protocol/errors.ts';
import { failFrom, failNever } from '../../helpers/failing-files.ts';
import type { FailureKind } from '../../helpers/failing-files.ts';
import { temporaryFolder } from '../../helpers/folder.ts';
import { beginOrResume as beginOrResumeSmall, epochRecordsOf, stepRecordsOf } from '../../helpers/small-run.ts';
import { countOfCases, freshSeed } from '../../helpers/tier.ts';

vi.mock('node:fs/promises', async (importOriginal) => {
  const { failingFiles } = await import('../../helpers/failing-files.ts');
  return failingFiles(await importOriginal());
});

/** Two steps an epoch, with a checkpoint and a record of each. */
const beginOrResume = (runDir: string) => beginOrResumeSmall(runDir, { recordSteps: 1 });

/** The locks are those of a process that is gone. */
function killLockHolders(runDir: string): void {
  const names = existsSync(runDir) ? readdirSync(runDir).filter((name) => /^lock(\.\w+\.next)?$/.test(name)) : [];
  for (const path of names.map((name) => join(runDir, name))) {
    writeFileSync(path, readFileSync(path, 'utf8').replace(/"processStart":"\d+"/, '"processStart":"0"'));
  }
}

/** One in this many operations on files is tried as the one that fails; each run of the tests starts at another. */
const STRIDE = countOfCases(5, 1);
const FIRST = 1 + (freshSeed('GRADSOCK_SEED_CRASHES') % STRIDE);

const figuresOf = (runDir: string) =>
  epochRecordsOf(runDir).map(({ epoch, loss, testAccuracy, samples, steps }) => {
    return { epoch, loss, testAccuracy, samples, steps };
  });

const stepsOf = (runDir: string) =>
  stepRecordsOf(runDir).map(({ epoch, step, stepInEpoch, loss, samples }) => {
    return { epoch, step, stepInEpoch, loss, samples };
  });

const filesOf = (runDir: string) => (readdirSync(runDir, { recursive: true }) as string[]).sort();

async function quietRun() {
  const runDir = join(temporaryFolder(), 'run');
  const { parametersSha256 } = await beginOrResume(runDir);
  return { parametersSha256, figures: figuresOf(runDir), steps: stepsOf(runDir), files: filesOf(runDir) };
}

/** Runs that fail at one operation each; `afterFailure` sees what each has come to. */
async function failEverywhere(
  how: FailureKind,
  afterFailure: (runDir: string, outcome: PromiseSettledResult<RunResult>) => void,
): Promise<number> {
  onTestFinished(failNever);
  failNever();
  const quiet = await quietRun();
  expect(quiet.steps.map(({ step }) => step)).toEqual([1, 2, 3, 4]);
  for (let failAt = FIRST; ; failAt += STRIDE) {
    const runDir = join(temporaryFolder(), 'run');
    const hasFailed = failFrom(failAt, how);
    const [outcome] = await Promise.allSettled([beginOrResume(runDir)]);
    const isThrough = !hasFailed();
    failNever();
    if (isThrough) return failAt;
    afterFailure(runDir, outcome);

    killLockHolders(runDir);
    const again = await beginOrResume(runDir);
    expect(again, `failed at ${failAt}`).toMatchObject({
      status: 'completed',
      parametersSha256: quiet.parametersSha256,
    });
    expect(figuresOf(runDir), `failed at ${failAt}`).toEqual(quiet.figures);
    // None is missing, and none is there twice.
    expect(stepsOf(runDir), `failed at ${failAt}`).toEqual(quiet.steps);
    // A run that was over except for the removal of its lock may leave the lock behind.
    expect(
      filesOf(runDir).filter((name) => name !== 'lock'),
      `failed at ${failAt}`,
    ).toEqual(quiet.files);
  }
}

test.each<FailureKind>(['killed', 'torn'])(
  `a run that is %s at any operation on its files, tried at each ${STRIDE}-th from ${FIRST} on, goes on to the same bits and files`,
  async (how) => {
    const numOperations = await failEverywhere(how, (_, outcome) => {
      if (outcome.status === 'rejected') expect(outcome.reason).not.toBeInstanceOf(TypeError);
    });
    expect(numOperations).toBeGreaterThan(100);
  },
);

test('a disk that is full from any operation on ends the run in words, and with room it goes on to the same bits', async () => {
  await failEverywhere('full', (runDir, outcome) => {
    if (outcome.status === 'rejected') {
      expect(outcome.reason).toBeInstanceOf(ConfigError);
      expect(String(outcome.reason)).toContain(`--run-dir ${runDir}`);
      expect(existsSync(runDir)).toBe(false);
    } else if (outcome.value.status === 'failed') {
      expect(outcome.value.error).toMatchObject({ code: 'ERR_STORAGE' });
      expect(outcome.value.error!.message).toMatch(/ENOSPC.*make room on that disk, then continue with --resume/);
    }
    // No line is torn.
    if (existsSync(join(runDir, 'epochs.jsonl'))) figuresOf(runDir);
    if (existsSync(join(runDir, 'steps.jsonl'))) stepsOf(runDir);
  });
});
