/**
 * A real sshd on a free port of loopback, and users of this machine who are made for a test file. To a launcher each user is a
 * host of its own, with a home folder, a cache and processes of its own.
 */
import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { FASHION_MNIST_FOLDER } from './fashion-mnist.ts';

const SSHD = '/usr/sbin/sshd';
/** Users are called gradsock-PID-NAME: those of a test process that was killed are known by it. */
const USER_PREFIX = 'gradsock-';
const UP_DEADLINE_MS = 20_000;

export interface TestHost {
  readonly user: string;
  readonly uid: number;
  readonly home: string;
}

export interface Sshd {
  /** The hosts by their names, which the configuration of ssh has. */
  readonly hosts: Readonly<Record<string, TestHost>>;
  /** A path with a space and a quote in it. */
  readonly config: string;
  readonly port: number;
  /** Process ids of what runs for a host's user, sshd's own part in it aside. */
  readonly processesOn: (name: string) => number[];
  /** Ends what runs for its users, removes them and all files. */
  readonly stop: () => Promise<void>;
}

/** Why tests with sshd are skipped here; undefined where they can run. */
export function noSshd(): string | undefined {
  if (!existsSync(SSHD)) return `no ${SSHD}: install openssh-server`;
  if (process.getuid?.() !== 0) return 'users can be made by root alone';
  return undefined;
}

