/** EventLog: the events of a run in words, the last of them, each with its time. */
import { countOf } from '../../protocol/counts.ts';
import type { ReissueReason, ReportedEvent } from '../reporting/reported-event.ts';
import { MOST_EVENTS } from './run-view.ts';
import type { EventView } from './run-view.ts';

export interface EventLog {
  add(event: ReportedEvent): void;
  say(text: string, tone?: EventView['tone'], at?: string): void;
  /** The oldest first; the same object until something has changed. */
  events(): readonly EventView[];
}

interface Entry {
  readonly view: EventView;
  /** Entries of one kind that follow each other become one: the newest, with their number. */
  readonly kind: string | undefined;
  readonly count: number;
}

export function createEventLog(now: () => Date = () => new Date()): EventLog {
  let entries: readonly Entry[] = [];
  let views: readonly EventView[] = [];

  const push = (text: string, tone: EventView['tone'], kind?: string, count = 1, at = now().toISOString()) => {
    const last = entries.at(-1);
    const isSame = kind !== undefined && last?.kind === kind;
    const kept = isSame ? entries.slice(0, -1) : entries.slice(-(MOST_EVENTS - 1));
    const total = isSame ? last.count + count : count;
    entries = [...kept, { view: { at, tone, text: wordsOf(kind, total, text) }, kind, count: total }];
    views = entries.map(({ view }) => view);
  };

  return {
    say: (text, tone = 'neutral', at) => push(text, tone, undefined, 1, at),
    add(event) {
      switch (event.kind) {
        case 'ready': {
          const { name, engine, device } = event.worker;
          push(
            `${name} is ${event.isBack ? 'back' : 'ready'}: ${engine} on ${device}`,
            event.isBack ? 'good' : 'neutral',
          );
          return;
        }
        case 'worker': {
          const { change, name, host, step, code, reason } = event;
          const where = step === undefined ? '' : ` at step ${step}`;
          const why = [code, reason].filter(Boolean).join(': ');
          push(`${name} (${host}) ${CHANGES[change]}${where}${why && `: ${why}`}`, TONES[change]);
          return;
        }
        case 'alone':
          push(
            `no worker is left after step ${event.step}: waiting up to ${Math.round(event.waitSeconds)} s for one`,
            'bad',
          );
          return;
        case 'refused':
          push(event.reason, 'bad', 'refused');
          return;
        case 'reissued':
          push(REASONS[event.reason], 'neutral', `reissued ${event.reason}`, event.numMicrobatches);
          return;
        case 'control':
          push(CONTROLLED[event.state], 'neutral', 'control');
          return;
        case 'saved':
          push(`checkpoint of step ${event.step}`, 'good', 'saved');
          return;
        case 'gathering':
          // The number of workers is in their table.
          return;
      }
    },
    events: () => views,
  };
}

const CHANGES = { joined: 'has joined', late: 'is late: others do its work', lost: 'is lost' } as const;
const TONES = { joined: 'good', late: 'bad', lost: 'bad' } as const;

const CONTROLLED = {
  running: 'the run goes on',
  pausing: 'the run is to pause after this step',
  paused: 'the run is paused',
  stopping: 'the run is to end after this epoch',
} as const;

const REASONS: Readonly<Record<ReissueReason, string>> = {
  lost: 'their worker was lost',
  late: 'their worker was late',
  not_finite: 'a result was not finite',
  ring_broken: 'the ring broke',
};

/** `text` is what is said of the newest alone. */
function wordsOf(kind: string | undefined, total: number, text: string): string {
  if (kind === 'refused') return `${countOf(total, 'connection')} refused: ${text}`;
  if (kind?.startsWith('reissued')) return `${countOf(total, 'microbatch', 'microbatches')} given out again: ${text}`;
  return text;
}
