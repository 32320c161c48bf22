/** Fashion-MNIST from Debian's package, which is installed where it is not there. Only on the user's word: it takes root. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { describeError } from '../../protocol/errors.ts';
import type { DatasetFile } from '../../protocol/data/fashion-mnist.ts';
import { DEBIAN_FOLDER, locateDatasetFile, readDatasetFile } from '../../protocol/data/fashion-mnist-files.ts';

export const DEBIAN_PACKAGE = 'dataset-fashion-mnist';
const INSTALL_DEADLINE_MS = 300_000;

export interface DebianSystem {
  /** Where the package puts its files. */
  readonly folder: string;
  readonly aptGet: string;
  /** The user's number: 0 is root. */
  readonly uid: number | undefined;
}

/** Gives a file of the package, verified. Installs the package, and says so before; rejects with the reason when it cannot. */
export function debianSource(system: DebianSystem) {
  return async (file: DatasetFile, log: (line: string) => void): Promise<Uint8Array<ArrayBuffer>> => {
    if (locateDatasetFile(system.folder, file) === undefined) await installPackage(system, log);
    return readDatasetFile(system.folder, file);
  };
}

/** This machine's. */
export const takeFromDebian = debianSource({
  folder: DEBIAN_FOLDER,
  aptGet: '/usr/bin/apt-get',
  uid: process.getuid?.(),
});

async function installPackage({ aptGet, uid }: DebianSystem, log: (line: string) => void): Promise<void> {
  const subject = `Debian's package ${DEBIAN_PACKAGE}`;
  if (!existsSync(aptGet)) throw new Error(`${subject}: this is no Debian system`);
  if (uid !== 0) throw new Error(`${subject}: installing it takes root`);
  log(`installing ${subject} on this machine, with apt-get as root`);
  const run = (...args: string[]) =>
    promisify(execFile)(aptGet, args, {
      timeout: INSTALL_DEADLINE_MS,
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
  const install = () => run('install', '-y', '--no-install-recommends', DEBIAN_PACKAGE);
  try {
    // On a fresh machine the list of packages is empty until it is asked for.
    await install().catch(() => run('update').then(install));
  } catch (error) {
    throw new Error(`${subject}: ${describeError(error)}`, { cause: error });
  }
}
