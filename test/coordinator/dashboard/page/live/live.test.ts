import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { retryDelayMs } from '../../../../../coordinator/dashboard/page/live/connection.ts';
import { controlProof, viewProof } from '../../../../../coordinator/dashboard/page/live/proofs.ts';
import { statusOf } from '../../../../../coordinator/dashboard/page/live/status-text.ts';
import { createStore } from '../../../../../coordinator/dashboard/page/live/store.ts';
import type { FromPage, FromServer } from '../../../../../coordinator/dashboard/page-messages.ts';
import { fixtureConfusion, runningView } from '../../../../helpers/fixture-view.ts';

const NONCE = 'cd'.repeat(32);
const HELLO: FromServer = { kind: 'hello', nonce: NONCE, needsKey: false, canControl: true };
const hmac = (secret: string, text: string): string => createHmac('sha256', secret).update(text).digest('hex');

/** A store with a connection, and what it has sent. */
function openStore(view = runningView()) {
  const sent: FromPage[] = [];
  const frames: (() => void)[] = [];
  const store = createStore({
    send: (message) => sent.push(message),
    nextFrame: (callback) => frames.push(callback),
  });
  const open = () => {
    store.take(HELLO);
    store.take({ kind: 'view', view });
    store.connection.value = { kind: 'open' };
  };
  open();
  return { store, sent, frames, open };
}

describe('what a live page knows', () => {
  test('updates are gathered and applied in order, once a frame', () => {
    const { store, frames } = openStore();
    const before = store.view.value!;
    const event = { at: '2026-11-30T16:04:00Z', tone: 'bad', text: 'desk is lost' } as const;
    store.take({ kind: 'update', update: { events: { from: before.events.length, items: [event] } } });
    store.take({ kind: 'update', update: { workers: [] } });
    expect(store.view.value).toBe(before);
    expect(frames).toHaveLength(1);
    frames[0]!();
    expect(store.view.value!.events).toEqual([...before.events, event]);
    expect(store.view.value!.workers).toEqual([]);
    expect(store.view.value!.series).toBe(before.series);
  });

  test('a whole view replaces all, and updates from before it', () => {
    const { store, frames } = openStore();
    store.take({ kind: 'update', update: { workers: [] } });
    const view = runningView();
    store.take({ kind: 'view', view });
    frames[0]!();
    expect(store.view.value!.workers).toEqual(view.workers);
  });

  test('the newest matrix is asked for, once, and the next when it is there', () => {
    const { store, sent, frames } = openStore();
    const matrix = fixtureConfusion(6);
    store.take({ kind: 'confusion', epoch: 6, confusion: matrix });
    expect(store.confusion.matrix.value).toBe(matrix);
    const now = { ...store.view.value!.now, confusions: [1, 2, 3, 4, 5, 6, 7] };
    store.take({ kind: 'update', update: { now } });
    frames[0]!();
    expect(sent).toEqual([
      { kind: 'confusion', epoch: 6 },
      { kind: 'confusion', epoch: 7 },
    ]);
    // Until it has come, the one before stays.
    expect(store.confusion.matrix.value).toBe(matrix);
  });

  test('a chosen epoch stays, and the images of a cell are asked for, at most once', () => {
    const { store, sent } = openStore();
    store.confusion.chooseEpoch(2);
    const matrix = fixtureConfusion(2);
    store.take({ kind: 'confusion', epoch: 2, confusion: matrix });
    store.confusion.cell.value = { label: 6, predicted: 0 };
    store.confusion.cell.value = { label: 6, predicted: 0 };
    const { worst } = matrix.cells.find(({ label, predicted }) => label === 6 && predicted === 0)!;
    const asked = sent.filter(({ kind }) => kind === 'images');
    expect(asked).toEqual([{ kind: 'images', indices: worst }]);
    expect(worst.length).toBe(60);
  });

  test('after a new connection, what had not been answered is asked for again', () => {
    const { store, sent, open } = openStore();
    store.connection.value = { kind: 'waiting', retryAt: 0 };
    open();
    expect(sent).toEqual([
      { kind: 'confusion', epoch: 6 },
      { kind: 'confusion', epoch: 6 },
    ]);
  });
});

describe('controls', () => {
  test('are proven with the token, and counted on each connection', () => {
    const { store, sent, open } = openStore();
    const { controls } = store;
    controls.control('pause');
    expect(sent.filter(({ kind }) => kind === 'control')).toEqual([]);
    controls.setToken('secret');
    controls.control('pause');
    controls.takeOutcome({ kind: 'controlled', control: 'pause', ok: true, text: 'paused' });
    controls.control('resume');
    open();
    controls.control('stop');
    const count = (control: 'pause' | 'resume' | 'stop', n: number) => ({
      kind: 'control',
      control,
      count: n,
      proof: hmac('secret', `${control} ${NONCE} ${n}`),
    });
    expect(sent.filter(({ kind }) => kind === 'control')).toEqual([
      count('pause', 1),
      count('resume', 2),
      count('stop', 1),
    ]);
  });

  test('a token is asked for again after a refusal, unless it has been right', () => {
    const { store } = openStore();
    const { controls } = store;
    const answer = (ok: boolean) => controls.takeOutcome({ kind: 'controlled', control: 'pause', ok, text: 'so' });
    controls.setToken('wrong');
    answer(false);
    expect(controls.needsToken()).toBe(true);
    controls.setToken('right');
    answer(true);
    answer(false);
    expect(controls.needsToken()).toBe(false);
  });

  test('proofs are HMAC-SHA256 of what the messages say', () => {
    expect(viewProof('key', NONCE)).toBe(hmac('key', `view ${NONCE}`));
    expect(controlProof('ключ', 'stop', NONCE, 3)).toBe(hmac('ключ', `stop ${NONCE} 3`));
  });
});

describe('a lost connection', () => {
  test('is tried again after 0.5 s to 10 s, and after the end of the run twice a minute', () => {
    const delays = Array.from({ length: 8 }, (_, i) => retryDelayMs(i + 1, false, 1));
    expect(delays).toEqual([500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]);
    expect(retryDelayMs(1, false, 0)).toBe(500);
    expect(retryDelayMs(4, false, 0)).toBe(3000);
    expect(retryDelayMs(1, true, 0.5)).toBe(30_000);
  });

  test('is told with the time that the figures are from, and calmly once the run is over', () => {
    const at = Date.parse('2026-11-30T16:04:00');
    const facts = { heardAt: at, now: at + 2000 };
    const waiting = { kind: 'waiting', retryAt: at + 4500 } as const;
    expect(statusOf({ ...facts, connection: waiting, run: 'running' })).toEqual({
      tone: 'trouble',
      text: 'Connection lost. What you see is what was known at 16:04:00.',
      countdown: 'Trying again in 3 s.',
    });
    expect(statusOf({ ...facts, connection: waiting, run: 'completed' })).toEqual({
      tone: 'calm',
      text: 'The run is over: completed. The coordinator is gone; what you see is what was known at 16:04:00.',
    });
    expect(
      statusOf({ ...facts, connection: { ...waiting, refusal: 'Too many pages are open.' }, run: undefined })!.text,
    ).toBe('Too many pages are open.');
    expect(statusOf({ ...facts, connection: { kind: 'open' }, run: 'running' })).toBeUndefined();
  });
});
