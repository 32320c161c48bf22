/** Writing files so that a reader finds the old one or the new one, whole, whatever happens in between. */
import { open, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { nanoid } from 'nanoid';

/**
 * Writes beside the target, with the permissions `mode` as far as the process allows them, forces it to disk, renames it
 * over the target and forces the folder. On an error the target is as it was, and nothing is left beside it. Content in
 * pieces is asked for as the disk takes it.
 */
export async function writeFileAtomically(
  path: string,
  content: string | Uint8Array | Iterable<Uint8Array>,
  mode = 0o666,
): Promise<void> {
  const draft = `${path}.${nanoid(8)}.part`;
  try {
    const file = await open(draft, 'w', mode);
    try {
      await writeFile(file, content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
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
