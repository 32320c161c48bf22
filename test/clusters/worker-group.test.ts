/** Several workers of one machine in one command, beside the workers that the run has of its own. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { allGone, childrenOf, readResult, runCli, SMALL, startCli, startCoordinator } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/folder.ts';

const short = ['--model', 'dense', '--epochs', '16', ...SMALL];

/** `gradsock train` with one worker of its own, which waits for two more. */
async function startMixedTraining(...flags: string[]) {
  const folder = temporaryFolder();
  const [runDir, joinFile] = [join(folder, 'run'), join(folder, 'join')];
  const listen = ['--listen', '127.0.0.1:0', '--join-file', joinFile];
  const cli = startCli(['train', '--workers', '1', ...listen, ...short, '--run-dir', runDir, ...flags]);
  await cli.line(/^waiting for 2 more workers; start each of them with$/);
  return { cli, runDir, joinFile };
}

test('a local worker and a group of one too many, of which one is killed, train as one process does', async () => {
  const counts = ['--min-workers', '3', '--max-workers', '3', '--microbatches', '4'];
  const { cli, runDir, joinFile } = await startMixedTraining(...counts);
  const group = startCli(['worker', '--join-file', joinFile, '--workers', '3', '--name', 'here']);
  const surplus = await cli.line(/stands by: the run has its 3 workers \(--max-workers 3\)/);
  const spare = Number(/^here-([123])/.exec(surplus)![1]);
  await cli.line(/^epoch 1,/);
  const [first] = childrenOf(group.pid).filter((_, index) => index !== spare - 1);
  process.kill(first!, 'SIGKILL');
  await group.line(/^here-[123] was ended by SIGKILL; it is started again$/);
  await cli.line(new RegExp(`^here-${spare} \\(w\\d\\) takes part from step \\d+ on$`));
  const all = childrenOf(group.pid);
  expect(await cli.exit, cli.output()).toBe(0);
  expect(await group.exit, group.output()).toBe(0);
  await allGone(all);
  expect(group.output().match(/^the run is completed$/gm)).toHaveLength(1);
  const alone = join(temporaryFolder(), 'run');
  await runCli(['baseline', ...short, '--microbatches', '4', '--run-dir', alone]);
  expect(readResult(runDir).parametersSha256).toBe(readResult(alone).parametersSha256);
});

test('a group that is interrupted leaves the run, with every process, and one that is killed leaves none behind', async () => {
  const { coordinator, url } = await startCoordinator(['--workers', '4', ...short, '--epochs', '10000']);
  const groups = ['one', 'two'].map((name) => startCli(['worker', url, '--workers', '2', '--name', name]));
  await coordinator.line(/^epoch 1,/);
  const [one, two] = groups as [ReturnType<typeof startCli>, ReturnType<typeof startCli>];
  const processes = groups.flatMap(({ pid }) => childrenOf(pid));
  expect(processes).toHaveLength(4);
  one.killGroup('SIGINT');
  two.kill('SIGKILL');
  expect(await one.exit, one.output()).toBe(130);
  await allGone(processes);
  await coordinator.line(/lost worker one-1 .*the user stopped this worker/);
  coordinator.kill('SIGTERM');
  expect(await coordinator.exit, coordinator.output()).toBe(130);
});

test('a group whose flags are wrong ends with all its processes, and says why once', async () => {
  const { coordinator, url } = await startCoordinator(['--workers', '2', ...short]);
  const { code, output } = await runCli([
    'worker',
    url,
    '--workers',
    '2',
    '--name',
    'x',
    '--engine',
    'tfjs',
    '--device',
    'cuda:9',
  ]);
  expect({ code, output }).toMatchObject({ code: 2 });
  expect(output.match(/^x-[12] exited with code 2: .+/gm)).toHaveLength(1);
  coordinator.kill('SIGTERM');
  await coordinator.exit;
});
