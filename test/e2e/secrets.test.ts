/** The printed commands, run as they are printed, and where the run's token is to be found then: real processes. */
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createToken } from '../../protocol/wire/authentication.ts';
import { DATASET_FILES } from '../../protocol/data/fashion-mnist.ts';
import { datasetPlaces, locateDatasetFile } from '../../protocol/data/fashion-mnist-files.ts';
import { PROGRAM, SMALL, startCommand } from '../helpers/cli.ts';
import { temporaryFolder } from '../helpers/folder.ts';

const RUN = ['--model', 'dense', '--microbatches', '2', ...SMALL].join(' ');
const isLinux = process.platform === 'linux';

/** A user's machine: a home, and a project that has this package, with no way to a registry. */
function newUser() {
  const [home, project] = [temporaryFolder(), temporaryFolder()];
  const bin = join(project, 'node_modules', '.bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(project, 'package.json'), '{"name": "project", "version": "1.0.0"}');
  writeFileSync(join(bin, 'gradsock'), `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`);
  chmodSync(join(bin, 'gradsock'), 0o755);
  const others = Object.entries(process.env).filter(([name]) => !/^(npm_|gradsock_|xdg_)/i.test(name));
  const dataset = datasetPlaces().find(({ folder }) => DATASET_FILES.every((file) => locateDatasetFile(folder, file)));
  const env = {
    ...Object.fromEntries(others),
    HOME: home,
    FASHION_MNIST_DIR: dataset!.folder,
    npm_config_offline: 'true',
    npm_config_update_notifier: 'false',
  };
  return { home, start: (line: string, more = {}) => startCommand(['sh', '-c', line], { ...env, ...more }, project) };
}

/** The files below a folder that hold a text. */
function filesWith(folder: string, text: string): string[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map(({ parentPath, name }) => join(parentPath, name));
  return paths.filter((path) => readFileSync(path).includes(text));
}

/** The command lines of this machine's processes that hold a text. */
function commandLinesWith(text: string): string[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(commandLineOf).filter((line) => line.includes(text));
}

function commandLineOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return ''; // It has ended.
  }
}

test.runIf(isLinux)("a token is in no file of a home, no process's command line and no piped output", async () => {
  const { home, start } = newUser();
  const runDir = join(temporaryFolder(), 'run');
  const coordinator = start(
    `npx gradsock coordinator --listen 127.0.0.1:0 --workers 2 --epochs 10000 ${RUN} --run-dir ${runDir}`,
  );
  const command = (await coordinator.line(/^ {2}npx gradsock worker/)).trim();
  expect(command).toMatch(/^npx gradsock worker ws:\/\/127\.0\.0\.1:\d+$/);
  await coordinator.line(/hand it over by GRADSOCK_TOKEN, --token-file or --join-file$/);
  const [, tokenFile] = /^ {2}it is in (.*), which/.exec(await coordinator.line(/^ {2}it is in /))!;
  expect(tokenFile).toBe(join(runDir, 'token'));
  const token = readFileSync(tokenFile!, 'utf8').trim();

  const joinFile = join(temporaryFolder(), 'launcher');
  writeFileSync(joinFile, `${command.split(' ').at(-1)!}/#${token}\n`);
  const workers = [
    start(command, { GRADSOCK_TOKEN: token }),
    start(`npx gradsock worker --join-stdin < ${joinFile}`),
    start(`${command} --token-file ${tokenFile!}`),
  ];
  await coordinator.line(/^epoch 1,/);
  expect(commandLinesWith(command.split(' ').at(-1)!).length).toBeGreaterThan(2);
  expect(commandLinesWith(token)).toEqual([]);
  coordinator.killGroup('SIGINT');
  await coordinator.exit;
  await Promise.all(workers.map((worker) => worker.exit));

  expect(filesWith(home, 'gradsock').some((path) => path.includes('_logs'))).toBe(true);
  expect(filesWith(home, token)).toEqual([]);
  expect(filesWith(runDir, token)).toEqual([tokenFile]);
  for (const cli of [coordinator, ...workers]) expect(cli.output()).not.toContain(token);
});

