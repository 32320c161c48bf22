import { describe, expect, it, onTestFinished } from 'vitest';
import { ConfigError } from '../../../protocol/errors.ts';
import { createProcessGroup } from '../../../scripts/network/processes.ts';
import { allGone } from '../../helpers/cli.ts';

function groupOfTest() {
  const group = createProcessGroup(process.env);
  onTestFinished(() => group.stop());
  return group;
}
const node = (program: string) => [process.execPath, '-e', program];

describe('a group of processes', () => {
  it('tells that one ended well', async () => {
    await groupOfTest().start('worker 1', node('')).ended;
  });

  it('tells the last words of one that failed; of a mistake in the command as such', async () => {
    const group = groupOfTest();
    const fail = (code: number) => node(`console.error('no such model'); process.exitCode = ${code}`);
    await expect(group.start('worker 1', fail(1)).ended).rejects.toThrow('worker 1 ended: exit code 1: no such model');
    await expect(group.start('worker 2', fail(2)).ended).rejects.toThrow(ConfigError);
    await expect(group.start('worker 3', ['/no/such/program']).ended).rejects.toThrow(/^worker 3 ended: .*ENOENT/);
  });

  it('hands over the first message, or tells that none came', async () => {
    const group = groupOfTest();
    expect(await group.start('relay', node('process.send({ port: 7 })')).message).toEqual({ port: 7 });
    await expect(group.start('relay', node('')).message).rejects.toThrow('relay ended without a word');
    await expect(group.start('relay', node('process.exit(1)')).message).rejects.toThrow('relay ended: exit code 1');
  });

  it('ends all that are left, and waits until they are gone', async () => {
    const group = groupOfTest();
    const hang = node("process.on('SIGTERM', () => {}); process.send(process.pid); setInterval(() => {}, 1e6)");
    const pids = (await Promise.all([1, 2].map((i) => group.start(`worker ${i}`, hang).message))) as number[];
    await group.stop();
    await allGone(pids);
  });
});
