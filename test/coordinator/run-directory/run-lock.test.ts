/** Who may write a run directory, and how that is noticed: holders that live, are gone, or cannot be seen from here. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  BEAT_POSITION_BYTES,
  beatText,
  createHolder,
  encodeHolder,
} from '../../../coordinator/run-directory/lock-holder.ts';
import type { Holder } from '../../../coordinator/run-directory/lock-holder.ts';
import { LOCK_TIMING, lockRunDirectory as takeLock } from '../../../coordinator/run-directory/run-lock.ts';
import type { LockOptions } from '../../../coordinator/run-directory/run-lock.ts';
import { StorageError } from '../../../coordinator/run-directory/storage-error.ts';
import { ConfigError } from '../../../protocol/errors.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

const TAKER = fileURLToPath(new URL('../../helpers/lock-taker.ts', import.meta.url));
const HOLDER = fileURLToPath(new URL('../../helpers/lock-holder.ts', import.meta.url));
const hasProc = existsSync('/proc/self/ns/pid');

const holderOf = (folder: string, name = 'lock') => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Holder;

/** A lock as a process of this machine leaves it, unless told otherwise. */
function leaveLock(folder: string, changes: Partial<Holder> & { pid: number }, name = 'lock'): Holder {
  const holder = { ...createHolder(), id: 'aaaa', processStart: null, since: '2026-01-02T03:04:05.000Z', ...changes };
  writeFileSync(join(folder, name), encodeHolder(holder));
  return holder;
}

/** As its holder does it. */
function renew(folder: string): void {
  const file = openSync(join(folder, 'lock'), 'r+');
  writeSync(file, beatText(1), BEAT_POSITION_BYTES);
  closeSync(file);
}

/** A lock whose file is closed when the test is over, whatever it did with it. */
async function lockRunDirectory(...args: Parameters<typeof takeLock>) {
  const lock = await takeLock(...args);
  onTestFinished(() => lock.release());
  return lock;
}

async function pidOfNobody(): Promise<number> {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'close');
  return child.pid!;
}

afterEach(() => void vi.useRealTimers());

/**
 * Time passes only here. Files are real: while the lock's code waits for one, and for no timer, time stands still, however
 * long that takes.
 */
function stopTime() {
  const turn = promisify(setImmediate);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] });
  let numOwnTimers = 0;
  return {
    /** Has the test itself do something when `delayMs` have passed. */
    after(delayMs: number, run: () => void): void {
      numOwnTimers++;
      setTimeout(() => {
        numOwnTimers--;
        run();
      }, delayMs);
    },
    async passUntilSettled<T>(promise: Promise<T>): Promise<T> {
      let isSettled = false;
      void promise.then(
        () => (isSettled = true),
        () => (isSettled = true),
      );
      while (!isSettled) {
        if (vi.getTimerCount() > numOwnTimers) await vi.advanceTimersByTimeAsync(LOCK_TIMING.lookMs);
        await turn();
      }
      return promise;
    },
    async passUntil(condition: () => boolean): Promise<void> {
      while (!condition()) {
        await vi.advanceTimersByTimeAsync(LOCK_TIMING.renewMs);
        await turn();
      }
    },
  };
}