test.runIf(isLinux)('a token in the command line is warned of, and its other ways are named', async () => {
  const token = createToken();
  const worker = newUser().start(`npx gradsock worker ws://127.0.0.1:1/#${token} --wait 0`);
  await worker.line(/^warning: process lists, the log of npm .*--join-file or --join-stdin$/);
  expect(await worker.exit).toBe(1);
  expect(worker.output()).not.toContain(token);
});

/** A command on a terminal of its own, which `script` makes: what is shown there, and what is typed. */
function onTerminal(args: string) {
  const command = ['-qefc', `'${process.execPath}' '${PROGRAM}' ${args}`, '/dev/null'];
  const env = { ...process.env, TERM: 'xterm', SHELL: '/bin/sh' };
  const child = spawn('script', command, { detached: true, stdio: ['pipe', 'pipe', 'inherit'], env });
  let shown = '';
  const watchers = new Set<() => void>();
  child.stdout.on('data', (bytes: Buffer) => {
    shown += bytes.toString();
    for (const watcher of watchers) watcher();
  });
  const exit = new Promise<number | null>((resolve) => child.on('close', resolve));
  onTestFinished(() => void child.kill('SIGKILL'));
  return {
    exit,
    shown: () => shown,
    type: (text: string) => child.stdin.write(text),
    seen: (pattern: RegExp) =>
      new Promise<RegExpExecArray>((resolve, reject) => {
        const look = () => {
          const found = pattern.exec(shown);
          if (found) resolve(found);
        };
        watchers.add(look);
        look();
        void exit.then((code) => reject(new Error(`ended with ${code} before ${pattern}:\n${shown}`)));
      }),
  };
}

describe.runIf(isLinux && existsSync('/usr/bin/script'))('on a terminal,', () => {
  test('a coordinator shows a fresh token on a line of its own, and a worker asks for it without showing it', async () => {
    const runDir = join(temporaryFolder(), 'run');
    const flags = `--listen 127.0.0.1:0 --workers 1 --epochs 1 ${RUN} --run-dir ${runDir}`;
    const coordinator = onTerminal(`coordinator ${flags}`);
    const [, token] = await coordinator.seen(/\r?\n {2}([\w-]{43})\r?\n/);
    const [, url] = await coordinator.seen(/npx gradsock worker (\S+)\r?\n/);
    expect(readFileSync(join(runDir, 'token'), 'utf8')).toBe(`${token!}\n`);

    const worker = onTerminal(`worker ${url!}`);
    await worker.seen(/^token of the run at \S+ \(Enter if it has none\): $/);
    worker.type(`${token!}\r`);
    expect(await worker.exit, worker.shown()).toBe(0);
    expect(await coordinator.exit, coordinator.shown()).toBe(0);
    expect(worker.shown()).not.toContain(token);
  });

  test('a coordinator does not show a token that its user gave', async () => {
    const [folder, token] = [temporaryFolder(), createToken()];
    writeFileSync(join(folder, 'secret'), token);
    const flags = `--listen 127.0.0.1:0 --workers 1 --token-file ${join(folder, 'secret')}`;
    const coordinator = onTerminal(`coordinator ${flags} ${RUN} --run-dir ${join(folder, 'run')}`);
    await coordinator.seen(/it\s+is\s+in\s+\S+token,\s+which\s+its\s+owner\s+alone\s+can\s+read/);
    expect(coordinator.shown()).not.toContain(token);
    coordinator.type('\u0003');
    expect(await coordinator.exit, coordinator.shown()).toBe(130);
  });

  test('a worker whose user answers with Ctrl-C ends with exit 130', async () => {
    const worker = onTerminal('worker ws://127.0.0.1:1');
    await worker.seen(/: $/);
    worker.type('\u0003');
    expect(await worker.exit, worker.shown()).toBe(130);
  });
});
