/**
 * Disk: the coordinator's files in memory, behind the functions of `node:fs` that the product calls. It tells what is only in
 * the page cache from what is durable, so that a power loss can tear what was not forced to disk, and it can be full.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { basename, dirname } from 'node:path';
import type { Random } from './random.ts';
import type { World } from './world.ts';
import { currentProcess } from './virtual-time.ts';

interface Inode {
  bytes: Buffer;
  durable: Buffer;
}

type Folder = Map<string, Inode>;

export interface Disk {
  /** While set, writes fail with ENOSPC. */
  isFull: boolean;
  /** Numbers of operations so far, for tests. */
  readonly numOperations: number;
  /** The machine loses power: of what was not forced to disk some is lost, cut short or whole, by `random`. */
  losePower(random: Random): void;
  readText(path: string): string | undefined;
  names(folder: string): string[];
}

interface DiskState extends Disk {
  numOperations: number;
  readonly folders: Map<string, { now: Folder; durable: Folder }>;
  readonly world: World;
}

/** The disks of the worlds that there are: the one of the world whose event is being handled is the one that is meant. */
const disks = new WeakMap<World, DiskState>();

/** With one folder in it. */
export function createDisk(world: World, folder: string): Disk {
  installOnce();
  const disk: DiskState = {
    isFull: false,
    numOperations: 0,
    folders: new Map([[folder, emptyFolder()]]),
    world,
    losePower(random) {
      for (const folder of disk.folders.values()) {
        for (const name of new Set([...folder.now.keys(), ...folder.durable.keys()])) {
          const [now, before] = [folder.now.get(name), folder.durable.get(name)];
          const kept = now !== before && random.chance(0.5) ? before : now;
          if (kept) folder.now.set(name, kept);
          else folder.now.delete(name);
        }
        for (const inode of folder.now.values()) {
          if (inode.bytes.equals(inode.durable)) continue;
          const least = Math.min(inode.bytes.length, inode.durable.length);
          inode.bytes = inode.bytes.subarray(0, random.int(least, inode.bytes.length));
          inode.durable = Buffer.from(inode.bytes);
        }
        folder.durable = new Map(folder.now);
      }
    },
    readText: (path) => disk.folders.get(dirname(path))?.now.get(basename(path))?.bytes.toString(),
    names: (folder) => [...(disk.folders.get(folder)?.now.keys() ?? [])],
  };
  disks.set(world, disk);
  return disk;
}

const currentDisk = (): DiskState | undefined => {
  const found = currentProcess();
  return found && disks.get(found.world);
};

function fail(code: string, path: string): never {
  throw Object.assign(new Error(`${code}: simulated, '${path}'`), { code, path });
}

