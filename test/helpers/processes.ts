/** Processes of this machine, by their command lines. */
import { readdirSync, readFileSync } from 'node:fs';

/** Process ids of the node processes that have all of these arguments. */
export function nodeProcesses(...parts: readonly string[]): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      const [program = '', ...args] = commandOf(pid);
      return program.endsWith('node') && parts.every((part) => args.includes(part));
    })
    .map(Number);
}

function commandOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    // It has ended.
    return [];
  }
}
