import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { expect, test, vi } from 'vitest';
import { createConnectionLimits } from '../../../coordinator/server/connection-limits.ts';

/** Two connections of an address, four in all. */
function create() {
  const limits = createConnectionLimits({ maxPending: 4, maxPendingPerAddress: 2 });
  let port = 1;
  const comes = (remoteAddress: string) => {
    const destroy = vi.fn<() => void>();
    const socket = Object.assign(new EventEmitter(), { remoteAddress, remotePort: port++, destroy });
    limits.enter(socket as unknown as Socket);
    return { emit: () => socket.emit('close'), isRefused: () => destroy.mock.calls.length > 0, socket };
  };
  return { limits, comes };
}

test('the addresses of connections that have gone are forgotten, and those of refused ones were never known', () => {
  const { comes } = create();
  for (let n = 0; n < 1000; n += 5) {
    const sockets = [0, 1, 2, 3, 4].map((i) => comes(`10.0.${(n + i) >> 8}.${(n + i) & 255}`));
    expect(sockets.map(({ isRefused }) => isRefused())).toEqual([false, false, false, false, true]);
    expect(sockets[4]!.socket.listenerCount('close')).toBe(0);
    for (const { emit } of sockets) emit();
  }
});

test('an address has two at a time, also when one of them ends or becomes a member', () => {
  const { limits, comes } = create();
  const [first, second] = [comes('10.0.0.1'), comes('10.0.0.1')];
  expect(comes('10.0.0.1').isRefused()).toBe(true);
  first.emit();
  expect(comes('10.0.0.1').isRefused()).toBe(false);
  expect(comes('10.0.0.1').isRefused()).toBe(true);
  limits.admit(second.socket);
  expect(comes('10.0.0.1').isRefused()).toBe(false);
  expect(comes('10.0.0.1').isRefused()).toBe(true);
});
