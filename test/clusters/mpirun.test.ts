/** Runs whose ranks a real mpirun has started. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { PROGRAM, readResult, startCommand } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/folder.ts';
import { expectPlainResult, inTheMiddle, LONG_TRAINING, TRAINING } from '../helpers/launched-run.ts';
import { nodeProcesses } from '../helpers/processes.ts';

const MPIRUN = '/usr/bin/mpirun';
const isMissing = !existsSync(MPIRUN);
if (isMissing) process.stderr.write(`skipped: tests with mpirun: ${MPIRUN} is missing\n`);

const FLAGS = [
  // Open MPI refuses both by default: root, and more ranks than cores.
  ...['--allow-run-as-root', '--oversubscribe'],
  ...['--bind-to', 'none', '--map-by', 'slot'],
  // It sends ranks SIGTERM after this many seconds, and kills them after as many again.
  ...['--mca', 'odls_base_sigkill_timeout', '4'],
];

interface JobOptions {
  readonly env?: Record<string, string>;
  readonly training?: readonly string[];
}

function launch(numRanks: number, runDir: string, { env = {}, training = TRAINING }: JobOptions = {}) {
  const rank = [process.execPath, PROGRAM, 'rank', ...training, '--run-dir', runDir];
  const command = [
    MPIRUN,
    ...FLAGS,
    '-n',
    String(numRanks),
    ...Object.keys(env).flatMap((name) => ['-x', name]),
    ...rank,
  ];
  const job = startCommand(command, { ...process.env, ...env, GRADSOCK_NO_REPORT: '1' });
  let hasEnded = false;
  void job.exit.then(() => (hasEnded = true));
  return { job, hasEnded: () => hasEnded };
}

describe.skipIf(isMissing)('ranks of mpirun', () => {
  test('end with the parameters of gradsock train, also where a worker is killed', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const env = { GRADSOCK_TOKEN: 'a-token-that-every-rank-is-given', GRADSOCK_PORT: '20007' };
    const { job, hasEnded } = launch(3, runDir, { env });
    await inTheMiddle(runDir, hasEnded);
    for (const name of ['rank-0', 'rank-2']) process.kill(nodeProcesses('worker', name)[0]!, 'SIGKILL');
    expect(await job.exit, job.output()).toBe(0);
    for (const name of ['rank-0', 'rank-2']) expect(job.output()).toContain(`${name} was ended by SIGKILL`);
    expect(job.output()).not.toContain('a-token-that');
    await expectPlainResult(runDir);
  });

  test('that are ended by SIGTERM leave a checkpoint, and go on when they are started again', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const training = LONG_TRAINING;
    const first = launch(2, runDir, { training });
    await inTheMiddle(runDir, first.hasEnded);
    first.job.kill('SIGTERM');
    expect(await first.job.exit, first.job.output()).not.toBe(0);
    expect(readResult(runDir).status).toBe('interrupted');
    const second = launch(2, runDir, { training });
    expect(await second.job.exit, second.job.output()).toBe(0);
    expect(second.job.output()).toContain(`rank 0: ${runDir} holds a run: it goes on`);
    await expectPlainResult(runDir, training);

    const third = launch(2, runDir, { training });
    expect(await third.job.exit, third.job.output()).toBe(0);
    expect(third.job.output()).toContain('the run is completed: nothing to resume');
  });
});
