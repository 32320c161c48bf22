/** The user's home folder, where there is one. */
import { homedir } from 'node:os';

/**
 * `$HOME`, else what the system's list of users says; undefined for a user without either, such as a container's user
 * that is a mere number, for which Node throws.
 */
export function homeFolder(): string | undefined {
  try {
    const folder = homedir();
    return folder === '' ? undefined : folder;
  } catch {
    return undefined;
  }
}
