import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { lockRunDirectory } from '../../coordinator/run-lock.ts';
import { ConfigError } from '../../protocol/errors.ts';
import { temporaryFolder } from '../helpers/folder.ts';

const TAKER = fileURLToPath(new URL('../helpers/lock-taker.ts', import.meta.url));

interface Holder {
  id: string;
  pid: number;
  host: string;
  processStart: string | null;
  since: string;
}

const holderOf = (folder: string, name = 'lock') => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Holder;

/** A lock as a process leaves it; of one that is gone unless told otherwise. */
function leaveLock(folder: string, changes: Partial<Holder> & { pid: number }, name = 'lock'): Holder {
  const holder = { id: 'aaaa', host: hostname(), processStart: null, since: '2026-01-02T03:04:05.000Z', ...changes };
  writeFileSync(join(folder, name), JSON.stringify(holder));
  return holder;
}

async function pidOfNobody(): Promise<number> {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'close');
  return child.pid!;
}

describe('the lock of a run directory', () => {
  test('names its holder, and is gone when released', async () => {
    const folder = temporaryFolder();
    const lock = await lockRunDirectory(folder, '--run-dir x');
    expect(holderOf(folder)).toMatchObject({ pid: process.pid, host: hostname() });
    expect(readdirSync(folder)).toEqual(['lock']);
    expect(lock.takenOverFrom).toBeUndefined();
    await lock.release();
    expect(readdirSync(folder)).toEqual([]);
    await (await lockRunDirectory(folder, '--run-dir x')).release();
  });

  test('is refused while its process lives, with its pid and host and the cure', async () => {
    const folder = temporaryFolder();
    const { release } = await lockRunDirectory(folder, '--run-dir x');
    const refused = lockRunDirectory(folder, '--resume y');
    await expect(refused).rejects.toThrow(ConfigError);
    await expect(refused).rejects.toThrow(
      `--resume y: expected a run that nobody writes, got one that process ${process.pid} on ${hostname()} ` +
        `(since ${holderOf(folder).since}) writes: wait for its end, or, if that process is surely gone, ` +
        `delete ${join(folder, 'lock')}`,
    );
    expect(readdirSync(folder)).toEqual(['lock']);
    await release();
  });

  test('of another host is refused, for nobody here can tell', async () => {
    const folder = temporaryFolder();
    leaveLock(folder, { pid: await pidOfNobody(), host: 'elsewhere' });
    await expect(lockRunDirectory(folder, '--resume y')).rejects.toThrow(/process \d+ on elsewhere/);
  });

  test('whose process is gone is taken over, and says from whom', async () => {
    const folder = temporaryFolder();
    const { pid } = leaveLock(folder, { pid: await pidOfNobody() });
    const lock = await lockRunDirectory(folder, '--resume y');
    expect(lock.takenOverFrom).toBe(`process ${pid} on ${hostname()} (since 2026-01-02T03:04:05.000Z)`);
    expect(holderOf(folder).pid).toBe(process.pid);
    expect(readdirSync(folder)).toEqual(['lock']);
    await lock.release();
    expect(readdirSync(folder)).toEqual([]);
  });

  test.skipIf(!existsSync('/proc/self/stat'))('whose pid another process has by now is taken over', async () => {
    const folder = temporaryFolder();
    const { release } = await lockRunDirectory(folder, '--run-dir x');
    const own = holderOf(folder);
    await release();
    leaveLock(folder, { ...own, processStart: `${own.processStart!}1` });
    expect((await lockRunDirectory(folder, '--resume y')).takenOverFrom).toContain(`process ${process.pid} on`);
    leaveLock(folder, own);
    await expect(lockRunDirectory(folder, '--resume y')).rejects.toThrow(ConfigError);
  });

  test('is taken over too from a successor that was killed before it had succeeded', async () => {
    const folder = temporaryFolder();
    const pid = await pidOfNobody();
    leaveLock(folder, { pid, id: 'aaaa' });
    leaveLock(folder, { pid, id: 'bbbb', since: 'lately' }, 'lock.aaaa.next');
    const lock = await lockRunDirectory(folder, '--resume y');
    expect(lock.takenOverFrom).toContain('lately');
    expect(holderOf(folder).pid).toBe(process.pid);
    expect(readdirSync(folder)).toEqual(['lock']);
  });

  test('is not for one that comes while another succeeds', async () => {
    const folder = temporaryFolder();
    leaveLock(folder, { pid: await pidOfNobody(), id: 'aaaa' });
    leaveLock(folder, { pid: process.pid, id: 'bbbb' }, 'lock.aaaa.next');
    await expect(lockRunDirectory(folder, '--resume y')).rejects.toThrow(`process ${process.pid} on`);
  });

  test('that says nothing sensible is refused by name', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'lock'), '');
    await expect(lockRunDirectory(folder, '--resume y')).rejects.toThrow(
      `--resume y: ${join(folder, 'lock')}: expected to read who writes this run, got something else: delete that file`,
    );
  });

  test('is left alone by one that has lost it', async () => {
    const folder = temporaryFolder();
    const lost = await lockRunDirectory(folder, '--run-dir x');
    rmSync(join(folder, 'lock'));
    const { release } = await lockRunDirectory(folder, '--resume y');
    await lost.release();
    expect(readdirSync(folder)).toEqual(['lock']);
    await release();
  });
});

test('of several processes that come at once exactly one has the lock, new or left behind', async () => {
  const parent = temporaryFolder();
  const pid = await pidOfNobody();
  const takers = Array.from({ length: 4 }, () => {
    const child = spawn(process.execPath, ['--import', 'tsx', TAKER], { stdio: ['pipe', 'pipe', 'inherit'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return { child, next: async () => (await lines.next()).value as string };
  });
  await Promise.all(takers.map(({ next }) => next()));
  for (let round = 0; round < 30; round++) {
    const folder = join(parent, String(round));
    mkdirSync(folder);
    if (round % 3 > 0) leaveLock(folder, { pid });
    if (round % 3 > 1) leaveLock(folder, { pid, id: 'bbbb' }, 'lock.aaaa.next');
    for (const { child } of takers) child.stdin.write(`${folder}\n`);
    const numTaken = await Promise.all(takers.map(async ({ next }) => Number(await next())));
    expect(numTaken.reduce((a, b) => a + b)).toBe(1);
    expect(holderOf(folder).pid).toBe(takers[numTaken.indexOf(1)]!.child.pid);
  }
});
