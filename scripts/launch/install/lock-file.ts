/** package.json and package-lock.json with which npm installs, on any host, the versions that are installed here. */
import type { InstalledPackage } from './installed-packages.ts';

export interface LockFiles {
  readonly packageJson: string;
  readonly packageLock: string;
}

interface LockEntry {
  readonly version: string;
  /** Where a package is imported by another name than its own. */
  readonly name?: string;
  readonly integrity?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** A package in its place below node_modules. */
interface Placed {
  readonly at: string;
  readonly found: InstalledPackage;
  readonly children: Map<string, Placed>;
  readonly parent: Placed | undefined;
}

/** Each version is exact. What the packages themselves say of versions would let another one in. */
export function lockFilesOf(root: InstalledPackage): LockFiles {
  const { name, version, type, bin, exports, engines } = root.manifest;
  const dependencies = exactNeeds(root);
  const rest = { type, bin, exports, engines };
  const lock = {
    ...{ name, version, lockfileVersion: 3, requires: true },
    packages: { '': { name, version, dependencies, bin, engines }, ...placedEntries(root) },
  };
  return {
    packageJson: textOf({ name, version, private: true, ...rest, dependencies }),
    packageLock: textOf(lock),
  };
}

const textOf = (value: object): string => `${JSON.stringify(value, undefined, 2)}\n`;

function exactNeeds({ needs }: InstalledPackage): Record<string, string> {
  return Object.fromEntries(
    [...needs].map(([name, { manifest }]) => {
      const { name: ownName, version } = manifest;
      return [name, ownName === name ? version : `npm:${ownName}@${version}`];
    }),
  );
}

/**
 * Places each package at the top, where all find it, or, where another version is there, below the one that needs it. All that
 * a package needs is placed before what those need in turn: so nothing is placed between a package and what it has found.
 */
function placedEntries(root: InstalledPackage): Record<string, LockEntry> {
  const top: Placed = { at: '', found: root, children: new Map(), parent: undefined };
  const entries: Record<string, LockEntry> = {};
  const queue = [top];
  for (let next; (next = queue.shift());) {
    for (const [name, needed] of next.found.needs) {
      if (lookUp(name, next) === needed) continue;
      const parent = top.children.has(name) ? next : top;
      const at = `${parent.at === '' ? '' : `${parent.at}/`}node_modules/${name}`;
      const placed = { at, found: needed, children: new Map<string, Placed>(), parent };
      parent.children.set(name, placed);
      entries[at] = entryOf(name, needed);
      queue.push(placed);
    }
  }
  return Object.fromEntries(Object.entries(entries).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What a package finds by a name: below itself, or below one that it lies in. */
function lookUp(name: string, from: Placed): InstalledPackage | undefined {
  for (let at: Placed | undefined = from; at; at = at.parent) {
    const child = at.children.get(name);
    if (child) return child.found;
  }
  return undefined;
}

function entryOf(name: string, found: InstalledPackage): LockEntry {
  const { manifest, integrity, needs } = found;
  return {
    ...(manifest.name !== name && { name: manifest.name }),
    version: manifest.version,
    ...(integrity !== undefined && { integrity }),
    ...(needs.size > 0 && { dependencies: exactNeeds(found) }),
  };
}
