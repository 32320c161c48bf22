import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { absenceOf, chooseEngines } from '../../scripts/bench/compute/engine-choice.ts';
import type { BenchmarkResult } from '../../scripts/bench/compute/results.ts';
import { AUTO_ORDER } from '../../worker/engines/registry.ts';
import { missingPackage } from '../../worker/engines/tfjs/devices.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const run = (...args: string[]) =>
  promisify(execFile)(process.execPath, ['--import', 'tsx', 'scripts/bench/compute.ts', ...args], { cwd: ROOT });

describe('the compute benchmark', () => {
  it('measures real training steps and prints them as JSON', async () => {
    const flags = ['--models', 'dense', '--engines', 'reference', '--pairs', '1', '--steps', '1', '--no-pytorch'];
    const { stdout } = await run(...flags, '--json');
    const { rows, peak, pytorch, settings, notes } = JSON.parse(stdout) as BenchmarkResult;
    expect(settings).toMatchObject({ globalBatch: 256, threads: 1, pairs: 1 });
    expect(peak.gflops).toBeGreaterThan(0);
    expect(pytorch).toBeNull();
    expect(notes.join()).toContain('apt-get install');
    expect(rows).toHaveLength(1);
    const { model, ours, pairsMs } = rows[0]!;
    expect({ model, engine: ours.description }).toEqual({ model: 'dense', engine: 'reference on cpu' });
    expect(pairsMs).toEqual([{ ours: ours.stepMs.median }]);
    // The first steps of ten classes: near log 10.
    expect(ours.lastLoss).toBeGreaterThan(0.5);
    expect(ours.lastLoss).toBeLessThan(4);
  });

  it('ends with 2 and the cure when an engine is asked for that is none', async () => {
    await expect(run('--engines', 'steam', '--no-pytorch')).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--engines steam: no such engine; use') as string,
    });
  });

  it('takes every engine on every device unless told which, but not the judge', () => {
    const everything = chooseEngines(undefined);
    for (const choice of AUTO_ORDER) expect(everything).toContainEqual({ ...choice, isRequired: false });
    expect(everything).toContainEqual({ engine: 'tfjs', device: 'wasm', isRequired: false });
    expect(everything.map(({ engine }) => engine)).not.toContain('reference');
    expect(chooseEngines(['onnx:cpu', 'reference'])).toEqual([
      { engine: 'onnx', device: 'cpu', isRequired: true },
      { engine: 'reference', device: undefined, isRequired: true },
    ]);
  });

  it('leaves out what is not here, unless it was asked for by name', async () => {
    const tensorflow = { engine: 'tfjs', device: 'tensorflow' };
    expect(await absenceOf({ ...tensorflow, isRequired: true })).toBeUndefined();
    expect(await absenceOf({ ...tensorflow, isRequired: false })).toBe(missingPackage('tensorflow')?.reason);
    expect(await absenceOf({ engine: 'native', device: 'cpu', isRequired: false })).toBeUndefined();
  });
});