describe('the lock of a run directory', () => {
  test('names its holder, and is gone when released', async () => {
    const folder = temporaryFolder();
    const lock = await lockRunDirectory(folder, '--run-dir x');
    expect(holderOf(folder)).toMatchObject({ pid: process.pid, host: hostname() });
    if (hasProc) expect(holderOf(folder)).toMatchObject({ pidNamespace: expect.stringMatching(/^pid:\[\d+\]$/) });
    expect(readdirSync(folder)).toEqual(['lock']);
    expect(lock.takenOverFrom).toBeUndefined();
    await lock.release();
    expect(readdirSync(folder)).toEqual([]);
    await (await lockRunDirectory(folder, '--run-dir x')).release();
  });

  test.skipIf(!hasProc)('is refused at once while its process lives, with its pid and host and the cure', async () => {
    const folder = temporaryFolder();
    const { release } = await lockRunDirectory(folder, '--run-dir x');
    const refused = lockRunDirectory(folder, '--resume y');
    await expect(refused).rejects.toThrow(ConfigError);
    await expect(refused).rejects.toThrow(
      `--resume y: expected a run that nobody writes, got one that process ${process.pid} on ${hostname()} ` +
        `(since ${holderOf(folder).since}) writes: wait for its end, or end that process`,
    );
    expect(readdirSync(folder)).toEqual(['lock']);
    await release();
  });

  test('whose process is gone is taken over at once, and says from whom', async () => {
    const folder = temporaryFolder();
    const { pid } = leaveLock(folder, { pid: await pidOfNobody() });
    const lock = await lockRunDirectory(folder, '--resume y');
    expect(lock.takenOverFrom).toBe(`process ${pid} on ${hostname()} (since 2026-01-02T03:04:05.000Z), which is gone`);
    expect(holderOf(folder).pid).toBe(process.pid);
    expect(readdirSync(folder)).toEqual(['lock']);
    await lock.release();
    expect(readdirSync(folder)).toEqual([]);
  });

  test.skipIf(!hasProc)('whose pid another process has by now is taken over at once', async () => {
    const folder = temporaryFolder();
    const own = createHolder();
    leaveLock(folder, { ...own, processStart: `${own.processStart!}1` });
    const { takenOverFrom, release } = await lockRunDirectory(folder, '--resume y');
    expect(takenOverFrom).toContain(`process ${process.pid} on`);
    await release();
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
    await lock.release();
  });

  test.skipIf(!hasProc)('is not for one that comes while another succeeds', async () => {
    const folder = temporaryFolder();
    leaveLock(folder, { pid: await pidOfNobody(), id: 'aaaa' });
    leaveLock(folder, { ...createHolder(), id: 'bbbb' }, 'lock.aaaa.next');
    await expect(lockRunDirectory(folder, '--resume y')).rejects.toThrow(`process ${process.pid} on`);
  });

  test('of a version that did not renew locks is refused, with the file to delete', async () => {
    const folder = temporaryFolder();
    const old = { id: 'aaaa', pid: await pidOfNobody(), host: hostname(), processStart: null, since: 'then' };
    writeFileSync(join(folder, 'lock'), JSON.stringify(old));
    await expect(lockRunDirectory(folder, '--resume y')).rejects.toThrow(
      `wait for its end, or, if that process is surely gone, delete ${join(folder, 'lock')}`,
    );
  });

  test('clears away what processes left that were killed while they took it', async () => {
    const folder = temporaryFolder();
    for (const name of ['lock.bbbb.part', 'lock.cccc.next', 'model.safetensors']) writeFileSync(join(folder, name), '');
    const { release } = await lockRunDirectory(folder, '--run-dir x');
    expect(readdirSync(folder).sort()).toEqual(['lock', 'model.safetensors']);
    await release();
  });
});

describe('a lock whose process cannot be seen from here', () => {
  const elsewhere: [string, Partial<Holder>][] = [
    ['in another PID namespace', { pidNamespace: 'pid:[1]' }],
    ['of another boot or machine', { boot: 'another', host: 'elsewhere' }],
  ];

  test.each(elsewhere)('%s: is taken over when it is not renewed through all looks', async (_, changes) => {
    const folder = temporaryFolder();
    leaveLock(folder, { ...createHolder(), ...changes });
    const time = stopTime();
    const said: string[] = [];
    const startMs = performance.now();
    const lock = await time.passUntilSettled(
      lockRunDirectory(folder, '--resume y', { say: (line) => said.push(line) }),
    );
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(LOCK_TIMING.lookMs * LOCK_TIMING.numLooks);
    expect(lock.takenOverFrom).toMatch(/^process \d+ on \S+ \(since \S+\), which has not renewed it for 20 s$/);
    expect(said).toEqual([
      expect.stringMatching(/^--resume y: process .* cannot be seen from here: watching for 20 s/),
    ]);
    expect(holderOf(folder).pidNamespace).toBe(createHolder().pidNamespace);
    await lock.release();
  });

  test.each(elsewhere)('%s: is refused as soon as it is renewed, also at the last look', async (_, changes) => {
    const folder = temporaryFolder();
    leaveLock(folder, { ...createHolder(), ...changes });
    const time = stopTime();
    const startMs = performance.now();
    time.after(LOCK_TIMING.lookMs * LOCK_TIMING.numLooks - 1, () => renew(folder));
    await expect(time.passUntilSettled(lockRunDirectory(folder, '--resume y'))).rejects.toThrow(
      /got one that process \d+ on \S+ .* writes: wait for its end, or end that process$/,
    );
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(LOCK_TIMING.lookMs * LOCK_TIMING.numLooks);
    expect(readdirSync(folder)).toEqual(['lock']);
  });

  test('is free as soon as it is released', async () => {
    const folder = temporaryFolder();
    leaveLock(folder, { pid: 1, boot: 'another' });
    const time = stopTime();
    time.after(LOCK_TIMING.lookMs + 1, () => rmSync(join(folder, 'lock')));
    const lock = await time.passUntilSettled(lockRunDirectory(folder, '--resume y'));
    expect(lock.takenOverFrom).toBeUndefined();
    await lock.release();
  });

  test('and that is torn is taken over when it stays so, and nobody watches longer than they want', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'lock'), '{"beat":"0000');
    const time = stopTime();
    const interruption = new AbortController();
    time.after(LOCK_TIMING.lookMs, () => interruption.abort(new Error('enough')));
    const interrupted = lockRunDirectory(folder, '--resume y', { signal: interruption.signal });
    await expect(time.passUntilSettled(interrupted)).rejects.toThrow('enough');
    const lock = await time.passUntilSettled(lockRunDirectory(folder, '--resume y'));
    expect(lock.takenOverFrom).toBe('a process whose lock cannot be read, which has not renewed it for 20 s');
    expect(readdirSync(folder)).toEqual(['lock']);
    await lock.release();
  });
});

