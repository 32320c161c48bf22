/** Hostile bytes at the decoder: a message or a coded error, in little time and little memory, whatever arrives. */
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ProtocolError } from '../../protocol/errors.ts';
import { createAssembler } from '../../protocol/wire/assembler.ts';
import { encodeFrame } from '../../protocol/wire/frame.ts';
import type { Message } from '../../protocol/wire/messages.ts';
import { SAMPLE_MESSAGES } from '../helpers/messages.ts';
import { frameInputs, partsOf, SHARED_BYTES } from './frames.ts';
import type { Bytes } from './frames.ts';
import { createTally, memoryNow, SCALE, SEED, settledMemory } from './settings.ts';

const NUM_INPUTS = 25_000 * SCALE;
/** The longest headers take a few ms; the rest is for a busy machine. What is wrong here takes seconds. */
const MOST_MS = 100;
/** Of the whole process: the garbage of some thousand inputs lies there at any time. */
const MOST_MEBIBYTES = 256;

/** The last message that the parts completed. */
function assemble(parts: readonly Bytes[], memories: readonly ArrayBuffer[] = []): Message | undefined {
  const assembler = createAssembler();
  assembler.shareMemory(memories);
  let message: Message | undefined;
  for (const part of parts) message = assembler.accept(part) ?? message;
  return message;
}

test(`of ${NUM_INPUTS} hostile frames each gives a message or a coded error, soon, and sets little aside`, async () => {
  const tally = createTally();
  const byInput = createTally();
  const memories = [new ArrayBuffer(SHARED_BYTES), new ArrayBuffer(SHARED_BYTES)];
  const before = await settledMemory();
  const peak = { ...before };
  let slowestMs = 0;
  let slowest = '';
  let count = 0;

  fc.assert(
    fc.property(frameInputs, ({ what, parts, message }) => {
      const judge = (): { outcome: string; decoded?: Message | undefined } => {
        try {
          const decoded = assemble(parts, memories);
          return { outcome: decoded ? 'a message' : 'more to come', decoded };
        } catch (error) {
          if (error instanceof ProtocolError) return { outcome: error.code };
          throw error;
        }
      };
      const startMs = performance.now();
      const { outcome, decoded } = judge();
      let tookMs = performance.now() - startMs;
      // Slow by itself, or was the machine busy with something else?
      for (let again = 0; again < 3 && tookMs > 2; again++) {
        const againMs = performance.now();
        judge();
        tookMs = Math.min(tookMs, performance.now() - againMs);
      }
      if (tookMs > slowestMs) [slowestMs, slowest] = [tookMs, what];
      expect(tookMs).toBeLessThan(MOST_MS);

      tally.add(outcome);
      byInput.add(`${what}: ${outcome}`);
      if (message) {
        if (!isDeepStrictEqual(decoded, message)) expect(decoded).toEqual(message);
      } else if (decoded) {
        // What was let in is a message like any other: it survives being sent on.
        const again = assemble(partsOf(decoded));
        if (!isDeepStrictEqual(again, decoded)) expect(again).toEqual(decoded);
      }
      if (++count % 500 > 0) return;
      const now = memoryNow();
      for (const key of ['rss', 'heap', 'external'] as const) peak[key] = Math.max(peak[key], now[key]);
      // What came before leaves no trace in the decoder.
      expect(assemble(partsOf(SAMPLE_MESSAGES.welcome))).toEqual(SAMPLE_MESSAGES.welcome);
    }),
    { numRuns: NUM_INPUTS, seed: SEED },
  );

  const after = await settledMemory();
  tally.print(
    'frames',
    `  slowest ${slowestMs.toFixed(1)} ms (${slowest})`,
    `  MiB before ${JSON.stringify(before)}, peak ${JSON.stringify(peak)}, after ${JSON.stringify(after)}`,
  );
  byInput.print('frames by input');
  expect(peak.external - before.external).toBeLessThan(MOST_MEBIBYTES);
  expect(peak.heap - before.heap).toBeLessThan(MOST_MEBIBYTES);
  expect(after.heap - before.heap).toBeLessThan(MOST_MEBIBYTES / 8);
  expect(after.external - before.external).toBeLessThan(MOST_MEBIBYTES / 8);
}, 300_000);

test('a head that claims a gibibyte is given no more memory than it has sent, twice over and a mebibyte', async () => {
  const claimed = { ...SAMPLE_MESSAGES.datasetChunk };
  const head = encodeFrame(claimed).head;
  new DataView(head.buffer).setUint32(12, 2 ** 30, true);
  const piece = new Uint8Array(16 * 1024);
  const before = await settledMemory();
  const assemblers = Array.from({ length: 100 }, () => createAssembler());
  for (const assembler of assemblers) {
    expect(assembler.accept(head)).toBeUndefined();
    for (let i = 0; i < 10; i++) expect(assembler.accept(piece)).toBeUndefined();
  }
  const held = (await settledMemory()).external - before.external;
  expect(assemblers).toHaveLength(100);
  expect(held).toBeLessThan(101);
});
