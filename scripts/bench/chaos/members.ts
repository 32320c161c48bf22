/** Who is a member of a run, and so has a part in its steps: as the run's log tells, from beside it. */
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 20;

export interface MemberWatch {
  /** Whether the worker of this name is a member, as soon as it is one, or when the time is over or `signal` aborted. */
  untilMember(name: string, seconds: number, signal: AbortSignal): Promise<boolean>;
  /** Its process was killed: it is no member before the log tells of another of its name, though it may not know yet. */
  killed(name: string): void;
}

/** `log`: the run's `log.jsonl`, which need not be there yet. The run waits for `numWorkers` to be ready. */
export function watchMembers(log: string, numWorkers: number): MemberWatch {
  const members = new Set<string>();
  let offset = 0;
  let rest = '';
  let numReady = 0;

  const take = (text: string) => {
    const [, ready] = /^w\d+ \((.*)\) is ready$/.exec(text) ?? [];
    const [, joined] = /^(.*) \(w\d+\) takes part from step \d+ on$/.exec(text) ?? [];
    const [, lost] = /^lost worker (.*) \(w\d+\)/.exec(text) ?? [];
    const [, late] = /^(.*) \(w\d+\) is late /.exec(text) ?? [];
    // Those that the run waits for have a part from the first step on; who is ready later is given the state before.
    if (ready !== undefined && numReady++ < numWorkers) members.add(ready);
    if (joined !== undefined) members.add(joined);
    for (const name of [lost, late]) if (name !== undefined) members.delete(name);
    if (text.startsWith('resumed after step ')) {
      members.clear();
      numReady = 0;
    }
  };

  const readOn = () => {
    if (!existsSync(log)) return;
    const bytes = readFrom(log, offset);
    offset += bytes.length;
    const lines = (rest + bytes.toString('latin1')).split('\n');
    rest = lines.pop()!;
    for (const line of lines) take((JSON.parse(line) as { msg?: string }).msg ?? '');
  };

  return {
    async untilMember(name, seconds, signal) {
      const endMs = performance.now() + 1000 * seconds;
      for (;;) {
        readOn();
        if (members.has(name) || signal.aborted || performance.now() >= endMs) return members.has(name);
        await delay(POLL_MS);
      }
    },
    killed(name) {
      readOn();
      members.delete(name);
    },
  };
}

function readFrom(path: string, offset: number): Buffer {
  const file = openSync(path, 'r');
  try {
    const parts: Buffer[] = [];
    for (;;) {
      const part = Buffer.alloc(64 * 1024);
      const numBytes = readSync(file, part, 0, part.length, offset);
      if (numBytes === 0) return Buffer.concat(parts);
      parts.push(part.subarray(0, numBytes));
      offset += numBytes;
    }
  } finally {
    closeSync(file);
  }
}