describe('the holder of a lock', () => {
  test('renews it as long as it has it, in place, by a timer or between steps', async () => {
    const folder = temporaryFolder();
    const time = stopTime();
    const lock = await lockRunDirectory(folder, '--run-dir x');
    const first = holderOf(folder);
    await time.passUntil(() => holderOf(folder).beat! > '000000000001');
    expect({ ...holderOf(folder), beat: first.beat }).toEqual(first);
    await lock.release();

    vi.useRealTimers();
    const busy = await lockRunDirectory(folder, '--run-dir x');
    busy.renewIfDue();
    expect(holderOf(folder).beat).toBe('000000000000');
    const later = performance.now() + 2 * LOCK_TIMING.renewMs;
    const now = vi.spyOn(performance, 'now').mockReturnValue(later);
    onTestFinished(() => {
      now.mockRestore();
    });
    busy.renewIfDue();
    expect(holderOf(folder).beat).toBe('000000000001');
    await busy.release();
  });

  test.each<[string, (folder: string, id: string) => void, RegExp]>([
    ['the file is gone', (folder) => rmSync(join(folder, 'lock')), /got no such file/],
    ['the folder is gone', (folder) => rmSync(folder, { recursive: true }), /got no such file/],
    ['another has it', (folder) => leaveLock(folder, { pid: 7 }), /got that of process 7 on/],
    [
      'another is taking it over',
      (folder, id) => leaveLock(folder, { pid: 7 }, `lock.${id}.next`),
      /got that of process 7 on .*, which has taken it over/,
    ],
  ])(
    'notices when %s, at its next renewal and before it writes, and leaves the other one alone',
    async (_, lose, how) => {
      const folder = temporaryFolder();
      const time = stopTime();
      const lock = await lockRunDirectory(folder, '--run-dir x');
      await lock.confirm();
      lose(folder, holderOf(folder).id);
      const left = existsSync(folder) ? readdirSync(folder) : [];
      await time.passUntil(() => lock.lost.aborted);
      expect(lock.lost.reason).toBeInstanceOf(StorageError);
      expect((lock.lost.reason as Error).message).toMatch(how);
      for (let i = 0; i < 2; i++) await expect(lock.confirm()).rejects.toBe(lock.lost.reason);
      if (left.length === 1) await lock.release();
      expect(existsSync(folder) ? readdirSync(folder) : []).toEqual(left);
    },
  );
});

/** A process in a PID namespace of its own, with this host's name, or in this one; with the first line that it says. */
async function startHolder(folder: string, isApart: boolean, timing: LockOptions['timing']) {
  const command = [process.execPath, '--import', 'tsx', HOLDER, folder, JSON.stringify(timing)];
  const [program, ...args] = isApart
    ? ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc', ...command]
    : command;
  const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return { child, line };
}

test('two containers with one host name never take each other a lock that is renewed; a dead one is free', async ({
  skip,
}) => {
  const apart = spawnSync('unshare', ['--pid', '--fork', '--kill-child', '--mount-proc', 'true'], { encoding: 'utf8' });
  if (apart.status !== 0) skip(`no PID namespace can be made here: ${apart.stderr || 'there is no unshare'}`);
  // A minute of looks for each renewal, for machines that are busy.
  const patient = { renewMs: 50, lookMs: 100, numLooks: 600 };
  for (const isHolderApart of [true, false]) {
    const folder = temporaryFolder();
    const first = await startHolder(folder, isHolderApart, patient);
    expect(first.line).toBe('held');
    const second = await startHolder(folder, !isHolderApart, patient);
    expect(second.line).toMatch(/^refused: --resume: expected a run that nobody writes, got one that process \d+ on/);

    first.child.kill('SIGKILL');
    await once(first.child, 'close');
    const third = await startHolder(folder, !isHolderApart, { ...patient, numLooks: 3 });
    expect(third.line).toBe('held');
  }
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
