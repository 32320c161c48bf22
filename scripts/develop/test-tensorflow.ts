/**
 * Runs the tests of the tfjs engine on real TensorFlow: `npm run test:tensorflow`.
 *
 * GRADSOCK_TENSORFLOW names a folder with include/, libtensorflow_cc.so.2 and libtensorflow_framework.so.2: that of an
 * unzipped `tensorflow` or `tensorflow-cpu` wheel. The packages that connect TensorFlow.js with it come from npm, without
 * their install scripts, and their binding is built here. All of it goes to a temporary folder, where NODE_PATH finds it.
 * Without the variable, a compiler or the packages it says so and exits 0.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describeError } from '../../protocol/errors.ts';
import { findCompiler, runCompiler } from '../../worker/engines/native/build/compiler.ts';
import type { Compiler } from '../../worker/engines/native/build/compiler.ts';

const VARIABLE = 'GRADSOCK_TENSORFLOW';
const LIBRARIES = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2'];
const PACKAGES = ['@tensorflow/tfjs-node', '@tensorflow/tfjs-node-gpu'];
/** TensorFlow.js itself must be the one that the engine loads. */
const OWN_PACKAGES = ['@tensorflow/tfjs', '@tensorflow/tfjs-core'];
const BINDING = 'lib/napi-v8/tfjs_binding.node';
/** Of npm: the packages are small, and a registry that cannot be reached should not hold up for long. */
const FETCH_DEADLINE_MS = 180_000;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const require = createRequire(import.meta.url);
const folderOf = (name: string) => dirname(require.resolve(`${name}/package.json`));

/** Has npm put the packages into `folder`; rejects when it cannot. */
async function fetchPackages(folder: string): Promise<void> {
  const { version } = require('@tensorflow/tfjs/package.json') as { version: string };
  const own = OWN_PACKAGES.map((name) => [name, `file:${folderOf(name)}`] as const);
  const description = {
    private: true,
    dependencies: Object.fromEntries([...PACKAGES.map((name) => [name, version] as const), ...own]),
    overrides: Object.fromEntries(OWN_PACKAGES.map((name) => [name, `$${name}`] as const)),
  };
  await writeFile(join(folder, 'package.json'), JSON.stringify(description));
  const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--fetch-retries=1'];
  await promisify(execFile)('npm', args, { cwd: folder, timeout: FETCH_DEADLINE_MS });
}

/** Both packages have the same two sources. */
async function buildBinding(compiler: Compiler, packages: string, tensorflow: string): Promise<void> {
  const sources = join(packages, PACKAGES[0]!, 'binding');
  const binding = join(packages, PACKAGES[0]!, BINDING);
  await mkdir(dirname(binding), { recursive: true });
  await runCompiler(compiler, [
    ...['-std=c++17', '-O2', '-fPIC', '-shared', '-DNAPI_VERSION=8'],
    ...['tfjs_backend.cc', 'tfjs_binding.cc'].map((file) => join(sources, file)),
    ...['-I', join(folderOf('node-api-headers'), 'include'), '-I', join(tensorflow, 'include')],
    ...['-L', tensorflow, ...LIBRARIES.map((library) => `-l:${library}`), `-Wl,-rpath,${tensorflow}`],
    ...['-o', binding],
  ]);
  for (const other of PACKAGES.slice(1)) await cp(binding, join(packages, other, BINDING), { recursive: true });
}

async function runTests(packages: string): Promise<number> {
  const args = [join(folderOf('vitest'), 'vitest.mjs'), 'run', '--config', 'vitest.tensorflow.config.ts'];
  const env = { ...process.env, NODE_PATH: packages };
  const tests = spawn(process.execPath, args, { cwd: ROOT, env, stdio: 'inherit' });
  const [code] = (await once(tests, 'exit')) as [number | null];
  return code ?? 1;
}

const skip = (why: string) => void process.stdout.write(`tests on TensorFlow: skipped, ${why}\n`);

async function main(): Promise<void> {
  const given = process.env[VARIABLE];
  if (!given) {
    skip(
      `${VARIABLE} names no folder with include/ and ${LIBRARIES[0]!}, such as that of an unzipped TensorFlow wheel`,
    );
    return;
  }
  const tensorflow = resolve(given);
  const missing = ['include', ...LIBRARIES].filter((file) => !existsSync(join(tensorflow, file)));
  if (missing.length > 0) {
    process.stderr.write(
      `error: ${VARIABLE}=${given}: expected ${missing.join(', ')} in it: unzip a TensorFlow wheel\n`,
    );
    process.exitCode = 2;
    return;
  }
  const compiler = await findCompiler();
  if (!compiler) {
    skip('no C++ compiler found');
    return;
  }
  const folder = await mkdtemp(join(tmpdir(), 'gradsock-tensorflow-'));
  try {
    try {
      await fetchPackages(folder);
    } catch (error) {
      skip(`npm cannot install ${PACKAGES.join(' and ')}: ${describeError(error).trim().split('\n').at(-1)!}`);
      return;
    }
    const packages = join(folder, 'node_modules');
    await buildBinding(compiler, packages, tensorflow);
    process.exitCode = await runTests(packages);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

await main();
