/** The lines of several worker processes, in one log. */

/** Kept of each worker. */
const MOST_LAST_LINES = 10;

export interface WorkerLog {
  /** Logs a line with the worker's name before it. A line that another worker has said already is only kept. */
  add(worker: string, line: string): void;
  /** Keeps a line of a worker that is logged elsewhere. */
  keep(worker: string, line: string): void;
  /** The newest lines of a worker, at most ten, each once. */
  lastLinesOf(worker: string): readonly string[];
}

/** Workers of one machine say the same about it: each such line is logged once. */
export function createWorkerLog(log: (line: string) => void): WorkerLog {
  const said = new Set<string>();
  const lastLines = new Map<string, string[]>();
  const keep = (worker: string, line: string) => {
    const others = (lastLines.get(worker) ?? []).filter((other) => other !== line);
    lastLines.set(worker, [...others, line].slice(-MOST_LAST_LINES));
  };
  return {
    add(worker, line) {
      keep(worker, line);
      if (!said.has(line)) log(`${worker}: ${line}`);
      said.add(line);
    },
    keep,
    lastLinesOf: (worker) => lastLines.get(worker) ?? [],
  };
}
