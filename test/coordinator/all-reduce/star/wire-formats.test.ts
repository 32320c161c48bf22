/** Every wire format over real sockets: a star's bits do not depend on whether payloads lie in shared memory. */
import { describe, expect, test } from 'vitest';
import { WIRE_FORMATS } from '../../../../protocol/vectors/encoding.ts';
import type { WireFormat } from '../../../../protocol/vectors/encoding.ts';
import type { SharedMemorySystem } from '../../../../protocol/wire/shared-memory.ts';
import { connectToCoordinator } from '../../../../worker/connection/client.ts';
import { sharedMemorySystem } from '../../../../worker/machine/shared-memory.ts';
import { runConfig, WIDE_MODEL } from '../../../helpers/cluster.ts';
import { never } from '../../../helpers/sockets.ts';
import { startSocketRun } from '../../../helpers/socket-run.ts';

const system = sharedMemorySystem();

/** Trains with two workers; returns the parameters' hash, and whether the workers shared memory. */
async function run(wire: WireFormat, how: { sharedMemory?: SharedMemorySystem | undefined; numBuckets?: number }) {
  const config = runConfig({ model: WIDE_MODEL, workers: 2, microbatches: 2, epochs: 1, wire, stepTimeoutSeconds: 60 });
  const { membership, replica, joinUrl, letGo, ...cluster } = await startSocketRun(config, {}, {}, how);
  letGo();
  for (const name of ['a', 'b']) void cluster.work(await connectToCoordinator(joinUrl, never()), name);
  expect(await cluster.train()).toEqual([]);
  const sharesMemory = membership.members.map(({ transport }) => transport.sharesMemory);
  return { sha256: replica.parametersSha256(), sharesMemory };
}

describe.each(WIRE_FORMATS)('%s ends with the same parameters', (wire) => {
  test('in one piece and in six buckets, which have scales and residues of their own, but the same blocks', async () => {
    const whole = await run(wire, { numBuckets: 1 });
    expect(whole.sharesMemory).toEqual([false, false]);
    expect(await run(wire, { numBuckets: 6 })).toEqual(whole);
  });

  test.skipIf(!system)('through shared memory and through sockets', async () => {
    const shared = await run(wire, { sharedMemory: system });
    expect(shared.sharesMemory).toEqual([true, true]);
    expect(shared.sha256).toBe((await run(wire, {})).sha256);
  });
});
