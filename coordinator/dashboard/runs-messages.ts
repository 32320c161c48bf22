/**
 * What the pages over a folder of runs are told: the list of runs, and a comparison of some. As with a run's own page
 * (`page-messages.ts`) the server speaks first, with `hello`, and the page answers with `look`.
 */
import type { FromServer } from './page-messages.ts';
import type { RunState } from './run-view.ts';

/** One run in the list; null where its records say nothing. Accuracies are fractions, of what the run evaluates. */
export interface RunRow {
  /** The name of its folder. */
  readonly name: string;
  readonly model: string;
  readonly data: string;
  /** Optimizer, learning rate and schedule. */
  readonly recipe: string;
  readonly state: RunState;
  /** Done, of those planned. */
  readonly epochs: number;
  readonly plannedEpochs: number;
  readonly bestAccuracy: number | null;
  readonly lastAccuracy: number | null;
  /** Mean training loss of the last epoch, in nats. */
  readonly loss: number | null;
  /** Of steps, evaluation and writing; not of waiting for workers. */
  readonly seconds: number | null;
  readonly workers: number;
  /** Mean over the epochs. */
  readonly samplesPerSecond: number | null;
  /** In ISO 8601. */
  readonly startedAt: string | null;
}

/** The curves of one run among others, a point for each epoch. */
export interface RunCurves {
  readonly epochs: readonly number[];
  /** Since its first step: steps and evaluations up to the end of the epoch. */
  readonly seconds: readonly number[];
  readonly loss: readonly number[];
  /** null where an epoch was not evaluated. */
  readonly accuracy: readonly (number | null)[];
}

export interface ComparedRun extends RunRow {
  readonly curves: RunCurves;
}

export interface Comparison {
  readonly runs: readonly ComparedRun[];
  /** Values of the configurations that are not the same in all runs, as JSON, in the order of the runs; null: not set. */
  readonly differences: readonly { readonly field: string; readonly values: readonly (string | null)[] }[];
}

/** More lines could not be told apart. */
export const MOST_COMPARED = 12;

export type FromRunsServer =
  | Extract<FromServer, { kind: 'hello' | 'refused' }>
  /** All runs of the folder: first, and whenever one has changed. */
  | { readonly kind: 'runs'; readonly folder: string; readonly runs: readonly RunRow[] }
  | { readonly kind: 'comparison'; readonly comparison: Comparison }
  /** Nothing has changed: a page that hears nothing takes the connection for lost. */
  | { readonly kind: 'alive' };
