/** File limit: whether this process may open as many connections as its run has workers. */
import { countOf } from '../../protocol/counts.ts';
import { readFileSync } from 'node:fs';
import { LIMITS } from '../../protocol/wire/limits.ts';

/** Libraries, the dataset, the run directory's files, pipes: some 60 were seen. */
const OTHER_FILES = 128;

/**
 * What to tell the user where a run of `numWorkers` workers may open too few files; undefined where there are enough, or
 * where the system does not tell. Node.js has raised the soft limit to the hard one already.
 *
 * `limit`: open files of this process at most. Default: as Linux tells.
 */
export function fileLimitWarning(numWorkers: number, limit = mostOpenFiles()): string | undefined {
  const needed = numWorkers + LIMITS.maxViewers + OTHER_FILES;
  if (limit === undefined || limit >= needed) return undefined;
  return (
    `this process may open ${limit} files, expected ${needed} for ${countOf(numWorkers, 'worker')}: connections beyond the limit fail. ` +
    `Run \`ulimit -Hn ${needed} && ulimit -n ${needed}\` before it as root, or set LimitNOFILE of its service`
  );
}

/** By Linux's `/proc`. */
function mostOpenFiles(): number | undefined {
  try {
    const limit = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return limit === undefined || limit === 'unlimited' ? undefined : Number(limit);
  } catch {
    return undefined;
  }
}
