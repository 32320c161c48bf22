/** The script runs in real shells of this machine, in place of a host's. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { quoteWord } from '../../../scripts/launch/shell-words.ts';
import { startScript } from '../../../scripts/launch/start-script.ts';
import type { StartScriptOptions } from '../../../scripts/launch/start-script.ts';
import { temporaryFolder } from '../../helpers/folder.ts';

const SYSTEM_PATH = '/usr/bin:/bin';

/** Tells its version, or what it was given, and exits with what its first argument says. */
const PROGRAM = `
  const [, , first, ...rest] = process.argv;
  if (first === '--version') console.log('1.2.3');
  else {
    console.log(JSON.stringify([first, ...rest, process.env.ODD]));
    if (first === 'kill') process.kill(process.pid, 'SIGKILL');
    process.exit(Number(first));
  }`;

/** A folder on whose path a shell stumbles that is not told where words begin and end. */
function oddFolder(): string {
  const folder = join(temporaryFolder(), `it's an "odd" $HOME; folder`);
  mkdirSync(folder);
  return folder;
}

function writeProgram(folder: string): string {
  const path = join(folder, 'cli.cjs');
  writeFileSync(path, PROGRAM);
  return path;
}

function writeCommand(folder: string, name: string, text: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`);
  chmodSync(join(folder, name), 0o755);
}

/** What the script tells, in a host's shell that has nothing but `path` and what every system has. */
function told(shell: string, options: Partial<StartScriptOptions>, path = dirname(process.execPath)): string[] {
  const script = startScript({
    program: { kind: 'found', path: '/nowhere' },
    node: '/nowhere/node',
    version: '1.2.3',
    args: ['0'],
    environment: {},
    ...options,
  });
  const { stdout, stderr } = spawnSync(shell, ['-c', `exec sh -c ${quoteWord(script)}`], {
    encoding: 'utf8',
    env: { PATH: path },
    input: '',
  });
  expect(stderr).not.toContain('Killed');
  return stdout.trimEnd().replaceAll('gradsock-launch: ', '').split('\n');
}

/** Tools of the system, without Node.js. */
function withoutNode(): string {
  const folder = temporaryFolder();
  writeCommand(folder, 'sh', 'exec /bin/sh "$@"');
  return folder;
}

describe.each(['sh', 'bash'])('a host whose shell is %s', (shell) => {
  test('starts the program at its path here, whatever the path and the arguments', () => {
    const program = { kind: 'found' as const, path: writeProgram(oddFolder()) };
    const args = ['7', `it's`, '', '$HOME *'];
    expect(told(shell, { program, args, environment: { ODD: `a'b c` } })).toEqual([
      'started',
      JSON.stringify([...args, `a'b c`]),
      'ended 7',
    ]);
  });

  test('starts the program as its user says', () => {
    const path = quoteWord(writeProgram(oddFolder()));
    const command = `: prepared && ${process.execPath} ${path}`;
    expect(told(shell, { program: { kind: 'command', command }, args: ['3'] })).toEqual([
      'started',
      '["3",null]',
      'ended 3',
    ]);
  });
});

test('gradsock on the PATH is taken where the program is not at its path here', () => {
  const folder = temporaryFolder();
  writeCommand(folder, 'gradsock', `exec ${process.execPath} ${quoteWord(writeProgram(folder))} "$@"`);
  const path = `${folder}:${dirname(process.execPath)}:${SYSTEM_PATH}`;
  expect(told('sh', { args: ['4'] }, path)).toEqual(['started', '["4",null]', 'ended 4']);
});

test('a program that a signal has ended is told by the code that shells make of it', () => {
  const program = { kind: 'installed' as const, path: writeProgram(temporaryFolder()) };
  expect(told('sh', { program, args: ['kill'] }).at(-1)).toBe('ended 137');
});

test('Node.js at its path here is taken where none is on the PATH', () => {
  const program = { kind: 'found' as const, path: writeProgram(temporaryFolder()) };
  expect(told('/bin/sh', { program, node: process.execPath }, withoutNode())[0]).toBe('started');
});

describe('what is missing is told', () => {
  test('Node.js', () => {
    expect(told('/bin/sh', {}, withoutNode())).toEqual(['no-node']);
  });

  test.each([
    ['v18.19.0', '18.19.0'],
    ['v20.11.1', '20.11.1'],
  ])('a Node.js that is too old: %s', (shown, version) => {
    const folder = withoutNode();
    const check = `case $2 in *versions*) exec ${process.execPath} -e "Object.defineProperty(process.versions, 'node', { value: '${version}' }); $2";; esac`;
    writeCommand(folder, 'node', `if [ "$1" = --version ]; then echo ${shown}; exit; fi\n${check}`);
    expect(told('/bin/sh', {}, folder)).toEqual([`old-node ${shown}`]);
  });

  test('the program', () => {
    expect(told('sh', {})).toEqual(['no-program']);
    expect(told('sh', { program: { kind: 'command', command: '/nowhere/gradsock' } })).toEqual(['no-program']);
  });

  test('a program of another version, and one that does not start', () => {
    expect(told('sh', { program: { kind: 'command', command: 'echo 0.9;:' } })).toEqual(['other-version 0.9']);
    expect(told('sh', { program: { kind: 'command', command: 'exit 9;:' } })).toEqual(['broken-program 9']);
  });
});
