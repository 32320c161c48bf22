/**
 * Events of Chrome's trace format, one JSON object each: spans on lanes, arrows between spans, and names.
 *
 * A process stands for the coordinator or a worker, a thread for a lane. Spans of a lane nest or are disjoint, which is what
 * Perfetto can show: a span that would begin before the last one of its lane has ended begins where that ends. An arrow
 * (a "flow") goes from span to span in the order of time; each of its points lies in a span of its lane.
 *
 * Times are rounded to nanoseconds and written in microseconds, from the trace's zero on.
 * Format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
 */

/** In the order in which they are shown. */
const LANES = [
  'steps',
  'computing',
  'sending',
  'exchanging',
  'reducing',
  'applying',
  'waiting',
  'writing the trace',
] as const;
export type Lane = (typeof LANES)[number];

/** A span that was drawn. Times in nanoseconds. */
export interface Drawn {
  readonly processId: number;
  readonly lane: Lane;
  readonly beginNs: number;
  readonly endNs: number;
}

export type Arguments = Readonly<Record<string, number | string>>;

export interface TraceEvents {
  /** The number of a process; its first mention names it. */
  processOf(name: string, label?: string): number;
  /** Draws a span; times in milliseconds, on the coordinator's clock. */
  span(processId: number, lane: Lane, name: string, span: readonly [number, number], args?: Arguments): Drawn;
  /** Draws spans within the last one of the lane. */
  inner(outer: Drawn, name: string, span: readonly [number, number]): void;
  /** Draws an arrow through spans; `atMs` is when it leaves the first one. Times that go back are those of the span before. */
  arrow(name: string, through: readonly Drawn[], atMs?: number): void;
  /** The events since the last call. */
  take(): string[];
}

/** A lane's number: unlike any other in the trace, and unlike a process's, which would make it the main thread. */
const LANES_PER_PROCESS = 100;

export function createTraceEvents(zeroMs: number): TraceEvents {
  let lines: string[] = [];
  const processes = new Map<string, number>();
  /** Where each lane's last span ends, by the lane's number. */
  const ends = new Map<number, number>();
  let numArrows = 0;

  const write = (event: object) => void lines.push(JSON.stringify(event));
  const nsOf = (ms: number) => Math.max(0, Math.round((ms - zeroMs) * 1e6));
  const within = (ns: number, least: number, most: number) => Math.min(Math.max(ns, least), most);
  const threadOf = (pid: number, lane: Lane) => pid * LANES_PER_PROCESS + LANES.indexOf(lane);

  const name = (pid: number, tid: number, what: 'process' | 'thread', args: { name: string; index: number }) => {
    write({ ph: 'M', name: `${what}_name`, pid, tid, args: { name: args.name } });
    write({ ph: 'M', name: `${what}_sort_index`, pid, tid, args: { sort_index: args.index } });
  };

  const writeSpan = ({ processId: pid, lane, beginNs, endNs }: Drawn, title: string, args?: Arguments) => {
    const times = { ts: beginNs / 1000, dur: (endNs - beginNs) / 1000 };
    write({ ph: 'X', pid, tid: threadOf(pid, lane), ...times, name: title, cat: lane, ...(args && { args }) });
  };

  return {
    processOf(processName, label) {
      const known = processes.get(processName);
      if (known !== undefined) return known;
      const pid = processes.size + 1;
      processes.set(processName, pid);
      name(pid, 0, 'process', { name: processName, index: pid });
      if (label !== undefined) write({ ph: 'M', name: 'process_labels', pid, tid: 0, args: { labels: label } });
      return pid;
    },
    span(processId, lane, title, [beginMs, endMs], args) {
      const tid = threadOf(processId, lane);
      if (!ends.has(tid)) name(processId, tid, 'thread', { name: lane, index: LANES.indexOf(lane) });
      const beginNs = Math.max(nsOf(beginMs), ends.get(tid) ?? 0);
      const drawn = { processId, lane, beginNs, endNs: Math.max(beginNs, nsOf(endMs)) };
      ends.set(tid, drawn.endNs);
      writeSpan(drawn, title, args);
      return drawn;
    },
    inner(outer, title, [beginMs, endMs]) {
      const beginNs = within(nsOf(beginMs), outer.beginNs, outer.endNs);
      writeSpan({ ...outer, beginNs, endNs: within(nsOf(endMs), beginNs, outer.endNs) }, title);
    },
    arrow(title, through, atMs) {
      const id = ++numArrows;
      let ns = 0;
      for (const [nth, { processId: pid, lane, beginNs, endNs }] of through.entries()) {
        ns = within(nth === 0 && atMs !== undefined ? nsOf(atMs) : Math.max(ns, beginNs), beginNs, endNs);
        const ph = nth === 0 ? 's' : nth === through.length - 1 ? 'f' : 't';
        const place = { pid, tid: threadOf(pid, lane), ts: ns / 1000 };
        write({ ph, id, ...place, name: title, cat: 'flow', ...(ph !== 's' && { bp: 'e' }) });
      }
    },
    take() {
      const taken = lines;
      lines = [];
      return taken;
    },
  };
}
