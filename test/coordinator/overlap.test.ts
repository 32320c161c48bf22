/** Gradients that are sent while they are computed: the same bits, also when a worker is lost in the middle of one. */
import { describe, expect, test } from 'vitest';
import { ProtocolError } from '../../protocol/errors.ts';
import { WIRE_FORMATS } from '../../protocol/wire/encoding.ts';
import type { Transport } from '../../protocol/wire/transport.ts';
import { runCluster, runConfig, WIDE_MODEL } from '../helpers/cluster.ts';
import type { ClusterOptions } from '../helpers/cluster.ts';
import { createTellingEngine } from '../helpers/telling-engine.ts';

const hashOf = async (options: ClusterOptions) => (await runCluster(options)).replica.parametersSha256();
/** A turn of the event loop: what was sent is read. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

const config = runConfig({ workers: 3, microbatches: 3, model: WIDE_MODEL, epochs: 2 });

describe('a gradient that is sent while it is computed', () => {
  // With 5 microbatches on 3 workers, one sends a microbatch early and another waits for a sum.
  test.each(WIRE_FORMATS.flatMap((wire) => [3, 5].map((microbatches) => [wire, microbatches] as const)))(
    'ends with the bits of one that is not: %s, %i microbatches',
    async (wire, microbatches) => {
      const changed = { ...config, wire, microbatches };
      let numComputing = 0;
      let numEarly = 0;
      const outcome = await runCluster({
        config: changed,
        numBuckets: 6,
        createEngine: async (options) => {
          const engine = await createTellingEngine(options, { after: turn });
          return {
            ...engine,
            async computeGradient(...call) {
              numComputing++;
              const sums = await engine.computeGradient(...call);
              numComputing--;
              return sums;
            },
          };
        },
        tamper: (transport) => ({
          ...transport,
          send(message) {
            if (message.kind === 'gradientBucket' && numComputing === 3) numEarly++;
            transport.send(message);
          },
        }),
      });
      expect(numEarly).toBeGreaterThan(0);
      const quiet = await runCluster({ config: changed, numBuckets: 6 });
      expect(outcome.replica.state).toEqual(quiet.replica.state);
      for (const { samples } of outcome.epochs) expect(samples).toBe(150);
    },
  );

  // Nine sections, six buckets: some sections complete none.
  test.each([1, 2, 3, 5, 8])('is left to the others by a worker that is lost after section %i', async (lastSection) => {
    const said: string[] = [];
    const transports: Transport[] = [];
    let numTold = 0;
    const outcome = await runCluster({
      config,
      numBuckets: 6,
      say: (line) => said.push(line),
      tamper: (transport, index) => (transports[index] = transport),
      createEngine: (options, index) =>
        createTellingEngine(options, {
          async after(section) {
            await turn();
            // In the second step.
            if (index !== 1 || ++numTold !== 8 + lastSection) return;
            expect(section).toBe(lastSection);
            transports[1]!.close();
            throw new ProtocolError('ERR_CLOSED', 'the cable was cut');
          },
        }),
    });
    expect(said).toEqual([expect.stringMatching(/^lost worker worker-1 \(w2\), step 2/)]);
    expect(outcome.replica.parametersSha256()).toBe(await hashOf({ config }));
    for (const { samples } of outcome.epochs) expect(samples).toBe(150);
  });

  test('by a worker that hangs in it is found by a deadline, and left to the others', async () => {
    const said: string[] = [];
    let goOn!: () => void;
    const isOver = new Promise<void>((resolve) => (goOn = resolve));
    let numTold = 0;
    const outcome = await runCluster({
      config: { ...config, stepTimeoutSeconds: 1 },
      numBuckets: 6,
      say: (line) => said.push(line),
      createEngine: (options, index) =>
        createTellingEngine(options, {
          // After more buckets than a worker sends ahead, in the second step; it comes back when it is too late.
          after: () => (index === 1 && ++numTold === 8 + 7 ? isOver : turn()),
        }),
      onProgress: ({ stepInEpoch }) => {
        if (stepInEpoch === 3) goOn();
      },
    });
    expect(said[0]).toMatch(/^lost worker worker-1 \(w2\), step 2: no gradientBucket or gradient/);
    expect(outcome.replica.parametersSha256()).toBe(await hashOf({ config }));
  });
});
