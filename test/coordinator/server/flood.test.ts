import { describe, expect, test } from 'vitest';
import { connectToCoordinator } from '../../../worker/connection/client.ts';
import { joinRun } from '../../../worker/connection/join.ts';
import { runCluster, runConfig } from '../../helpers/cluster.ts';
import { SAMPLE_MESSAGES } from '../../helpers/messages.ts';
import { never } from '../../helpers/sockets.ts';
import { startSocketRun } from '../../helpers/socket-run.ts';

/** Some 4 MB. */
const NUM_MESSAGES = 30_000;

describe('a member that sends what nobody reads', () => {
  test('is held back at its own end, then lost by what it sent, and the others train on', async () => {
    const config = runConfig({ workers: 2, epochs: 1 });
    const run = await startSocketRun(config);
    const flooder = await connectToCoordinator(run.joinUrl, never());
    await joinRun(flooder, 'flooder', undefined);
    flooder.send(SAMPLE_MESSAGES.ready);
    await expect.poll(() => run.membership.members.length).toBe(1);
    for (let i = 0; i < NUM_MESSAGES; i++) flooder.send(SAMPLE_MESSAGES.applied);
    const { transport } = run.membership.members[0]!;

    // Another worker's joining takes longer than reading all of it would.
    run.letGo();
    const session = run.work(await connectToCoordinator(run.joinUrl, never()), 'honest');
    await expect.poll(() => run.membership.members.length).toBe(2);
    // What fits besides: a read from the system, of 64 KiB.
    expect(transport.bytesReceived).toBeLessThan(200_000);
    expect(flooder.bytesSent).toBeGreaterThan(3_000_000);

    expect(await run.train()).toEqual([
      expect.stringMatching(/^lost worker flooder \(w1\): its parameters at step 7 are not the coordinator's/),
    ]);
    expect(transport.bytesReceived).toBeLessThan(200_000);
    run.membership.dismiss('done');
    expect(await session).toBe('done');
    const quiet = await runCluster({ config });
    expect(run.replica.parametersSha256()).toBe(quiet.replica.parametersSha256());
  });
});
