/**
 * Virtual time for the program's own code: while a world handles an event, the clock, the timers and the random numbers that the
 * code finds are the world's. Between events, and for all other code, they are the real ones.
 */
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import timers from 'node:timers/promises';
import type { SimEvent, World } from './world.ts';

/** What the product takes for a `NodeJS.Timeout`. */
interface VirtualTimer {
  event: SimEvent;
  ref(): VirtualTimer;
  unref(): VirtualTimer;
}

let world: World | undefined;
let isInstalled = false;

/** Makes `of` the world whose time the code sees; `undefined`: none. */
export function useVirtualTime(of: World | undefined): void {
  world = of;
  if (!isInstalled) install();
  isInstalled = true;
}

/** The world whose event is being handled, with its process; undefined between events. */
export function currentProcess() {
  return world?.current && { world, process: world.current };
}

function install(): void {
  const real = {
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
    setInterval: globalThis.setInterval,
    clearInterval: globalThis.clearInterval,
    now: performance.now.bind(performance),
    random: Math.random,
    delay: timers.setTimeout,
    turn: timers.setImmediate,
    digest: crypto.webcrypto.subtle.digest.bind(crypto.webcrypto.subtle),
  };

  const setVirtual = (run: () => void, delayMs: number): VirtualTimer => {
    const found = currentProcess()!;
    const event = found.world.schedule(found.process, Math.max(1, delayMs), 'timer', run, true);
    const timer: VirtualTimer = {
      event,
      ref: () => timer,
      unref() {
        event.isUnref = true;
        return timer;
      },
    };
    return timer;
  };
  const clear = (timer: unknown, clearReal: (timer: NodeJS.Timeout) => void) => {
    if (isVirtual(timer)) timer.event.isCancelled = true;
    else clearReal(timer as NodeJS.Timeout);
  };

  type Run = (...parts: unknown[]) => void;
  const replaced = {
    setTimeout: (run: Run, delayMs = 0, ...parts: unknown[]) =>
      world?.current ? setVirtual(() => run(...parts), delayMs) : real.setTimeout(run, delayMs, ...parts),
    clearTimeout: (timer: unknown) => clear(timer, real.clearTimeout),
    setInterval(run: Run, delayMs = 0, ...parts: unknown[]) {
      if (!world?.current) return real.setInterval(run, delayMs, ...parts);
      const timer = setVirtual(function again() {
        const { isUnref } = timer.event;
        timer.event = setVirtual(again, delayMs).event;
        timer.event.isUnref = isUnref;
        run(...parts);
      }, delayMs);
      return timer;
    },
    clearInterval: (timer: unknown) => clear(timer, real.clearInterval),
  };
  Object.assign(globalThis, replaced);
  performance.now = () => (world?.current ? world.nowMs : real.now());
  Math.random = () => (world?.current ? world.random() : real.random());

  const pause = <T>(delayMs: number, value: T, signal?: AbortSignal) =>
    new Promise<T>((resolve, reject) => {
      const timer = setVirtual(() => {
        signal?.removeEventListener('abort', abort);
        resolve(value);
      }, delayMs);
      const abort = () => {
        timer.event.isCancelled = true;
        reject(signal!.reason as Error);
      };
      signal?.addEventListener('abort', abort, { once: true });
      if (signal?.aborted) abort();
    });
  Object.assign(timers, {
    setTimeout: <T>(delayMs?: number, value?: T, options?: { signal?: AbortSignal }) =>
      world?.current ? pause(delayMs ?? 0, value, options?.signal) : real.delay(delayMs, value, options),
    setImmediate: <T>(value?: T) => (world?.current ? pause(1, value) : real.turn(value)),
  });
  // By another thread in the product; here it takes a moment of virtual time.
  crypto.webcrypto.subtle.digest = async (name, data) => {
    if (!world?.current) return real.digest(name, data);
    const bytes = new Uint8Array(data as ArrayBuffer).slice();
    await pause(1, undefined);
    const hash = crypto.createHash('sha256').update(bytes).digest();
    return hash.buffer.slice(hash.byteOffset, hash.byteOffset + hash.length);
  };
  syncBuiltinESMExports();
}

const isVirtual = (timer: unknown): timer is VirtualTimer =>
  typeof timer === 'object' && timer !== null && 'event' in timer;
