/** Writing files so that a reader finds the old one or the new one, whole, whatever happens in between. */
import { constants, existsSync } from 'node:fs';
import { copyFile, link, open, readdir, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { nanoid } from 'nanoid';

/**
 * Writes beside the target, with the permissions `mode` as far as the process allows them, forces it to disk, renames it
 * over the target and forces the folder. On an error the target is as it was, and nothing is left beside it.
 */
export async function writeFileAtomically(path: string, content: string | Uint8Array, mode = 0o666): Promise<void> {
  await throughDraft(path, contentWriter(content), mode, (draft) => rename(draft, path));
}

/** The same for a file that `write` fills in its own time. What it throws is thrown on, with nothing left behind. */
export async function writeFileThrough(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  await throughDraft(path, write, 0o666, (draft) => rename(draft, path));
}

/** The same for a file that must not be there yet: rejects with the system's EEXIST where anything has that name. */
export async function createFileAtomically(path: string, content: string | Uint8Array): Promise<void> {
  await throughDraft(path, contentWriter(content), 0o666, async (draft) => {
    try {
      // Unlike a rename, it never takes another's place.
      await link(draft, path);
    } catch (error) {
      if (!NO_SECOND_NAMES.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
      // Here a reader may find it half written, and refuses it by its sum.
      await copyFile(draft, path, constants.COPYFILE_EXCL);
    }
    await rm(draft);
  });
}

/** Codes of file systems on which a file has one name only (FAT, some network and container file systems). */
const NO_SECOND_NAMES = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV', 'EACCES']);

function contentWriter(content: string | Uint8Array): (file: FileHandle) => Promise<void> {
  return (file) => writeWhole(file, typeof content === 'string' ? Buffer.from(content) : content);
}

async function throughDraft(
  path: string,
  write: (file: FileHandle) => Promise<void>,
  mode: number,
  putInPlace: (draft: string) => Promise<void>,
): Promise<void> {
  const draft = `${path}.${nanoid(8)}.part`;
  try {
    const file = await open(draft, 'w', mode);
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
    await putInPlace(draft);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Removes what {@link writeFileAtomically} left in `folder` when its process was killed; nothing may write there now. */
export async function removeDrafts(folder: string): Promise<void> {
  const names = existsSync(folder) ? await readdir(folder) : [];
  for (const name of names) if (name.endsWith('.part')) await rm(join(folder, name), { force: true });
}

/** Handed to the system in one: pieces, as Node would make them, each cost a turn of whatever else is being done here. */
async function writeWhole(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += (await file.write(bytes, at)).bytesWritten;
}

/** Forces the names in a folder to disk. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
