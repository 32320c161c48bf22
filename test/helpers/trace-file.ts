/** Reads a trace as a program that knows the format's rules and nothing of who wrote it; throws where a rule is broken. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect } from 'vitest';

/** Times in nanoseconds. */
export interface TraceSpan {
  readonly process: string;
  readonly lane: string;
  readonly name: string;
  readonly beginNs: number;
  readonly endNs: number;
  readonly args: Readonly<Record<string, unknown>>;
}

/** From span to span. */
export type TraceArrow = readonly { readonly atNs: number; readonly span: TraceSpan }[];

export interface ReadTrace {
  readonly spans: readonly TraceSpan[];
  readonly arrows: readonly TraceArrow[];
  readonly otherData: {
    readonly firstStep: number;
    readonly lastStep: number;
    readonly clocks: Readonly<Record<string, { readonly offsetMs: number; readonly plusMinusMs: number }>>;
  };
}

interface Event {
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  readonly name: string;
  readonly ts?: number;
  readonly dur?: number;
  readonly id?: number;
  readonly bp?: string;
  readonly args?: Readonly<Record<string, unknown>>;
}

export function readTrace(path: string): ReadTrace {
  const text = gunzipSync(readFileSync(path)).toString();
  const { traceEvents, otherData } = JSON.parse(text) as { traceEvents: Event[] } & Pick<ReadTrace, 'otherData'>;
  return { ...readEvents(traceEvents), otherData };
}

const nsOf = (microseconds: number | undefined): number => {
  expect(microseconds).toBeTypeOf('number');
  expect(microseconds).toBeGreaterThanOrEqual(0);
  return Math.round(microseconds! * 1000);
};

export function readEvents(events: readonly Event[]): Pick<ReadTrace, 'spans' | 'arrows'> {
  const names = new Map<string, string>();
  const spans: TraceSpan[] = [];
  const points = new Map<number, Event[]>();
  for (const event of events) {
    const { ph, pid, tid, name, args = {} } = event;
    if (ph === 'M') {
      if (name.endsWith('_name')) names.set(name === 'process_name' ? `${pid}` : `${pid}/${tid}`, String(args.name));
      continue;
    }
    const [process, lane] = [names.get(`${pid}`), names.get(`${pid}/${tid}`)];
    if (process === undefined || lane === undefined) throw new Error(`an event on a lane without a name: ${name}`);
    const beginNs = nsOf(event.ts);
    if (ph === 'X') spans.push({ process, lane, name, beginNs, endNs: beginNs + nsOf(event.dur), args });
    else if (['s', 't', 'f'].includes(ph)) points.set(event.id!, [...(points.get(event.id!) ?? []), event]);
    else throw new Error(`an event of kind ${ph}`);
  }
  checkLanes(spans);
  const placeOf = (event: Event): TraceArrow[number] => {
    const atNs = nsOf(event.ts);
    const [process, lane] = [names.get(`${event.pid}`), names.get(`${event.pid}/${event.tid}`)];
    const span = spans.find(
      (one) => one.process === process && one.lane === lane && one.beginNs <= atNs && atNs <= one.endNs,
    );
    if (!span) throw new Error(`an arrow ${event.name} whose end is in no span`);
    return { atNs, span };
  };
  const arrows = [...points.values()].map((arrow) => {
    const kinds = arrow.map(({ ph }) => ph).join('');
    if (!/^st*f$/.test(kinds)) throw new Error(`an arrow with the points ${kinds}`);
    return arrow.map(placeOf);
  });
  for (const arrow of arrows) {
    for (const [i, { atNs }] of arrow.entries()) expect(atNs).toBeGreaterThanOrEqual(arrow[i - 1]?.atNs ?? 0);
  }
  return { spans, arrows };
}

/** Throws where two spans of a lane neither nest nor are disjoint. */
function checkLanes(spans: readonly TraceSpan[]): void {
  const lanes = new Map<string, TraceSpan[]>();
  for (const span of spans) {
    const lane = `${span.process}, ${span.lane}`;
    lanes.set(lane, [...(lanes.get(lane) ?? []), span]);
  }
  for (const [lane, all] of lanes) {
    const open: TraceSpan[] = [];
    for (const span of [...all].sort((a, b) => a.beginNs - b.beginNs || b.endNs - a.endNs)) {
      while (open.length > 0 && open.at(-1)!.endNs <= span.beginNs) open.pop();
      const outer = open.at(-1);
      if (outer && outer.endNs < span.endNs) throw new Error(`${lane}: ${span.name} begins within ${outer.name}`);
      open.push(span);
    }
  }
}
