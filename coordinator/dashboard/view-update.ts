/** What has changed from one view of a run to a later one. */
import type { ListTail, RunView, ViewUpdate } from './run-view.ts';

/**
 * Undefined where nothing has. Parts, and items of lists, are compared as objects: a view keeps those that have not changed,
 * see `view-builder.ts`. So comparing costs no more than a walk along the lists.
 */
export function updateBetween(before: RunView, after: RunView): ViewUpdate | undefined {
  const epochs = tailOf(before.epochs, after.epochs);
  const series = tailOf(before.series, after.series);
  const events = tailOf(before.events, after.events);
  const update: ViewUpdate = {
    ...(after.head !== before.head && { head: after.head }),
    ...(after.now !== before.now && { now: after.now }),
    ...(after.workers !== before.workers && { workers: after.workers }),
    ...(epochs && { epochs }),
    ...(series && { series }),
    ...(events && { events }),
  };
  return Object.keys(update).length === 0 ? undefined : update;
}

function tailOf<T>(before: readonly T[], after: readonly T[]): ListTail<T> | undefined {
  if (before === after) return undefined;
  let from = 0;
  while (from < before.length && before[from] === after[from]) from++;
  if (from === before.length && from === after.length) return undefined;
  return { from, items: after.slice(from) };
}
