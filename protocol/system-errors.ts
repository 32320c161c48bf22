/**
 * What the operating system's refusals mean to a user: a sentence with the subject, the reason and the cure, for every
 * file that the program reads or writes. An error that is none of the system's keeps its own message.
 */
import { describeError } from './errors.ts';

/** What was attempted, as it stands in the sentence: "cannot be read". */
export type FileDeed = 'read' | 'written' | 'made';

interface Meaning {
  readonly reason: string;
  readonly cure: string;
}

/** Whom the system refuses: the effective user's number, which is all that a user without a name has. */
const user = (): string => (process.geteuid ? `user ${process.geteuid()}` : 'this user');

const permissionFor = (deed: FileDeed): string => (deed === 'read' ? 'read' : 'write');

/** By the system's stable codes; `deed` decides the cure where reading and writing differ. */
const MEANINGS: Readonly<Record<string, (deed: FileDeed) => Meaning>> = {
  ENOENT: (deed) =>
    deed === 'read'
      ? { reason: 'there is no such file', cure: 'check the path' }
      : { reason: 'the folder that it is to be in is not there', cure: 'make that folder, or name another' },
  EACCES: (deed) => ({
    reason: `permission denied for ${user()}`,
    cure: `let that user ${permissionFor(deed)} it (chmod, chown), or name another`,
  }),
  EPERM: (deed) => ({
    reason: `operation not permitted for ${user()}`,
    cure: `let that user ${permissionFor(deed)} it (chown, chattr), or name another`,
  }),
  EROFS: () => ({ reason: 'its file system is read-only', cure: 'name a folder that can be written' }),
  ENOSPC: () => ({ reason: 'no space is left on that disk', cure: 'make room on that disk' }),
  EDQUOT: () => ({ reason: "this user's disk quota is used up", cure: 'make room on that disk' }),
  EFBIG: () => ({ reason: 'the file would exceed the largest size allowed', cure: 'raise the limit (ulimit -f)' }),
  ENOTDIR: () => ({ reason: 'a part of the path is a file, not a folder', cure: 'name a path through folders' }),
  EISDIR: () => ({ reason: 'it is a folder, not a file', cure: 'name a file' }),
  EEXIST: (deed) =>
    deed === 'made'
      ? { reason: 'a file has that name', cure: 'name another folder' }
      : { reason: 'a file has that name', cure: 'move that file away' },
  EMFILE: () => ({ reason: 'this process has too many files open', cure: 'raise the limit (ulimit -n)' }),
  ENFILE: () => ({ reason: 'this machine has too many files open', cure: 'end other programs, or raise fs.file-max' }),
  ENAMETOOLONG: () => ({ reason: 'the path is too long', cure: 'name a shorter one' }),
  ELOOP: () => ({ reason: 'its symbolic links lead in a circle', cure: 'mend the links' }),
  EBUSY: () => ({ reason: 'another program holds it', cure: 'end that program, or name another' }),
  ETXTBSY: () => ({ reason: 'it is a program that runs', cure: 'name another' }),
  EIO: () => ({ reason: 'the disk reports an error', cure: 'check that disk' }),
  ENXIO: () => ({ reason: 'it is a device or socket that is not there', cure: 'name a regular file' }),
  ENODEV: () => ({ reason: 'it is a device that is not there', cure: 'name a regular file' }),
  EINVAL: () => ({ reason: 'the file system refuses such a name or operation', cure: 'name another' }),
  ENOMEM: () => ({ reason: 'this machine has no memory left', cure: 'end other programs' }),
  ESTALE: () => ({ reason: 'the network file system has lost it', cure: 'mount it again' }),
  ERR_FS_FILE_TOO_LARGE: () => ({ reason: 'it has more than 2 GiB', cure: 'name the right file' }),
  ERR_INVALID_ARG_VALUE: () => ({ reason: 'a path cannot hold a null character', cure: 'check the path' }),
  ERR_STRING_TOO_LONG: () => ({ reason: 'it is too long for a text', cure: 'name the right file' }),
};

/** Whether the operating system, or Node in its place, refused: an error with one of the codes that have a meaning here. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException & { readonly code: string } {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code in MEANINGS;
}

/**
 * "SUBJECT: cannot be read: permission denied for user 1000 (EACCES): let that user read it ...".
 *
 * `subject` begins the sentence: the path, after the flag that names it where one does. The code stays in the sentence,
 * to be searched for. Of any other error the sentence has the message in place of reason and cure.
 */
export function describeSystemError(subject: string, deed: FileDeed, error: unknown): string {
  const { reason, cure } = systemErrorMeaning(deed, error);
  return `${subject}: cannot be ${deed}: ${reason}${cure === undefined ? '' : `: ${cure}`}`;
}

/** The reason, with the system's code, and the cure; for any other error its message and no cure. */
export function systemErrorMeaning(deed: FileDeed, error: unknown): { reason: string; cure: string | undefined } {
  if (!isSystemError(error)) return { reason: describeError(error), cure: undefined };
  const { reason, cure } = MEANINGS[error.code]!(deed);
  return { reason: `${reason} (${error.code})`, cure };
}

/** The sentence for an error that nothing nearer has put into words: its path and deed are what the system says. */
export function describeStraySystemError(error: NodeJS.ErrnoException): string {
  const { path, syscall = '', message } = error;
  if (path === undefined) return message;
  const deeds: Readonly<Record<string, FileDeed>> = {
    ...{ mkdir: 'made', write: 'written', fsync: 'written', rename: 'written', link: 'written', copyfile: 'written' },
  };
  return describeSystemError(path, deeds[syscall] ?? 'read', error);
}
