/** Files that a user names, refused by the system: a sentence with path, reason and cure, and never a stack. */
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { readResult, runCli } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/folder.ts';
import { runInProcess } from '../helpers/in-process.ts';
import { ORDINARY_USER } from '../helpers/ordinary-user.ts';

const PROGRAM = fileURLToPath(new URL('../../dist/scripts/cli.js', import.meta.url));
const RUN = ['--model', 'dense', '--train-samples', '512', '--test-samples', '64', '--epochs', '1'];

/** A folder that any user may change. */
function sharedFolder(): string {
  const folder = temporaryFolder();
  chmodSync(folder, 0o777);
  return folder;
}

/**
 * The environment of a program that becomes a user with a number alone, without a home folder, before it begins; so do
 * the processes that it starts. Skips the test where that cannot be.
 */
function ordinaryEnvironment(skip: (note: string) => void): Record<string, string> {
  if (process.getuid!() !== 0) skip('only root can become another user');
  const preload = join(sharedFolder(), 'become.cjs');
  const become = `process.setgroups([]); process.setgid(${ORDINARY_USER}); process.setuid(${ORDINARY_USER});`;
  writeFileSync(preload, `if (process.getuid() === 0) { ${become} }\ndelete process.env.HOME;\n`);
  const env = { NODE_OPTIONS: `--require ${preload}` };
  const { status } = spawnSync(process.execPath, ['-e', `require('fs').readFileSync(${JSON.stringify(PROGRAM)})`], {
    env: { ...process.env, ...env },
  });
  if (status !== 0) skip('other users may not read this checkout');
  return env;
}

describe('a user with a number and no name', () => {
  test('and without a home folder trains with workers all the same', async ({ skip }) => {
    const env = ordinaryEnvironment(skip);
    const runDir = join(sharedFolder(), 'run');
    const { code, output } = await runCli(['train', '--workers', '2', ...RUN, '--run-dir', runDir], env);
    expect(code, output).toBe(0);
    expect(readResult(runDir).status).toBe('completed');
  });

  test('is told of files of another user that it may not read or write, by path and cure', async ({ skip }) => {
    const env = ordinaryEnvironment(skip);
    const folder = sharedFolder();
    const theirs = join(folder, 'theirs.json');
    writeFileSync(theirs, '{}', { mode: 0o600 });
    const closed = join(folder, 'closed');
    mkdirSync(closed, { mode: 0o755 });
    const read = 'let that user ';
    const write = `${closed} belongs to user 0 and group 0: run chown -R ${ORDINARY_USER} ${closed}, `;
    for (const [args, problem, cure] of [
      [['baseline', '--model', theirs], `--model ${theirs}: cannot be read`, read],
      [['coordinator', '--token-file', theirs], `--token-file ${theirs}: cannot be read`, read],
      [
        ['baseline', ...RUN, '--run-dir', join(closed, 'run')],
        `--run-dir ${join(closed, 'run')}: cannot be made`,
        write,
      ],
      [['baseline', ...RUN, '--run-dir', closed], `--run-dir ${closed}: cannot be written`, write],
    ] as const) {
      const { output } = await runCli(args, env);
      expect(output).toContain(`error: ${problem}: permission denied for user ${ORDINARY_USER} (EACCES): ${cure}`);
      expect(output).not.toMatch(/^ {4}at /m);
    }
  });
});

describe('a file that is something else', () => {
  test('is named with the reason, for each that a command reads', async () => {
    const folder = temporaryFolder();
    const directory = join(folder, 'directory.json');
    mkdirSync(directory);
    const circle = join(folder, 'circle.json');
    symlinkSync(circle, circle);
    const isFolder = 'cannot be read: it is a folder, not a file (EISDIR): name a file';
    const isCircle = 'cannot be read: its symbolic links lead in a circle (ELOOP): mend the links';
    for (const [args, problem] of [
      [['baseline', '--model', directory], `--model ${directory}: ${isFolder}`],
      [['baseline', '--model', circle], `--model ${circle}: ${isCircle}`],
      [['sweep', directory], `${directory}: ${isFolder}`],
      [['worker', '--join-file', circle], `--join-file ${circle}: ${isCircle}`],
      [
        ['baseline', '--run-dir', join('/dev/null', 'run')],
        '--run-dir /dev/null/run: cannot be made: a part of the path is a file',
      ],
    ] as const) {
      const { code, output } = await runInProcess([...args]);
      expect(code, output).toBe(2);
      expect(output).toContain(`error: ${problem}`);
      expect(output).not.toMatch(/^ {4}at /m);
    }
  });

  test('with a byte-order mark is read: a model, a token', async () => {
    const folder = temporaryFolder();
    const model = join(folder, 'model.json');
    const layers = [{ kind: 'flatten' }, { kind: 'dense', units: 10, activation: 'none' }];
    writeFileSync(model, `\ufeff${JSON.stringify({ name: 'marked', input: [1, 28, 28], numClasses: 10, layers })}\r\n`);
    const args = ['baseline', ...RUN.slice(2), '--model', model, '--max-steps', '1', '--run-dir', join(folder, 'run')];
    const { code, output } = await runInProcess(args);
    expect(code, output).toBe(0);
    const token = join(folder, 'token');
    writeFileSync(token, Buffer.from(`\ufeff${'t'.repeat(43)}\r\n`, 'utf16le'));
    const refused = await runInProcess(['worker', 'http://nowhere', '--token-file', token]);
    expect(refused.output).not.toContain('not a token');
  });
});
