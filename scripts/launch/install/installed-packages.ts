/** The packages that a program here runs with. They are found on the disk as Node.js finds them. */
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { ConfigError } from '../../../protocol/errors.ts';

/** What is used of a package.json. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly type?: string;
  readonly bin?: unknown;
  readonly exports?: unknown;
  readonly engines?: unknown;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
}

export interface InstalledPackage {
  readonly folder: string;
  readonly manifest: Manifest;
  /** Of the archive that it came in, where a lock file here knows it. */
  readonly integrity: string | undefined;
  /** By the names by which the package imports them. */
  readonly needs: ReadonlyMap<string, InstalledPackage>;
}

/**
 * The package in `root` and its dependencies. Optional packages are not included; those in `extra` are.
 *
 * Throws `ConfigError` for one that is not installed.
 */
export function readInstalled(root: string, extra: readonly string[]): InstalledPackage {
  const known = new Map<string, InstalledPackage>();
  const integrityOf = integrityReader();
  const read = (folder: string, alsoNeeded: readonly string[]): InstalledPackage => {
    const before = known.get(folder);
    if (before) return before;
    const manifest = readManifest(folder);
    const needs = new Map<string, InstalledPackage>();
    const found = { folder, manifest, integrity: integrityOf(folder, manifest.version), needs };
    known.set(folder, found);
    for (const name of [...neededBy(manifest), ...alsoNeeded]) {
      const place = locate(name, folder);
      if (place === undefined) throw missing(name, manifest);
      needs.set(name, read(place, []));
    }
    return found;
  };
  return read(realpathSync(root), extra);
}

function neededBy({ dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta }: Manifest): string[] {
  const peers = Object.keys(peerDependencies ?? {}).filter((name) => peerDependenciesMeta?.[name]?.optional !== true);
  const names = [...Object.keys(dependencies ?? {}), ...peers];
  return [...new Set(names)].filter((name) => optionalDependencies?.[name] === undefined);
}

/** Where Node.js finds a package from a folder; undefined where it does not. */
function locate(name: string, from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const place = join(folder, 'node_modules', name);
    if (existsSync(join(place, 'package.json'))) return realpathSync(place);
    if (folder === dirname(folder)) return undefined;
  }
}

function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
}

function missing(name: string, { name: by, version }: Manifest): ConfigError {
  return new ConfigError(
    `--install: ${by} ${version} needs the package ${name}, which is not installed here, so hosts would not know which ` +
      `version to take: npm install ${name}`,
  );
}

type Lock = Readonly<Record<string, { readonly version?: string; readonly integrity?: string }>>;

/** Looks a package up in the lock files of the folders above it. */
function integrityReader(): (folder: string, version: string) => string | undefined {
  const locks = new Map<string, readonly Lock[]>();
  const locksIn = (folder: string) => {
    const read = locks.get(folder) ?? LOCK_FILES.flatMap((name) => readLock(join(folder, name)));
    locks.set(folder, read);
    return read;
  };
  return (folder, version) => {
    for (let above = dirname(folder); ; above = dirname(above)) {
      const key = relative(above, folder).split(sep).join('/');
      const entries = key.startsWith('node_modules/') ? locksIn(above).map((lock) => lock[key]) : [];
      const found = entries.find((entry) => entry?.version === version && entry.integrity !== undefined);
      if (found) return found.integrity;
      if (above === dirname(above)) return undefined;
    }
  };
}

/** The second is npm's record of what it has installed. */
const LOCK_FILES = ['package-lock.json', 'node_modules/.package-lock.json'];

function readLock(path: string): readonly Lock[] {
  try {
    const { packages } = JSON.parse(readFileSync(path, 'utf8')) as { readonly packages?: Lock };
    return packages ? [packages] : [];
  } catch {
    // Not there, or of another package manager: versions are known all the same.
    return [];
  }
}
