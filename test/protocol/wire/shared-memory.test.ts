import { describe, expect, onTestFinished, test } from 'vitest';
import { createMemoryPool } from '../../../coordinator/members/shared-memory.ts';
import { createAssembler } from '../../../protocol/wire/assembler.ts';
import { encodeFrame } from '../../../protocol/wire/frame.ts';
import { allocateFrom, memoryBytesFor } from '../../../protocol/wire/shared-memory.ts';
import type { SharedMemoryOffer } from '../../../protocol/wire/shared-memory.ts';
import { receiveKind } from '../../../protocol/wire/transport.ts';
import { openOffer } from '../../../worker/connection/join-memory.ts';
import { sharedMemorySystem } from '../../../worker/machine/shared-memory.ts';
import { SAMPLE_MESSAGES } from '../../helpers/messages.ts';
import { connectedPair } from '../../helpers/sockets.ts';

const SOON_MS = 20_000;

describe('a payload in shared memory', () => {
  const memories = [new ArrayBuffer(256), new ArrayBuffer(4096)] as const;
  const message = () => {
    const payload = allocateFrom(memories[1])(1000);
    payload.forEach((_, i) => (payload[i] = i % 251));
    return { ...SAMPLE_MESSAGES.gradient, payload };
  };

  test('stays there: a head alone names the place, and the other end reads it in its own mapping', () => {
    const sent = message();
    const { head, payloadFollows } = encodeFrame(sent, memories);
    expect(payloadFollows).toBe(false);
    const mappedElsewhere = memories.map((memory) => memory.slice(0));
    const assembler = createAssembler();
    assembler.shareMemory(mappedElsewhere);
    const received = assembler.accept(head) as typeof sent;
    expect(received).toEqual(sent);
    expect(received.payload.buffer).toBe(mappedElsewhere[1]);
    assembler.recycle(received.payload);
  });

  test.each<[string, number, number]>([
    ['in a memory beyond those that are shared', 7, 3],
    ['beyond the end of its memory', 18, 1],
    ['that begins so late that it ends after its memory', 17, 2],
  ])('%s is refused', (_what, offset, value) => {
    const { head } = encodeFrame(message(), memories);
    head[offset] = value;
    const assembler = createAssembler();
    assembler.shareMemory(memories);
    expect(() => assembler.accept(head)).toThrow(/of memory \d, (which has 4096|of 2 that are shared)/);
  });

  test('is sent when it lies elsewhere, or where no place can be named', () => {
    const odd = { ...SAMPLE_MESSAGES.gradient, payload: new Uint8Array(memories[1], 12, 8) };
    for (const sent of [SAMPLE_MESSAGES.gradient, odd]) expect(encodeFrame(sent, memories).payloadFollows).toBe(true);
  });
});

test('an allocator hands out its memory, a cache line apart, and fresh memory when that is used up', () => {
  const memory = new ArrayBuffer(memoryBytesFor(100, 2));
  const allocate = allocateFrom(memory);
  const places = [allocate(100), allocate(100), allocate(100)].map(({ buffer, byteOffset }) => {
    return buffer === memory ? byteOffset : 'own';
  });
  expect(places).toEqual([64, 192, 'own']);
});

test('where the system refuses, nothing is offered, and it is said once', () => {
  const said: string[] = [];
  const system = {
    create() {
      throw new Error('no memory');
    },
    open: () => new ArrayBuffer(1),
  };
  const log = (line: string) => void said.push(line);
  const pool = createMemoryPool({ system, payloadBytes: 100, numGradients: 2, log });
  expect(pool.offer()).toBeUndefined();
  expect(pool.offer()).toBeUndefined();
  expect(pool.allocateAverage(100).byteLength).toBe(100);
  expect(said).toEqual(['payloads travel through sockets, for memory cannot be shared: no memory']);
});

const system = sharedMemorySystem();

describe.skipIf(!system)('the memory of this machine', () => {
  const pool = () => createMemoryPool({ system, payloadBytes: 4000, numGradients: 2, log: expect.unreachable });

  test('is the same for whoever opens it, and begins as zeros', () => {
    const { offer, memories } = pool().offer()!;
    const opened = openOffer(offer, system);
    if ('reason' in opened) throw new Error(opened.reason);
    const [averages, gradients] = [new Uint8Array(opened.averages), new Uint8Array(opened.gradients)];
    expect(gradients.subarray(64).every((byte) => byte === 0)).toBe(true);
    new Uint8Array(memories[0]!)[100] = 7;
    gradients[200] = 8;
    expect(averages[100]).toBe(7);
    expect(new Uint8Array(memories[1]!)[200]).toBe(8);
  });

  test.each<[string, (offer: SharedMemoryOffer) => SharedMemoryOffer, RegExp]>([
    ['another nonce', (offer) => ({ ...offer, nonce: 'ab'.repeat(16) }), /is not the coordinator's/],
    [
      'another length',
      (offer) => ({ ...offer, averages: { ...offer.averages, numBytes: 9 } }),
      /is not the memory of 9 bytes that was named/,
    ],
    [
      'a file that is no such memory',
      (offer) => ({ ...offer, averages: { ...offer.averages, name: `${process.pid}/0` } }),
      /is not the memory of|open failed/,
    ],
    ['a process that is none', (offer) => ({ ...offer, averages: { ...offer.averages, name: '999999999/0' } }), /open/],
    ['a path', (offer) => ({ ...offer, averages: { ...offer.averages, name: '../../etc/1' } }), /PROCESS.DESCRIPTOR/],
  ])('is not taken with %s', (_what, change, reason) => {
    const { offer } = pool().offer()!;
    const opened = openOffer(change(offer), system);
    expect('reason' in opened && opened.reason).toMatch(reason);
  });

  test('carries payloads between the ends of a socket, and counts them', async () => {
    const { ends, free } = await connectedPair();
    onTestFinished(async () => {
      for (const end of ends) end.close();
      await free();
    });
    const [coordinator, worker] = ends;
    const { offer, memories } = pool().offer()!;
    const opened = openOffer(offer, system);
    if ('reason' in opened) throw new Error(opened.reason);
    coordinator.shareMemory(memories);
    worker.shareMemory([opened.averages, opened.gradients]);
    const payload = allocateFrom(opened.gradients)(4000).fill(5);
    worker.send({ ...SAMPLE_MESSAGES.gradient, payload });
    const received = await receiveKind(coordinator, SOON_MS, 'gradient');
    expect(received.payload).toEqual(payload);
    expect(received.payload.buffer).toBe(memories[1]);
    expect(coordinator.bytesReceived).toBe(worker.bytesSent);
    expect(worker.bytesSent).toBeGreaterThan(4000);
    // Nothing of it was sent.
    expect([worker.sharedBytesSent, coordinator.sharedBytesReceived]).toEqual([4000, 4000]);
    expect([worker.sharedBytesReceived, coordinator.sharedBytesSent]).toEqual([0, 0]);
    expect([coordinator.sharesMemory, worker.sharesMemory]).toEqual([true, true]);
  });
});
