/** How the page stands with its server and its run, in words. */
import type { RunState } from '../../run-view.ts';
import { formatTime } from '../format.ts';
import { hasEnded, stateText } from '../run-facts.ts';
import type { ConnectionState } from './connection.ts';

export interface Status {
  readonly tone: 'calm' | 'trouble';
  /** Changes only when the state changes: screen readers say it. */
  readonly text: string;
  /** Changes every second. */
  readonly countdown?: string;
}

export interface StatusFacts {
  readonly connection: ConnectionState;
  /** The state of the run; undefined until the server has sent a view. */
  readonly run: RunState | undefined;
  /** When the server was heard last, and now, in milliseconds since 1970. */
  readonly heardAt: number;
  readonly now: number;
}

/** Undefined where all is as one expects: its server is there. */
export function statusOf({ connection, run, heardAt, now }: StatusFacts): Status | undefined {
  const ended = run !== undefined && hasEnded(run);
  const known = run === undefined ? '' : ` What you see is what was known at ${formatTime(heardAt)}.`;
  switch (connection.kind) {
    case 'open':
      return undefined;
    case 'connecting':
      if (ended) return { tone: 'calm', text: goneText(run, heardAt) };
      return run === undefined
        ? { tone: 'calm', text: 'Connecting…' }
        : { tone: 'trouble', text: `Connecting again.${known}` };
    case 'needs-key':
      return { tone: 'trouble', text: 'This page needs its view key.' };
    case 'waiting': {
      if (ended) return { tone: 'calm', text: goneText(run, heardAt) };
      const why = connection.refusal ?? (run === undefined ? 'No connection to the coordinator' : 'Connection lost');
      const seconds = Math.max(1, Math.ceil((connection.retryAt - now) / 1000));
      return {
        tone: 'trouble',
        text: `${why}.${known}`.replace('..', '.'),
        countdown: `Trying again in ${seconds} s.`,
      };
    }
  }
}

const goneText = (run: RunState, heardAt: number): string =>
  `The run is over: ${stateText(run)}. The coordinator is gone; what you see is what was known at ${formatTime(heardAt)}.`;
