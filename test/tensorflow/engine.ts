/** The tfjs engine on real TensorFlow: how it is loaded, that it keeps no tensor, its thread, and a run. */
import * as tf from '@tensorflow/tfjs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { MODELS } from '../../protocol/state/models.ts';
import { startBackend } from '../../worker/engines/tfjs/loader.ts';
import { createTfjsEngine } from '../../worker/engines/tfjs/tfjs-engine.ts';
import { createThreadedEngine } from '../../worker/engines/thread/threaded-engine.ts';
import { readResult, runCli, SMALL } from '../helpers/cli.ts';
import { bitsOf, resultsOf } from '../helpers/engine-results.ts';
import { temporaryFolder } from '../helpers/folder.ts';
import { gradientBuffers, trainedState } from '../helpers/models.ts';
import { syntheticSamples } from '../helpers/samples.ts';

const STEPS = 200;
const optionsOf = (model: keyof typeof MODELS) => {
  return { ...trainedState(MODELS[model], 1), maxBatch: 16, threads: 1, device: 'tensorflow' };
};

describe('the loader', () => {
  it('starts TensorFlow, by name and, where there is no GPU, unasked', async () => {
    const started = { device: 'tensorflow', backend: 'tensorflow', threads: 1 };
    expect(await startBackend('tensorflow', 1)).toEqual(started);
    expect(await startBackend(undefined, 1)).toEqual(started);
  });

  it('refuses tensorflow-gpu where TensorFlow sees no GPU', async () => {
    await expect(startBackend('tensorflow-gpu', 1)).rejects.toThrow(/TensorFlow sees no GPU; install an NVIDIA driver/);
  });
});

describe('the engine', () => {
  it.each(['dense', 'conv-pool'] as const)(
    `holds no tensor after ${STEPS} steps of %s, and warns of nothing`,
    async (model) => {
      const warnings: Error[] = [];
      const onWarning = (warning: Error) => void warnings.push(warning);
      process.on('warning', onWarning);
      onTestFinished(() => void process.off('warning', onWarning));
      const options = optionsOf(model);
      const engine = await createTfjsEngine(options);
      const into = gradientBuffers(options.plan);
      const batch = syntheticSamples(options.plan, 4, 1);
      const { numTensors, numBytes } = tf.memory();
      for (let step = 0; step < STEPS; step++) {
        await engine.computeGradient(batch, into);
        await engine.evaluate(batch);
      }
      expect(tf.memory()).toMatchObject({ numTensors, numBytes });
      await engine.dispose();
      await new Promise((resolve) => setImmediate(resolve));
      expect(warnings).toEqual([]);
    },
  );

  it('gives the same bits in a thread, and in the next engine there', async () => {
    const options = optionsOf('conv-pool');
    const batch = syntheticSamples(options.plan, 16, 1);
    const without = await createTfjsEngine(options);
    const expected = bitsOf(await resultsOf(without, options.plan, batch));
    for (let i = 0; i < 2; i++) {
      const engine = await createThreadedEngine('tfjs', options);
      expect(bitsOf(await resultsOf(engine, options.plan, batch))).toEqual(expected);
      await engine.dispose();
    }
    await without.dispose();
  });
});

describe('a run', () => {
  it('of two workers ends with the bits of one process, without a warning', async () => {
    const flags = ['--engine', 'tfjs', '--device', 'tensorflow', '--model', 'conv-pool', '--epochs', '1'];
    const run = async (...command: string[]) => {
      const runDir = temporaryFolder();
      const { code, output } = await runCli([
        ...command,
        ...flags,
        ...SMALL,
        '--microbatches',
        '2',
        '--run-dir',
        runDir,
      ]);
      expect(code, output).toBe(0);
      expect(output).toContain('tfjs on tensorflow');
      expect(output).not.toMatch(/Warning/);
      return readResult(runDir).parametersSha256;
    };
    expect(await run('train', '--workers', '2')).toBe(await run('baseline'));
  });

  it('on tensorflow-gpu is refused without a GPU, and the process ends in order', async () => {
    const { code, output } = await runCli(['baseline', '--engine', 'tfjs', '--device', 'tensorflow-gpu', ...SMALL]);
    expect(code, output).not.toBe(0);
    expect(output).toMatch(/TensorFlow sees no GPU/);
    expect(output).not.toMatch(/SIGSEGV|^\s+at /m);
  });
});
