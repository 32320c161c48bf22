/** A user whom the system can refuse: where tests run as root, permission bits stop nobody. */
import { chmodSync, chownSync, statSync } from 'node:fs';
import { temporaryFolder } from './folder.ts';

/** Nobody's number: without an entry in the system's list of users. */
export const ORDINARY_USER = 4_242_424;

/** A folder of a test's own that every user may search, but not change. */
export function openFolder(): string {
  const folder = temporaryFolder();
  chmodSync(folder, 0o755);
  return folder;
}

/**
 * Runs `action` as a user who is refused `paths`: root becomes {@link ORDINARY_USER} for as long; any other user takes the
 * permissions away from itself. `action` is told the user's number.
 */
export async function asOrdinaryUser(paths: readonly string[], action: (uid: number) => Promise<void>): Promise<void> {
  const uid = process.getuid!();
  if (uid !== 0) {
    const modes = paths.map((path) => statSync(path).mode);
    for (const path of paths) chmodSync(path, 0);
    try {
      await action(uid);
    } finally {
      for (const [i, path] of paths.entries()) chmodSync(path, modes[i]!);
    }
    return;
  }
  for (const path of paths) chownSync(path, 0, 0);
  process.seteuid!(ORDINARY_USER);
  try {
    await action(ORDINARY_USER);
  } finally {
    process.seteuid!(0);
  }
}
