/**
 * Pauses: a run stands still between two steps for as long as its control asks for it.
 *
 * Meanwhile every member has proved its state and owes nothing, so that no deadline runs. Workers are told that the coordinator
 * lives, those that are lost are found, newcomers are let in, and the run's directory stays this process's.
 */
import { awaitEvent } from './await-event.ts';
import type { Fleet } from './members/fleet.ts';
import { createIdleWatch } from './members/idle-watch.ts';
import type { RunControl } from './run-control.ts';

/** What the training loop asks between steps. */
export interface Pauses {
  /** Both are read after every step, which may take less than a millisecond. */
  readonly isPauseDue: boolean;
  readonly isStopDue: boolean;
  /**
   * Stands still until the run is to go on or to stop, or the user interrupts it. Rejects with what ends the run: its directory
   * is lost, or its workers' source has failed. The fleet may be empty afterwards.
   */
  standStill(): Promise<void>;
}

export interface PausesOptions {
  readonly control: RunControl;
  readonly fleet: Pick<Fleet, 'members' | 'lose' | 'hold'>;
  /** The longest that a worker waits for a silent coordinator. */
  readonly patienceMs: number;
  /** Called now and then; throws what ends the run. */
  readonly checkIn: () => void;
  /** The user's: ends a pause in order. */
  readonly interruption: AbortSignal;
  /** Whatever else ends a pause, with the reason; aborted with `interruption`, too. */
  readonly signal: AbortSignal;
}

/** Of a run that nobody controls. */
export const NO_PAUSES: Pauses = { isPauseDue: false, isStopDue: false, standStill: () => Promise.resolve() };

/** The longest between two signs of life; and what part of a worker's patience it may be. */
const MOST_HOLD_MS = 5000;
const HOLDS_IN_PATIENCE = 4;

export function createPauses(options: PausesOptions): Pauses & { readonly pausedMs: number } {
  const { control, fleet, patienceMs, checkIn, interruption, signal } = options;
  const holdMs = Math.min(MOST_HOLD_MS, patienceMs / HOLDS_IN_PATIENCE);
  const { training } = control;
  let pausedMs = 0;

  const standStill = async (): Promise<void> => {
    let wake = () => {};
    let failure: { readonly error: unknown } | undefined;
    const watch = createIdleWatch(fleet, (error) => {
      failure ??= { error };
      wake();
    });
    const forget = control.onChange(() => wake());
    try {
      while (training.isPauseDue) {
        fleet.hold();
        watch.extend();
        checkIn();
        await awaitEvent((happened) => (wake = happened), holdMs, signal);
        if (failure) throw failure.error;
      }
    } finally {
      forget();
      watch.end();
    }
  };

  return {
    get isPauseDue() {
      return training.isPauseDue;
    },
    get isStopDue() {
      return training.isStopDue;
    },
    get pausedMs() {
      return pausedMs;
    },
    async standStill() {
      const sinceMs = performance.now();
      training.standsStill();
      try {
        await standStill();
      } catch (error) {
        if (!interruption.aborted || error !== interruption.reason) throw error;
      } finally {
        pausedMs += performance.now() - sinceMs;
      }
    },
  };
}
