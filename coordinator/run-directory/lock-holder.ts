/**
 * Who holds a lock: a process, told apart from all others by its machine's boot, its PID namespace, its pid and its start
 * time. A host name tells nothing: two containers may share one, and a pod that is started again has another.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { customAlphabet } from 'nanoid';
import { z } from 'zod';

/** The counter of renewals, of a fixed width: it is overwritten in place. */
const BEAT_DIGITS = 12;

const newId = customAlphabet('0123456789abcdefghjkmnpqrstvwxyz', 12);

const holderSchema = z.strictObject({
  /** How often the holder has renewed the lock. Missing in locks of versions that did not renew them. */
  beat: z.string().length(BEAT_DIGITS).optional(),
  id: z.string().regex(/^[a-z0-9]+$/),
  pid: z.int().positive(),
  /** For people. */
  host: z.string(),
  /** Which boot of which machine; null where Linux's /proc does not say. */
  boot: z.string().nullable().optional(),
  /** Within which pids are unique; null where Linux's /proc does not say. */
  pidNamespace: z.string().nullable().optional(),
  /** Tells the process from a later one with the same pid; null where the system does not tell. */
  processStart: z.string().nullable(),
  /** For people: by the holder's clock, which is compared with no other. */
  since: z.string(),
});

export type Holder = Readonly<z.infer<typeof holderSchema>>;

/** Where in a lock's file the counter stands: the file begins `{"beat":"`. */
export const BEAT_POSITION_BYTES = '{"beat":"'.length;

export const beatText = (count: number): string => String(count).padStart(BEAT_DIGITS, '0');

/** This process, as the holder of a lock that it is about to take. */
export function createHolder(): Holder {
  return {
    beat: beatText(0),
    id: newId(),
    pid: process.pid,
    host: hostname(),
    boot: bootId(),
    pidNamespace: pidNamespace(),
    processStart: processStartOf(process.pid),
    since: new Date().toISOString(),
  };
}

export const encodeHolder = (holder: Holder): string => `${JSON.stringify(holder)}\n`;

/** The holder that a lock's file names; undefined for a torn one. */
export function parseHolder(text: string): Holder | undefined {
  try {
    return holderSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

export function describeHolder(holder: Holder | undefined): string {
  if (!holder) return 'a process whose lock cannot be read';
  const { pid, host, since } = holder;
  return `process ${pid} on ${host} (since ${since})`;
}

/**
 * Whether the holder's process is there: `unknown` where it belongs to another boot, machine or PID namespace, or where
 * the system does not tell a process from a later one with the same pid.
 */
export function presenceOf(holder: Holder): 'here' | 'gone' | 'unknown' {
  const { boot, pidNamespace: namespace, pid, processStart, host } = holder;
  if (boot === undefined || boot !== bootId() || namespace !== pidNamespace()) return 'unknown';
  // Without /proc there are no namespaces of pids either.
  if (boot === null && host !== hostname()) return 'unknown';
  if (!exists(pid)) return 'gone';
  const start = processStartOf(pid);
  if (start === null || processStart === null) return 'unknown';
  return start === processStart ? 'here' : 'gone';
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

function bootId(): string | null {
  return orNull(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
}

function pidNamespace(): string | null {
  return orNull(() => readlinkSync('/proc/self/ns/pid'));
}

/** When a process began, in ticks since the boot; null where /proc does not say, `ended` of a zombie. */
function processStartOf(pid: number): string | null {
  return orNull(() => {
    // "pid (command) state ...", where the command may hold anything but comes in parentheses; starttime is field 22.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return fields[0] === 'Z' ? 'ended' : fields[19]!;
  });
}

function orNull(read: () => string): string | null {
  try {
    return read();
  } catch {
    return null;
  }
}
