import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../protocol/errors.ts';
import { MODELS } from '../../../protocol/state/models.ts';
import type { Engine, EngineOptions } from '../../../worker/engines/engine.ts';
import { createReferenceEngine } from '../../../worker/engines/reference.ts';
import {
  AUTO_ORDER,
  createEngine,
  ENGINE_NAMES,
  ENGINES,
  type EngineEntry,
  type EngineRegistry,
} from '../../../worker/engines/registry.ts';
import { trainedState } from '../../helpers/models.ts';

const options: EngineOptions = { ...trainedState(MODELS.dense, 1), maxBatch: 32, threads: 1 };

/** An entry whose engine is the reference's, changed; counts how often one was disposed of. */
function standIn(change: Partial<Engine> = {}): EngineEntry & { devices: (string | undefined)[]; numDisposed: number } {
  const entry = {
    isProbed: true,
    devices: [] as (string | undefined)[],
    numDisposed: 0,
    create: async ({ device, ...anywhere }: EngineOptions): Promise<Engine> => {
      entry.devices.push(device);
      const dispose = (): Promise<void> => {
        entry.numDisposed++;
        return Promise.resolve();
      };
      return { ...(await createReferenceEngine(anywhere)), dispose, ...change };
    },
  };
  return entry;
}

const missing: EngineEntry = {
  isProbed: true,
  create: () => Promise.reject(new Error('libdevice.so: cannot open shared object file')),
};
const wrong = () =>
  standIn({ name: 'wrong', evaluate: () => Promise.resolve({ lossSum: 0, numCorrect: 0, numSamples: 8 }) });

describe('an engine by name', () => {
  it.each(['onnx', 'reference'])('%s is made, and works', async (name) => {
    const { engine, passedOver } = await createEngine(name, options);
    expect(engine.name).toBe(name);
    expect(passedOver).toEqual([]);
    const batch = { images: new Uint8Array(784), labels: new Uint8Array(1), numSamples: 1 };
    expect((await engine.evaluate(batch)).numSamples).toBe(1);
    await engine.dispose();
  });

  it.each(['abacus', 'constructor', ''])('an unknown name, "%s", is an error that lists the names', async (name) => {
    const refusal = createEngine(name, options);
    await expect(refusal).rejects.toThrow(ConfigError);
    await expect(refusal).rejects.toThrow(`--engine ${name}: no such engine; use auto, ${ENGINE_NAMES.join(', ')}`);
  });

  it('a device that the engine does not have is an error, not another device', async () => {
    await expect(createEngine('onnx', { ...options, device: 'abacus' })).rejects.toThrow(/--device abacus.*cpu/);
  });

  it('an engine that does not load is an error that says why, not another engine', async () => {
    const registry = { engines: { missing, right: standIn() }, autoOrder: [{ engine: 'right', device: 'cpu' }] };
    const refusal = createEngine('missing', options, registry);
    await expect(refusal).rejects.toThrow(ConfigError);
    await expect(refusal).rejects.toThrow(/--engine missing cannot be used here: libdevice\.so: cannot open/);
  });

  it('an engine that computes wrongly is refused, and disposed of', async () => {
    const entry = wrong();
    const registry = { engines: { wrong: entry }, autoOrder: [] };
    await expect(createEngine('wrong', options, registry)).rejects.toThrow(/--engine wrong .* computes wrongly/);
    expect(entry.numDisposed).toBe(1);
  });

  it('an engine that fails in the probe is refused, and disposed of', async () => {
    const entry = standIn({ computeGradient: () => Promise.reject(new Error('device lost')) });
    const registry = { engines: { failing: entry }, autoOrder: [] };
    await expect(createEngine('failing', options, registry)).rejects.toThrow(
      '--engine failing cannot be used here: device lost; choose another --engine',
    );
    expect(entry.numDisposed).toBe(1);
  });
});

describe('auto', () => {
  it('takes the first that can be had and computes rightly, and says why not the others', async () => {
    const right = standIn({ name: 'right' });
    const mistaken = wrong();
    const registry: EngineRegistry = {
      engines: { missing, wrong: mistaken, right, unasked: standIn() },
      autoOrder: [
        { engine: 'missing', device: 'cuda' },
        { engine: 'wrong', device: 'webgpu' },
        { engine: 'right', device: 'cpu' },
        { engine: 'unasked', device: 'cpu' },
      ],
    };
    const { engine, passedOver } = await createEngine('auto', options, registry);
    expect(engine.name).toBe('right');
    expect(right.devices).toEqual(['cpu']);
    expect(right.numDisposed).toBe(0);
    expect(mistaken.numDisposed).toBe(1);
    expect(passedOver).toEqual([
      expect.stringMatching(/^missing on cuda: .*cannot open shared object file/),
      expect.stringMatching(/^wrong on webgpu: .*evaluation lossSum/),
    ]);
  });

  it('with a device asked for, tries every engine once, on that device', async () => {
    const engines = { first: missing, second: standIn({ name: 'second' }) };
    const autoOrder = [
      { engine: 'first', device: 'cuda' },
      { engine: 'first', device: 'webgpu' },
      { engine: 'second', device: 'cpu' },
    ];
    const { passedOver } = await createEngine('auto', { ...options, device: 'npu' }, { engines, autoOrder });
    expect(passedOver).toHaveLength(1);
    expect(engines.second.devices).toEqual(['npu']);
  });

  it('is an error with every reason when nothing can be used', async () => {
    const autoOrder = [{ engine: 'missing', device: 'cuda' }];
    await expect(createEngine('auto', options, { engines: { missing }, autoOrder })).rejects.toThrow(
      /--engine auto: no engine can be used here: missing on cuda: /,
    );
  });

  it('never takes the reference, and knows every engine that it tries', () => {
    const tried = AUTO_ORDER.map(({ engine }) => engine);
    expect(tried).not.toContain('reference');
    expect(Object.keys(ENGINES)).toEqual(expect.arrayContaining(tried));
  });

  it('finds an engine on this machine', async () => {
    const { engine } = await createEngine('auto', options);
    expect(AUTO_ORDER.map((candidate) => candidate.engine)).toContain(engine.name);
    await engine.dispose();
  });
});
