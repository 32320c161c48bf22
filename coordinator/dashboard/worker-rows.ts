/** WorkerRows: what a view tells of each worker, from the events and steps of the run. */
import type { ReadyWorker, WorkerEvent } from '../reporting/reported-event.ts';
import type { WorkerRecord } from '../reporting/reporter.ts';
import type { WorkerSums } from '../reporting/step-sums.ts';
import type { WorkerView } from './run-view.ts';

/** More workers than this have no rows: a page with all that ever came to a long run would grow without limit. */
const MOST_ROWS = 256;

export interface WorkerRows {
  ready(worker: ReadyWorker, host: string, isBack: boolean): void;
  changed(event: WorkerEvent): void;
  /** What `steps` steps have added up to, by worker. */
  worked(sums: ReadonlyMap<string, WorkerSums>, steps: number): void;
  /** Of an epoch that is known by its record alone. */
  recorded(workers: readonly WorkerRecord[], steps: number): void;
  /** The same object until something has changed. */
  rows(): readonly WorkerView[];
}

export function createWorkerRows(): WorkerRows {
  const known = new Map<string, WorkerView>();
  let rows: readonly WorkerView[] | undefined;

  const set = (id: string, change: Partial<WorkerView>) => {
    const before = known.get(id);
    if (!before && known.size >= MOST_ROWS && !makeRoom(known)) return;
    known.set(id, { ...(before ?? { ...UNKNOWN, id, name: id }), ...change });
    rows = undefined;
  };

  return {
    ready({ id, name, engine, device, threads }, host, isBack) {
      const numReconnects = (known.get(id)?.numReconnects ?? 0) + (isBack ? 1 : 0);
      forgetReplaced(known, { id, name });
      set(id, { name, engine, device, threads, host, numReconnects, state: 'waiting' });
    },
    changed({ id, name, host, change }) {
      set(id, { name, host, state: change === 'joined' ? 'working' : change });
    },
    worked(sums, steps) {
      const all = [...sums.values()].reduce((sum, { samples }) => sum + samples, 0);
      for (const [id, { samples, computeMs, delayMs }] of sums) {
        const numSamples = (known.get(id)?.numSamples ?? 0) + samples;
        const means = { computeMs: computeMs / steps, delayMs: delayMs / steps };
        const isWaiting = (known.get(id)?.state ?? 'waiting') === 'waiting';
        set(id, { ...means, share: samples / all, numSamples, ...(isWaiting && { state: 'working' }) });
      }
    },
    recorded(workers, steps) {
      const all = workers.reduce((sum, { workerSamples }) => sum + workerSamples, 0);
      for (const { id, name, engine, device, threads, workerSamples, workerComputeSeconds } of workers) {
        const numSamples = (known.get(id)?.numSamples ?? 0) + workerSamples;
        const computeMs = (1000 * workerComputeSeconds) / Math.max(1, steps);
        const share = all > 0 ? workerSamples / all : 0;
        set(id, { name, engine, device, threads, numSamples, computeMs, share, state: 'working' });
      }
    },
    rows: () => (rows ??= [...known.values()]),
  };
}

const UNKNOWN = {
  engine: '',
  device: '',
  state: 'waiting',
  share: 0,
  computeMs: 0,
  delayMs: 0,
  numSamples: 0,
  numReconnects: 0,
} as const satisfies Omit<WorkerView, 'id' | 'name'>;

/** A process that was started again has another id: its row takes the place of the lost one's of the same name. */
function forgetReplaced(known: Map<string, WorkerView>, { id, name }: Pick<WorkerView, 'id' | 'name'>): void {
  for (const [other, row] of known) if (other !== id && row.name === name && row.state === 'lost') known.delete(other);
}

/** Forgets the worker that was lost first; returns whether there was one. */
function makeRoom(known: Map<string, WorkerView>): boolean {
  for (const [id, { state }] of known) if (state === 'lost') return known.delete(id);
  return false;
}
