/** A run whose workers come from anywhere: they join it by its URL. */
import { Command } from 'commander';
import { addCoordinatorFlags } from '../flags/commands.ts';
import type { CoordinatorFlags } from '../flags/commands.ts';
import type { Listening, RunEvent } from './events.ts';
import type { CoordinatorOptions } from './options.ts';
import { coordinate } from './coordinate.ts';
import { settleRun } from './run.ts';
import type { TrainedRun } from './trained-run.ts';

/** A coordinator at work. */
export interface Coordinator {
  /** Where workers join; undefined where a run that is resumed was over before it needed any. */
  readonly listening: Listening | undefined;
  /** For a worker: "ws://HOST:PORT/#TOKEN". Empty where `listening` is undefined, and the port is 0. */
  readonly joinUrl: string;
  readonly port: number;
  /** How the run ended; rejects as `train` does. */
  readonly finished: Promise<TrainedRun>;
  /** Ends the run after the step at hand, as its signal does, and waits for its end. */
  stop(): Promise<TrainedRun>;
}

/**
 * Starts a run, and resolves as soon as workers can join it.
 *
 * Rejects with `ConfigError` for options that are wrong, for data that is not sound, and for an address that cannot be
 * listened on; with the signal's reason where it is aborted before.
 */
export async function startCoordinator(options: CoordinatorOptions = {}): Promise<Coordinator> {
  options.signal?.throwIfAborted();
  const stopping = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stopping.signal]) : stopping.signal;
  return new Promise((resolve, reject) => {
    const coordinatorAt = (listening: Listening | undefined): Coordinator => ({
      listening,
      joinUrl: listening?.joinUrl ?? '',
      port: listening?.port ?? 0,
      finished,
      stop() {
        stopping.abort(new Error('the coordinator was stopped'));
        return finished;
      },
    });
    const onEvent = (event: RunEvent) => {
      options.onEvent?.(event);
      if (event.kind === 'listening') resolve(coordinatorAt(event));
    };
    // Events come when this has returned: the first after the options were checked, and the data was looked for.
    const finished = run({ ...options, signal, onEvent });
    // A failure before it listens rejects the call; a later one is the caller's to look at.
    finished.then(() => resolve(coordinatorAt(undefined)), reject);
  });
}

async function run({ token, dashboard = false, farewell, ...others }: CoordinatorOptions): Promise<TrainedRun> {
  const options = { ...others, dashboard };
  const settled = settleRun<CoordinatorFlags>(addCoordinatorFlags(new Command('coordinator')), options);
  return coordinate({ run: settled, token, hasDashboard: dashboard, farewell });
}
