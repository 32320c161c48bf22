/** `runs/latest`: a link to the run that was begun last, so that people and scripts need no name. */
import { lstatSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { nanoid } from 'nanoid';

const LATEST = 'latest';

/**
 * Makes `latest` beside a run directory lead to it. A file or folder of that name is left alone, and so is a file system
 * without links: nothing depends on it.
 */
export function linkLatest(runDir: string): void {
  const link = join(dirname(runDir), LATEST);
  const draft = `${link}.${nanoid(8)}`;
  try {
    const there = lstatSync(link, { throwIfNoEntry: false });
    if (there && !there.isSymbolicLink()) return;
    symlinkSync(basename(runDir), draft);
    renameSync(draft, link);
  } catch {
    rmSync(draft, { force: true });
  }
}
