/**
 * World: virtual time for a whole cluster in one process. Events happen in the order of their virtual times; between two
 * of them all promises that can settle do. Nothing waits for a real clock, so a schedule of minutes takes milliseconds, and
 * the same events give the same history.
 *
 * Every event belongs to a process: a coordinator or a worker. What a process starts while it handles an event (timers,
 * messages, writes to a disk) belongs to it too, and is gone when it dies.
 */

import { createRandom } from './random.ts';

/** One simulated process. */
export interface SimProcess {
  readonly name: string;
  isDead: boolean;
  /** While it is stopped nothing happens in it; what should have happens when it goes on. */
  stoppedUntilMs: number;
  /** Events that it has handled. */
  numEvents: number;
  /** Called before it handles an event. */
  beforeEvent?: (numEvents: number) => void;
}

export interface SimEvent {
  readonly owner: SimProcess;
  readonly label: string;
  readonly run: () => void;
  timeMs: number;
  order: number;
  isCancelled: boolean;
  /** A timer that keeps no process alive. */
  isUnref: boolean;
  readonly isTimer: boolean;
}

export interface World {
  /** Virtual milliseconds since the beginning. */
  nowMs: number;
  /** Whose event is being handled; undefined between events. */
  current: SimProcess | undefined;
  readonly numEvents: number;
  /** What the code gets from `Math.random`. */
  readonly random: () => number;
  /** Told of every event, in order; see `describe`. */
  onEvent?: ((event: SimEvent) => void) | undefined;
  createProcess(name: string): SimProcess;
  /** Has `run` happen in `owner` after `delayMs`. */
  schedule(owner: SimProcess, delayMs: number, label: string, run: () => void, isTimer?: boolean): SimEvent;
  /** Ends a process at once: it handles no event any more. */
  kill(process: SimProcess): void;
  /** Events go on until `isDone`, none is left, or `limitMs` of virtual time are over. */
  run(isDone: () => boolean, limitMs: number): Promise<'done' | 'idle' | 'limit'>;
  /** Timers that are still set, of processes that live. */
  pendingTimers(): SimEvent[];
}

/** Taken before `install` replaces it. */
const nextTurn = globalThis.setImmediate;

export function createWorld(seed: number): World {
  const heap: SimEvent[] = [];
  let numScheduled = 0;
  let numEvents = 0;

  const world: World = {
    nowMs: 0,
    current: undefined,
    get numEvents() {
      return numEvents;
    },
    random: createRandom(seed, 'world').float,
    createProcess: (name) => ({ name, isDead: false, stoppedUntilMs: 0, numEvents: 0 }),
    schedule(owner, delayMs, label, run, isTimer = false) {
      const timeMs = world.nowMs + Math.max(0, delayMs);
      const order = numScheduled++;
      const event = { owner, label, run, timeMs, order, isCancelled: false, isUnref: false, isTimer };
      push(heap, event);
      return event;
    },
    kill(process) {
      process.isDead = true;
    },
    async run(isDone, limitMs) {
      const isOver = () => world.nowMs > limitMs;
      for (;;) {
        if (isDone()) return 'done';
        const event = pop(heap);
        if (!event) return 'idle';
        const { owner } = event;
        if (event.isCancelled || owner.isDead) continue;
        if (owner.stoppedUntilMs > event.timeMs) {
          event.timeMs = owner.stoppedUntilMs;
          event.order = numScheduled++;
          push(heap, event);
          continue;
        }
        world.nowMs = event.timeMs;
        if (isOver()) return 'limit';
        owner.beforeEvent?.(owner.numEvents);
        // That may have been its end, or have stopped it.
        if (!isRunning(owner, event.timeMs)) {
          push(heap, event);
          continue;
        }
        numEvents++;
        owner.numEvents++;
        world.onEvent?.(event);
        world.current = owner;
        event.run();
        await new Promise((resolve) => nextTurn(resolve));
        world.current = undefined;
      }
    },
    pendingTimers: () => heap.filter((event) => event.isTimer && !event.isCancelled && !event.owner.isDead),
  };
  return world;
}

const isRunning = ({ isDead, stoppedUntilMs }: SimProcess, nowMs: number): boolean =>
  !isDead && stoppedUntilMs <= nowMs;

/** A line of a history. */
export const describeEvent = ({ timeMs, owner, label }: SimEvent): string =>
  `${timeMs.toFixed(3).padStart(12)} ${owner.name.padEnd(14)} ${label}`;

const isBefore = (a: SimEvent, b: SimEvent): boolean =>
  a.timeMs < b.timeMs || (a.timeMs === b.timeMs && a.order < b.order);

/** A binary heap, the earliest event on top. */
function push(heap: SimEvent[], event: SimEvent): void {
  let at = heap.push(event) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(event, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = event;
}

function pop(heap: SimEvent[]): SimEvent | undefined {
  const top = heap[0];
  const last = heap.pop();
  if (!top || !last || top === last) return top;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
    if (!isBefore(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return top;
}
