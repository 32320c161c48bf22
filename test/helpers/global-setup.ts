/**
 * Before any test: Fashion-MNIST in the tests' own folder, and an environment that is the same on every machine. Tests
 * get an empty home folder, and none of the variables that stand for flags or name the user's data.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetchDataset } from '../../coordinator/dataset/fetch.ts';
import type { DatasetSource } from '../../coordinator/dataset/fetch.ts';
import { takeFromDebian } from '../../coordinator/dataset/debian-package.ts';
import { downloadDatasetFile } from '../../coordinator/dataset/download.ts';
import { cacheFolder, DEBIAN_FOLDER, readDatasetFile } from '../../protocol/data/fashion-mnist-files.ts';
import { createProgram } from '../../scripts/program.ts';
import { TOKEN_VARIABLE } from '../../scripts/run/token.ts';
import { FASHION_MNIST_FOLDER } from './fashion-mnist.ts';
import { ANSWERS_VARIABLE } from './remembered-reference.ts';

/** Saves a download where this machine has a whole copy; the sum decides, so it does not matter whose it is. */
const copyFromMachine: DatasetSource = async (file) => {
  const folders = [process.env['FASHION_MNIST_DIR'], cacheFolder(), DEBIAN_FOLDER];
  for (const folder of folders) {
    if (!folder) continue;
    try {
      return await readDatasetFile(folder, file);
    } catch {
      // Not there, or damaged: the next one.
    }
  }
  throw new Error(`${file}: not on this machine`);
};

export async function setup(): Promise<() => void> {
  await fetchDataset({
    dataDir: FASHION_MNIST_FOLDER,
    log: (line) => process.stderr.write(`${line}\n`),
    sources: [copyFromMachine, downloadDatasetFile, takeFromDebian],
  });
  for (const name of await userVariables()) Reflect.deleteProperty(process.env, name);
  const home = mkdtempSync(join(tmpdir(), 'gradsock-home-'));
  const answers = mkdtempSync(join(tmpdir(), 'gradsock-answers-'));
  Object.assign(process.env, { HOME: home, FASHION_MNIST_DIR: FASHION_MNIST_FOLDER, [ANSWERS_VARIABLE]: answers });
  return () => {
    for (const folder of [home, answers]) rmSync(folder, { recursive: true, force: true });
  };
}

/** Variables by which a user may have changed what commands do. Those that only tests know, such as seeds, stay. */
async function userVariables(): Promise<string[]> {
  const { commands } = await createProgram();
  const flags = commands.flatMap(({ options }) => options.flatMap(({ envVar }) => envVar ?? []));
  return [...new Set(flags), TOKEN_VARIABLE, 'XDG_CACHE_HOME'];
}
