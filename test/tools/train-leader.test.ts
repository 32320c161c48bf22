import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startContender } from '../../scripts/bench/common/contender.ts';
import { findDataFolder } from '../../scripts/bench/common/samples.ts';
import type { TrainJob } from '../../scripts/bench/train/job.ts';
import { allGone, childrenOf } from '../helpers/cli.ts';
import { TINY_MODEL } from '../helpers/cluster.ts';

const programPath = (path: string): string => fileURLToPath(new URL(`../../scripts/bench/${path}`, import.meta.url));

async function startLeader(numWorkers: TrainJob['numWorkers']) {
  const dataFolder = await findDataFolder(undefined);
  const job = {
    model: TINY_MODEL,
    engine: 'reference',
    dataFolder,
    globalBatch: 32,
    numWorkers,
    wire: 'f32',
    sharesMemory: true,
  } as const;
  const command = [process.execPath, '--import', 'tsx', programPath('train/leader-process.ts')] as const;
  const leader = await startContender({ name: 'the leader', command, env: process.env, job });
  onTestFinished(() => leader.stop());
  return leader;
}

const isWorker = (pid: number): boolean => readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('\0worker\0');

describe('the leading process of the training benchmark', () => {
  it('measures steps of worker processes, which end with it', async () => {
    const others = childrenOf(process.pid);
    const leader = await startLeader(2);
    const leaders = childrenOf(process.pid).filter((pid) => !others.includes(pid));
    const children = leaders.flatMap(childrenOf);
    expect(children.filter(isWorker)).toHaveLength(2);

    const { seconds, loss, workerPageFaults } = await leader.run(3);
    expect(leader.description).toBe('reference on cpu');
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThan(Infinity);
    expect(workerPageFaults).toBeGreaterThanOrEqual(0);
    // The first steps of ten classes: near log 10.
    expect(loss).toBeGreaterThan(0.5);
    expect(loss).toBeLessThan(4);

    await leader.stop();
    await allGone([...leaders, ...children]);
  });

  it('takes the same steps with one worker process as the baseline', async () => {
    const [leader, baseline] = await Promise.all([startLeader(1), startLeader('baseline')]);
    const [{ loss: ofLeader }, { loss: ofBaseline }] = await Promise.all([leader.run(4), baseline.run(4)]);
    expect(ofLeader).toBe(ofBaseline);
    expect(ofLeader).toBeGreaterThan(0);
  });
});

describe('the training benchmark', () => {
  it('ends with 2 and the cure when a batch does not divide among the workers', async () => {
    const args = ['--import', 'tsx', programPath('train.ts'), '--workers', '3'];
    await expect(promisify(execFile)(process.execPath, args)).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('use a multiple of 3, or --batch-per-worker') as string,
    });
  });
});