/** An operation takes some virtual time; it happens at its end. A process that dies before has not done it. */
async function operate<T>(disk: DiskState, label: string, action: () => T): Promise<T> {
  const { process } = currentProcess()!;
  disk.numOperations++;
  return new Promise<T>((resolve, reject) => {
    disk.world.schedule(process, 0.2, label, () => {
      try {
        resolve(action());
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  });
}

function folderOf(disk: DiskState, path: string): { now: Folder; durable: Folder } {
  return disk.folders.get(dirname(path)) ?? fail('ENOENT', path);
}

const inodeOf = (disk: DiskState, path: string): Inode =>
  folderOf(disk, path).now.get(basename(path)) ?? fail('ENOENT', path);

/** The replacements, by name; each falls back to the real one outside of a simulation. */
function operations(): Record<string, (disk: DiskState, ...parts: never[]) => unknown> {
  return {
    mkdir: (disk, path: string) =>
      operate(disk, 'mkdir', () => void disk.folders.set(path, disk.folders.get(path) ?? emptyFolder())),
    readdir: (disk, path: string) =>
      operate(disk, 'readdir', () => [...(disk.folders.get(path) ?? fail('ENOENT', path)).now.keys()]),
    readFile: (disk, path: string, encoding?: string) =>
      operate(disk, 'readFile', () => {
        const { bytes } = inodeOf(disk, path);
        return encoding === undefined ? Buffer.from(bytes) : bytes.toString();
      }),
    rename: (disk, from: string, to: string) =>
      operate(disk, 'rename', () => {
        const inode = inodeOf(disk, from);
        folderOf(disk, from).now.delete(basename(from));
        folderOf(disk, to).now.set(basename(to), inode);
      }),
    rm: (disk, path: string) =>
      operate(disk, 'rm', () => void disk.folders.get(dirname(path))?.now.delete(basename(path))),
    link: (disk, from: string, to: string) =>
      operate(disk, 'link', () => void folderOf(disk, to).now.set(basename(to), inodeOf(disk, from))),
    copyFile: (disk, from: string, to: string) =>
      operate(disk, 'copyFile', () => {
        if (disk.isFull) fail('ENOSPC', to);
        const bytes = Buffer.from(inodeOf(disk, from).bytes);
        folderOf(disk, to).now.set(basename(to), { bytes, durable: Buffer.alloc(0) });
      }),
    open: (disk, path: string, flags: string) => operate(disk, 'open', () => openFile(disk, path, flags)),
  };
}

const emptyFolder = () => ({ now: new Map<string, Inode>(), durable: new Map<string, Inode>() });

function openFile(disk: DiskState, path: string, flags: string) {
  const asFolder = disk.folders.get(path);
  if (asFolder) {
    const sync = () => operate(disk, 'sync folder', () => void (asFolder.durable = new Map(asFolder.now)));
    return { sync, close: () => Promise.resolve() };
  }
  const folder = folderOf(disk, path).now;
  let inode = folder.get(basename(path));
  if (!inode && flags === 'r') return fail('ENOENT', path);
  if (!inode || flags.startsWith('w')) {
    if (disk.isFull) return fail('ENOSPC', path);
    inode = { bytes: Buffer.alloc(0), durable: Buffer.alloc(0) };
    folder.set(basename(path), inode);
  }
  const file = inode;
  const append = (bytes: Uint8Array) =>
    operate(disk, 'write', () => {
      if (disk.isFull) fail('ENOSPC', path);
      file.bytes = Buffer.concat([file.bytes, bytes]);
      return { bytesWritten: bytes.length };
    });
  const sync = () => operate(disk, 'sync', () => void (file.durable = Buffer.from(file.bytes)));
  return {
    write: (bytes: Uint8Array, offset = 0) => append(bytes.subarray(offset)),
    async writeFile(content: string | Uint8Array) {
      await append(Buffer.from(content as string));
    },
    sync,
    datasync: sync,
    stat: () => operate(disk, 'stat', () => ({ size: file.bytes.length })),
    truncate: (size: number) =>
      operate(disk, 'truncate', () => {
        file.bytes = file.bytes.subarray(0, size);
      }),
    close: () => Promise.resolve(),
  };
}

let isInstalled = false;

function installOnce(): void {
  if (isInstalled) return;
  isInstalled = true;
  const promises = fs.promises as unknown as Record<string, (...parts: never[]) => unknown>;
  for (const [name, simulated] of Object.entries(operations())) {
    const real = promises[name]!.bind(fs.promises);
    promises[name] = (...parts) => {
      const disk = currentDisk();
      return disk ? simulated(disk, ...parts) : real(...parts);
    };
  }
  const realReadFile = fs.readFileSync.bind(fs);
  fs.readFileSync = ((path: string, options?: never) => {
    const disk = currentDisk();
    return disk ? Buffer.from(inodeOf(disk, path).bytes) : realReadFile(path, options);
  }) as typeof fs.readFileSync;
  const realExists = fs.existsSync.bind(fs);
  fs.existsSync = (path) => {
    const disk = currentDisk();
    if (!disk) return realExists(path);
    const name = String(path);
    return disk.folders.has(name) || disk.folders.get(dirname(name))?.now.has(basename(name)) === true;
  };
  syncBuiltinESMExports();
}
