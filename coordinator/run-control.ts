/**
 * RunControl: what a person may ask of a run that is under way: to pause, to go on, to end after the epoch at hand.
 *
 *     running --pause--> pausing --the step at hand is over--> paused
 *        ^ ^                |                                    |
 *        | +-----resume-----+---------------resume---------------+
 *        |
 *        +--resume-- stopping <--stopAfterEpoch-- running, pausing or paused
 *
 * A run that is paused and is to stop goes on to the end of its epoch. While it is stopping it cannot be paused; `resume`
 * takes the stop back. Whoever has the buttons holds the control. The run asks `training` between its steps.
 */
import type { ControlState } from './reporting/reported-event.ts';

export interface RunControl {
  /** The three return whether the state has changed. After the end of the run nothing does. */
  pause(): boolean;
  resume(): boolean;
  /** Before the first epoch, and between two of them, the run ends at once. */
  stopAfterEpoch(): boolean;
  state(): ControlState;
  /** Calls `listener` with each state that the run comes to, until the function that is returned is called. */
  onChange(listener: (state: ControlState) => void): () => void;
  /** The run's side. */
  readonly training: ControlledTraining;
}

export interface ControlledTraining {
  /** Whether the run is to stand still after the step at hand, or does so. */
  readonly isPauseDue: boolean;
  /** Whether the run is to end after the epoch at hand. */
  readonly isStopDue: boolean;
  /** The run stands still. Changes nothing where it is to go on by now. */
  standsStill(): void;
  /** The run is over: nothing changes from here on, and nobody is told of anything. */
  end(): void;
}

/** Of one run. */
export function createRunControl(): RunControl {
  let state: ControlState = 'running';
  let isOver = false;
  const listeners = new Set<(state: ControlState) => void>();

  const change = (from: readonly ControlState[], to: ControlState): boolean => {
    if (isOver || !from.includes(state)) return false;
    state = to;
    for (const listener of [...listeners]) listener(to);
    return true;
  };

  return {
    pause: () => change(['running'], 'pausing'),
    resume: () => change(['pausing', 'paused', 'stopping'], 'running'),
    stopAfterEpoch: () => change(['running', 'pausing', 'paused'], 'stopping'),
    state: () => state,
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    training: {
      get isPauseDue() {
        return state === 'pausing' || state === 'paused';
      },
      get isStopDue() {
        return state === 'stopping';
      },
      standsStill: () => void change(['pausing'], 'paused'),
      end() {
        isOver = true;
        listeners.clear();
      },
    },
  };
}
