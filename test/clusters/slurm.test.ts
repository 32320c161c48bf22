/** Runs in jobs of a real Slurm: their results, whatever happens to the job, and the job's state. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PROGRAM, readResult, startCommand } from '../helpers/cli.ts';
import { expectPlainResult, inTheMiddle, TRAINING } from '../helpers/launched-run.ts';
import { nodeProcesses } from '../helpers/processes.ts';
import { slurmMissing, startSlurm } from '../helpers/slurm.ts';
import type { JobState, Slurm } from '../helpers/slurm.ts';

const SCRIPT = fileURLToPath(new URL('../../deploy/slurm/gradsock.sbatch', import.meta.url));

let slurm: Slurm;
let numJobs = 0;

const isOver = ({ state }: JobState) => state !== 'PENDING' && state !== 'RUNNING' && state !== 'COMPLETING';

/** Submits the package's script; `flags`: of the coordinator. */
function submit(flags: readonly string[], ofJob: readonly string[] = []) {
  const runDir = join(slurm.folder, `run-${++numJobs}`);
  const env = { GRADSOCK: `${process.execPath} ${PROGRAM}`, RUN_DIR: runDir, GRADSOCK_NO_REPORT: '1' };
  const id = slurm.submit(['--ntasks=2', ...ofJob, SCRIPT, ...flags], env);
  return { id, runDir, output: () => readFileSync(join(slurm.folder, `gradsock-${id.split('_')[0]!}.out`), 'utf8') };
}

describe.skipIf(slurmMissing() !== undefined)('a job of Slurm', () => {
  beforeAll(async () => {
    slurm = await startSlurm();
  });

  afterAll(() => slurm.stop());

  test('is completed with the parameters of gradsock train, also where a worker is killed', async () => {
    const { id, runDir, output } = submit(TRAINING);
    await inTheMiddle(runDir, () => isOver(slurm.state(id)));
    const [worker] = nodeProcesses('worker', join(runDir, 'join'));
    process.kill(worker!, 'SIGKILL');
    const { state, exitCode, restarts } = await slurm.until(id, 'the end of the job', isOver);
    expect([state, exitCode, restarts], output()).toEqual(['COMPLETED', '0:0', 0]);
    expect(output()).toContain('lost ');
    await expectPlainResult(runDir);
  });

  test('before its time limit saves the run, is queued again, and goes on, in an array too', async () => {
    const array = submit(TRAINING, ['--array=7']);
    const id = `${array.id}_7`;
    await inTheMiddle(array.runDir, () => isOver(slurm.state(id)));
    slurm.run('scancel', '--batch', '--signal=USR1', id);
    await slurm.until(id, 'the job in the queue again', ({ restarts }) => restarts === 1);
    expect(readResult(array.runDir).status).toBe('interrupted');
    const { state, exitCode } = await slurm.until(id, 'the end of the job', isOver);
    expect([state, exitCode]).toEqual(['COMPLETED', '0:0']);
    await expectPlainResult(array.runDir);
    expect(array.output()).toContain(`the run is saved in ${array.runDir}: job ${id} is queued again`);
    expect(array.output().match(/resuming .* after step \d+/g)).toHaveLength(1);
  });

  test('that is requeued by others goes on from its checkpoint', async () => {
    const { id, runDir, output } = submit(TRAINING);
    await inTheMiddle(runDir, () => isOver(slurm.state(id)));
    slurm.run('scontrol', 'requeue', id);
    const { state, restarts } = await slurm.until(id, 'the end of the job', (now) => now.restarts === 1 && isOver(now));
    expect([state, restarts], output()).toEqual(['COMPLETED', 1]);
    expect(output()).toMatch(/resuming .* after step \d+/);
    await expectPlainResult(runDir);
  });

  test('fails where the run does, and is not queued again', async () => {
    const { id, output } = submit(['--model', 'none-such']);
    const { state, exitCode, restarts } = await slurm.until(id, 'the end of the job', isOver);
    expect([state, exitCode, restarts]).toEqual(['FAILED', '2:0', 0]);
    expect(output()).toContain('error: --model none-such');
  });

  test('may be tasks of gradsock rank, whose worker is killed and started again', async () => {
    const runDir = join(slurm.folder, 'run-of-ranks');
    const rank = [process.execPath, PROGRAM, 'rank', ...TRAINING, '--run-dir', runDir];
    const job = startCommand(['srun', '--ntasks=2', ...rank], {
      ...process.env,
      ...slurm.env,
      GRADSOCK_NO_REPORT: '1',
    });
    let hasEnded = false;
    void job.exit.then(() => (hasEnded = true));
    await inTheMiddle(runDir, () => hasEnded);
    const [worker] = nodeProcesses('worker', 'rank-1');
    process.kill(worker!, 'SIGKILL');
    expect(await job.exit, job.output()).toBe(0);
    expect(job.output()).toContain('rank-1 was ended by SIGKILL; it is started again');
    await expectPlainResult(runDir);
  });
});
