/** What a launch brings along to its hosts: this program as npm packs it, and the versions of all packages that it needs. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { ConfigError, describeError } from '../../../protocol/errors.ts';
import { readInstalled } from './installed-packages.ts';
import { lockFilesOf } from './lock-file.ts';
import type { LockFiles } from './lock-file.ts';

export interface Bundle extends LockFiles {
  /** A hash of all that is in it: hosts keep it by this name. */
  readonly key: string;
  /** As npm packs the program: a tar with gzip, all in the folder "package". */
  readonly archive: Buffer;
  /** Program text for Node.js on the host, which installs the rest. */
  readonly installer: string;
}

/** Optional packages of an engine that its user has asked for. */
const ENGINE_PACKAGES: Readonly<Record<string, readonly string[]>> = {
  onnx: ['onnxruntime-node'],
  tfjs: ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm'],
};

const PACK_DEADLINE_MS = 120_000;
const KEY_DIGITS = 20;
const INSTALLER = 'dist/scripts/launch/install/on-host.js';

/** Throws `ConfigError` where this installation lacks what it is made of. */
export async function makeBundle(engine: string): Promise<Bundle> {
  const root = packageRoot();
  const installerPath = join(root, INSTALLER);
  if (!existsSync(installerPath)) {
    throw new ConfigError(`--install: expected the built program in ${join(root, 'dist')}, found none: npm run build`);
  }
  const files = lockFilesOf(readInstalled(root, ENGINE_PACKAGES[engine] ?? []));
  const [archive, installer] = await Promise.all([pack(root), readFile(installerPath, 'utf8')]);
  const hash = createHash('sha256');
  // The tar itself: how it is compressed differs between versions of npm.
  for (const part of [files.packageJson, files.packageLock, gunzipSync(archive)]) hash.update(part).update('\0');
  return { ...files, key: hash.digest('hex').slice(0, KEY_DIGITS), archive, installer };
}

/** Without scripts: they would build the program anew. */
async function pack(root: string): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), 'gradsock-pack-'));
  try {
    const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
    const { stdout } = await promisify(execFile)('npm', args, { cwd: root, timeout: PACK_DEADLINE_MS });
    const [{ filename }] = JSON.parse(stdout) as [{ readonly filename: string }];
    return await readFile(join(folder, filename));
  } catch (error) {
    throw new ConfigError(`--install: npm pack, which packs this program, failed: ${describeError(error)}`, {
      cause: error,
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** This file lies in the package's sources, or in its dist/. */
function packageRoot(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder;
  }
}
