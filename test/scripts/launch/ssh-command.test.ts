import { expect, test } from 'vitest';
import { sshCommand } from '../../../scripts/launch/ssh-command.ts';

const HOST = { ssh: ['ssh', '-p', '2222'], destination: 'ada@node1', script: `echo 'it'` };

test("a user's options come first, and no destination can be taken for an option", () => {
  const command = sshCommand(HOST);
  expect(command.slice(0, 4)).toEqual(['ssh', '-p', '2222', '-T']);
  expect(command.slice(-3)).toEqual(['--', 'ada@node1', `exec sh -c 'echo '\\''it'\\'''`]);
  for (const setting of ['BatchMode=yes', 'ServerAliveInterval=5', 'ServerAliveCountMax=3', 'ConnectTimeout=20']) {
    expect(command[command.indexOf(setting) - 1]).toBe('-o');
  }
});

test.each([
  ['127.0.0.1', '127.0.0.1:0:127.0.0.1:7878'],
  ['0.0.0.0', '127.0.0.1:0:127.0.0.1:7878'],
  ['::', '127.0.0.1:0:127.0.0.1:7878'],
  ['::1', '127.0.0.1:0:[::1]:7878'],
])('a tunnel to what listens on %s begins at a free port of the loopback address there', (host, forward) => {
  const command = sshCommand({ ...HOST, tunnel: { host, port: 7878 } });
  expect(command[command.indexOf('-R') + 1]).toBe(forward);
  expect(command).not.toContain('ClearAllForwardings=yes');
});
