/** Steps that are under way when their thread or process ends: the addon must neither crash nor hang. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { addonPath } from '../../../../worker/engines/native/build-output.ts';
import { nativeAvailability } from '../../../../worker/engines/native/loader.ts';

const availability = nativeAvailability();

/** Plain CommonJS, for threads and processes that load no TypeScript: steps of a convolution and a dense layer, for ever. */
function endlessSteps(onStep: string): string {
  const addon = availability.available ? addonPath(availability.directory, availability.instructionSet) : '';
  return `
    const addon = require(${JSON.stringify(addon)});
    const plan = Int32Array.from([0,1,1,28,28,5,6,0,150,0,0,1,0,0,0,0,0,0,0, 2,0,3456,1,1,0,10,156,34716,0,0,1,0,0,0,0,0,0,0]);
    const [parameters, gradient, none] = [new Float32Array(34726), new Float32Array(34726), new Float32Array(0)];
    const handle = addon.create(plan, 784, 10, 256, 2, parameters, none, 0, 0);
    const [images, labels] = [new Uint8Array(256 * 784), new Uint8Array(256)];
    const step = () => addon.computeGradient(handle, images, labels, 256, gradient, none, new Uint8Array(0));
    (async () => { for (let steps = 1; ; steps++) { await step(); ${onStep} } })();
  `;
}

describe.skipIf(!availability.available)('a step under way', () => {
  it('does not outlive its worker thread', async () => {
    const code = `const { parentPort } = require('node:worker_threads'); ${endlessSteps('parentPort.postMessage(steps);')}`;
    for (let i = 0; i < 5; i++) {
      const worker = new Worker(code, { eval: true });
      await once(worker, 'message');
      await expect(worker.terminate()).resolves.toBe(1);
    }
  });

  it.each([
    ['process.exit', 'if (steps === 3) { step(); process.exit(7); }', 7],
    ['an uncaught error', 'if (steps === 3) { step(); throw new Error("stop"); }', 1],
  ])('does not crash a process that ends by %s', async (_, onStep, expectedCode) => {
    const exit = promisify(execFile)(process.execPath, ['-e', endlessSteps(onStep)]);
    await expect(exit).rejects.toMatchObject({ code: expectedCode, signal: null });
  });
});