/** `names`: of the hosts. `closed`: those of them whose sshd forwards no ports. `environment`: of what runs for their users. */
export async function startSshd(
  names: readonly string[],
  {
    closed = [],
    environment = {},
  }: { closed?: readonly string[]; environment?: Readonly<Record<string, string>> } = {},
): Promise<Sshd> {
  removeLeftUsers();
  const folder = mkdtempSync(join(tmpdir(), "gradsock sshd's-"));
  chmodSync(folder, 0o755);
  mkdirSync('/run/sshd', { recursive: true });
  for (const key of ['host-key', 'user-key', 'wrong-key']) makeKey(join(folder, key));
  const shells = ['/bin/sh', '/bin/bash'];
  const hosts = Object.fromEntries(
    names.map((name, nth) => [name, makeUser(name, folder, shells[nth % shells.length]!)]),
  );
  const closedUsers = closed.map((name) => hosts[name]!.user);
  const { port, end: endServer } = await serve(folder, [
    `SetEnv ${Object.entries({ FASHION_MNIST_DIR: FASHION_MNIST_FOLDER, ...environment })
      .map(([name, value]) => `"${name}=${value}"`)
      .join(' ')}`,
    ...closedUsers.flatMap((user) => [`Match User ${user}`, 'AllowTcpForwarding no']),
  ]);
  const config = join(folder, 'config of ssh');
  const publicKey = readFileSync(join(folder, 'host-key.pub'), 'utf8').split(' ').slice(0, 2).join(' ');
  writeFileSync(join(folder, 'known_hosts'), `[127.0.0.1]:${port} ${publicKey}\n`);
  writeFileSync(join(folder, 'no_hosts'), '');
  writeFileSync(config, sshConfig(folder, port, hosts));
  const processesOn = (name: string) => processesOf(hosts[name]!.uid);
  return {
    hosts,
    config,
    port,
    processesOn,
    async stop() {
      await endServer();
      for (const name of names) {
        for (const pid of processesOn(name)) process.kill(pid, 'SIGKILL');
      }
      for (const { user } of Object.values(hosts)) await removeUser(user);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function makeKey(path: string): void {
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path]);
}

function makeUser(name: string, folder: string, shell: string): TestHost {
  const user = `${USER_PREFIX}${process.pid}-${name}`;
  const home = join(folder, `home of ${name}`);
  // An asterisk: no password, and no locked account.
  execFileSync('useradd', ['--create-home', '--home-dir', home, '--shell', shell, '--password', '*', user]);
  const { uid, gid } = statSync(home);
  mkdirSync(join(home, '.ssh'), { mode: 0o700 });
  writeFileSync(join(home, '.ssh', 'authorized_keys'), readFileSync(join(folder, 'user-key.pub')));
  for (const path of ['.ssh', '.ssh/authorized_keys']) chownSync(join(home, path), uid, gid);
  return { user, uid, home };
}

function sshConfig(folder: string, port: number, hosts: Sshd['hosts']): string {
  const setting = (host: string, key: string, known: string, options: readonly string[]) =>
    [
      `Host ${host}`,
      ...options,
      `IdentityFile "${join(folder, key)}"`,
      `UserKnownHostsFile "${join(folder, known)}"`,
      'GlobalKnownHostsFile none',
      'IdentityAgent none',
      'IdentitiesOnly yes',
      'StrictHostKeyChecking yes',
    ].join('\n  ');
  const at = (name: string) => ['HostName 127.0.0.1', `Port ${port}`, `User ${hosts[name]!.user}`];
  return [
    ...Object.keys(hosts).flatMap((name) => [
      setting(name, 'user-key', 'known_hosts', at(name)),
      setting(`${name}-with-wrong-key`, 'wrong-key', 'known_hosts', at(name)),
      setting(`${name}-not-known`, 'user-key', 'no_hosts', at(name)),
    ]),
    '',
  ].join('\n');
}

async function serve(
  folder: string,
  extra: readonly string[],
): Promise<{ readonly port: number; readonly end: () => Promise<void> }> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const path = join(folder, 'sshd_config');
    writeFileSync(
      path,
      [
        ...['ListenAddress 127.0.0.1', `Port ${port}`, `HostKey "${join(folder, 'host-key')}"`, 'PidFile none'],
        ...['AuthenticationMethods publickey', 'UsePAM no', 'StrictModes no', 'MaxStartups 100'],
        ...extra,
        '',
      ].join('\n'),
    );
    const sshd = spawn(SSHD, ['-D', '-e', '-f', path], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    sshd.stderr.on('data', (text: Buffer) => (said += text.toString()));
    const ended = new Promise<void>((resolve) => sshd.on('close', () => resolve()));
    const isUp = await Promise.race([answers(port), ended.then(() => false)]);
    if (isUp) {
      return {
        port,
        async end() {
          sshd.kill();
          await ended;
        },
      };
    }
    sshd.kill();
    // Another program may have taken the port.
    if (attempt === 3) throw new Error(`sshd does not start: ${said}`);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Whether a server greets within the deadline. */
async function answers(port: number): Promise<boolean> {
  const deadlineMs = performance.now() + UP_DEADLINE_MS;
  while (performance.now() < deadlineMs) {
    const isThere = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('data', () => resolve(true));
      socket.once('error', () => resolve(false));
      socket.once('data', () => socket.destroy());
    });
    if (isThere) return true;
    await delay(20);
  }
  return false;
}

function processesOf(uid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const status = readFileSync(`/proc/${pid}/status`, 'utf8');
        // What sshd does for a user ends a little later than the user's own processes.
        const isSshd = /^Name:\tsshd/m.test(status) || /^State:\tZ/m.test(status);
        return Number(/^Uid:\t(\d+)/m.exec(status)?.[1]) === uid && !isSshd;
      } catch {
        return false;
      }
    });
}

async function removeUser(user: string): Promise<void> {
  // The list of users may be locked, and what was killed may still be listed.
  for (let attempt = 1; ; attempt++) {
    try {
      execFileSync('userdel', ['--force', user], { stdio: 'ignore' });
      return;
    } catch (error) {
      if (attempt === 50) throw error;
      await delay(100);
    }
  }
}

/** Of test processes that were killed. */
function removeLeftUsers(): void {
  for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
    const [user = '', , uid] = line.split(':');
    const pid = new RegExp(`^${USER_PREFIX}(\\d+)-`).exec(user)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    for (const left of processesOf(Number(uid))) process.kill(left, 'SIGKILL');
    execFileSync('userdel', ['--force', user], { stdio: 'ignore' });
  }
}
