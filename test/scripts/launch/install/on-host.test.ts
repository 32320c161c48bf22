/** The host's part of an installation, with a stand-in for npm that a test holds up and lets fail. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { installOnHost } from '../../../../scripts/launch/install/on-host.ts';
import type { InstallOrder } from '../../../../scripts/launch/install/on-host.ts';
import { temporaryFolder } from '../../../helpers/folder.ts';

const LOCKED = { packageJson: '{"name":"gradsock"}', packageLock: '{"lockfileVersion":3}' };

let folder: string;
let archive: Buffer;
/** A FIFO from which the stand-in reads whether it succeeds. */
let gate: string;

beforeEach(() => {
  folder = join(temporaryFolder(), 'programs');
  const made = temporaryFolder();
  mkdirSync(join(made, 'package/dist'), { recursive: true });
  writeFileSync(join(made, 'package/dist/cli.js'), 'the program');
  writeFileSync(join(made, 'package/package.json'), 'as it was packed');
  archive = execFileSync('tar', ['-czf', '-', '-C', made, 'package']);
  gate = join(made, 'gate');
  execFileSync('mkfifo', [gate]);
  const npm = '#!/bin/sh\necho "npm $*" >&2\nread answer < "$GATE"\nmkdir node_modules\nexit "$answer"\n';
  writeFileSync(join(made, 'npm'), npm);
  chmodSync(join(made, 'npm'), 0o755);
  vi.stubEnv('PATH', `${made}:${process.env['PATH']!}`);
  vi.stubEnv('GATE', gate);
});
afterEach(() => vi.unstubAllEnvs());

/** One installation: what it tells, and its input, to which the archive is given when asked for. */
function start(options: { staleMs?: number } = {}) {
  const input = new PassThrough();
  const told: string[] = [];
  const watchers = new Set<() => void>();
  const output = new PassThrough();
  let said = '';
  const wake = () => watchers.forEach((watcher) => watcher());
  output.on('data', (text: Buffer) => {
    said += text.toString();
    wake();
  });
  const order: InstallOrder = { key: 'abc', archiveBytes: archive.length, ...LOCKED };
  input.write(`${JSON.stringify(order)}\n`);
  const done = installOnHost({
    ...{ input, output, folder, ...options },
    tell(word) {
      told.push(word);
      if (word === 'send') input.write(archive);
      wake();
    },
  });
  done.catch(() => {});
  const until = (isSo: () => boolean) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (isSo()) resolve();
      };
      watchers.add(look);
      look();
    });
  return {
    input,
    told,
    done,
    npmRuns: () => until(() => said.includes('npm ci')),
    tells: (word: string) => until(() => told.includes(word)),
    said: () => said,
  };
}

/** Lets npm end, with this code. */
const open = (code: number) => execFileSync('sh', ['-c', `echo ${code} > '${gate}'`]);

test('a program is installed from its archive and its lock file, and found by the next', async () => {
  const first = start();
  await first.npmRuns();
  expect(readdirSync(folder).filter((name) => name === 'abc')).toEqual([]);
  open(0);
  const place = await first.done;
  expect(place).toBe(join(folder, 'abc'));
  expect(readFileSync(join(place, 'dist/cli.js'), 'utf8')).toBe('the program');
  expect(readFileSync(join(place, 'package.json'), 'utf8')).toBe(LOCKED.packageJson);
  expect(readFileSync(join(place, 'package-lock.json'), 'utf8')).toBe(LOCKED.packageLock);
  expect(first.said()).toContain('npm ci --ignore-scripts --omit=dev --omit=optional');
  const second = start();
  expect(await second.done).toBe(place);
  expect(second.told).toEqual([]);
  expect(readdirSync(folder)).toEqual(['abc']);
});

test('of two at once one installs, and the other waits for it', async () => {
  const first = start();
  await first.npmRuns();
  const second = start();
  await second.tells('waiting');
  open(0);
  expect(await Promise.all([first.done, second.done])).toEqual([join(folder, 'abc'), join(folder, 'abc')]);
  expect(second.told).toEqual(['waiting']);
});

test.each<[string, (one: ReturnType<typeof start>) => void, RegExp]>([
  ['whose launcher is gone', ({ input }) => input.end(), /the launcher is gone/],
  ['of which npm fails', () => open(3), /npm ci failed: exit code 3/],
])('an installation %s leaves nothing, and the next one begins anew', async (_what, disturb, message) => {
  const first = start();
  await first.npmRuns();
  disturb(first);
  await expect(first.done).rejects.toThrow(message);
  expect(readdirSync(folder)).toEqual([]);
  const second = start();
  await second.npmRuns();
  open(0);
  expect(existsSync(await second.done)).toBe(true);
});

test('an archive that breaks off leaves nothing', async () => {
  const first = start();
  archive = archive.subarray(0, 20);
  await first.tells('send');
  first.input.end();
  await expect(first.done).rejects.toThrow('the launcher is gone');
  expect(readdirSync(folder)).toEqual([]);
});

test('the lock and the draft of an installation that was killed do not stand in the way', async () => {
  mkdirSync(join(folder, 'abc.lock'), { recursive: true });
  mkdirSync(join(folder, 'abc.4711-0.new/half'), { recursive: true });
  const longAgo = new Date(Date.now() - 3_600_000);
  utimesSync(join(folder, 'abc.lock'), longAgo, longAgo);
  const next = start();
  await next.npmRuns();
  open(0);
  await next.done;
  expect(readdirSync(folder)).toEqual(['abc']);
});

test('a lock that is renewed is not taken over', async () => {
  mkdirSync(folder, { recursive: true });
  const first = start({ staleMs: 300 });
  await first.npmRuns();
  const second = start({ staleMs: 300 });
  await second.tells('waiting');
  // Longer than what counts as stale: the lock is renewed meanwhile.
  await renewals(20);
  open(0);
  await Promise.all([first.done, second.done]);
  expect(second.told).toEqual(['waiting']);
});

/** Resolves when the lock was renewed so many times. */
function renewals(count: number): Promise<void> {
  return new Promise((resolve) => {
    let seen = 0;
    const watcher = watch(folder, (_event, name) => {
      if (name !== 'abc.lock') return;
      seen++;
      if (seen < count) return;
      watcher.close();
      resolve();
    });
  });
}
