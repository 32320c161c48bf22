import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../protocol/errors.ts';
import { MODELS } from '../../../protocol/state/models.ts';
import type { Engine, EngineOptions } from '../../../worker/engines/engine.ts';
import { createReferenceEngine } from '../../../worker/engines/reference/reference-engine.ts';
import {
  AUTO_ORDER,
  ENGINE_NAMES,
  ENGINES,
  type EngineEntry,
  type EngineRegistry,
} from '../../../worker/engines/registry.ts';
import { checkEngine, createEngine } from '../../../worker/engines/choose-engine.ts';
import { trainedState } from '../../helpers/models.ts';

const options: EngineOptions = { ...trainedState(MODELS.dense, 1), maxBatch: 32, threads: 1 };

/** An entry whose engine is the reference's, changed; counts how often one was disposed of. */
function standIn(change: Partial<Engine> = {}): EngineEntry & { madeOn: (string | undefined)[]; numDisposed: number } {
  const entry = {
    isProbed: true,
    devices: ['cpu'],
    madeOn: [] as (string | undefined)[],
    numDisposed: 0,
    create: async ({ device, ...anywhere }: EngineOptions): Promise<Engine> => {
      entry.madeOn.push(device);
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
  devices: ['cuda', 'webgpu'],
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
    const outputs = new Float32Array(10).fill(NaN);
    await engine.evaluate(batch, outputs);
    expect(outputs.every(Number.isFinite)).toBe(true);
    await engine.dispose();
  });

  it.each(['onnx', 'tfjs', 'reference'])('%s leaves the event loop free while it computes', async (name) => {
    const { engine } = await createEngine(name, { ...options, ...trainedState(MODELS.conv, 1) });
    const batch = { images: new Uint8Array(32 * 784), labels: new Uint8Array(32), numSamples: 32 };
    // Turns of the event loop in one call. One that blocks lets at most two pass; on a busy machine another may, too, now
    // and then, as the system lets this thread wait.
    const turnsOfCall = async () => {
      let isDone = false;
      const computed = engine.evaluate(batch).finally(() => (isDone = true));
      let turns = 0;
      for (; !isDone; turns++) await new Promise((resolve) => setImmediate(resolve));
      await computed;
      return turns;
    };
    let mostTurns = 0;
    for (let call = 0; call < 50 && mostTurns <= 10; call++) mostTurns = Math.max(mostTurns, await turnsOfCall());
    expect(mostTurns).toBeGreaterThan(10);
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
    expect(right.madeOn).toEqual(['cpu']);
    expect(right.numDisposed).toBe(0);
    expect(mistaken.numDisposed).toBe(1);
    expect(passedOver).toEqual([
      {
        engine: 'missing',
        device: 'cuda',
        isSurprise: true,
        reason: 'cannot be used here: libdevice.so: cannot open shared object file',
        message: 'cannot be used here: libdevice.so: cannot open shared object file; choose another --engine',
      },
      expect.objectContaining({
        engine: 'wrong',
        device: 'webgpu',
        isSurprise: true,
        reason: expect.stringMatching(
          /^computes wrongly: evaluation lossSum of model dense is off by .*, limit 0.001$/,
        ),
      }),
    ]);
  });

  it('does not try what is plainly not there, and that is no surprise', async () => {
    const absent = { ...standIn(), absence: (device: string) => Promise.resolve(`no ${device} here`) };
    const right = { ...standIn(), absence: () => Promise.resolve(undefined) };
    const autoOrder = [
      { engine: 'absent', device: 'cuda' },
      { engine: 'right', device: 'cpu' },
    ];
    const registry = { engines: { absent, right }, autoOrder };
    const { passedOver, probe } = await createEngine('auto', options, registry);
    expect(absent.madeOn).toEqual([]);
    expect(passedOver).toEqual([
      { engine: 'absent', device: 'cuda', isSurprise: false, reason: 'no cuda here', message: 'no cuda here' },
    ]);
    expect(probe!.error).toBeLessThan(1e-3);
  });

  it('tries a device that is named, whatever it looks like', async () => {
    const absent = { ...standIn(), absence: () => Promise.resolve('nothing here') };
    const registry = { engines: { absent }, autoOrder: [{ engine: 'absent', device: 'cpu' }] };
    expect((await createEngine('auto', { ...options, device: 'cpu' }, registry)).passedOver).toEqual([]);
    expect(absent.madeOn).toEqual(['cpu']);
  });

  it('with the number of a GPU, tries the engines on CUDA that may be there', async () => {
    const gpu = { ...standIn(), devices: ['cuda'], cudaDevices: ['cuda'] };
    const engines = { absent: { ...gpu, absence: () => Promise.resolve('not installed') }, gpu, cpu: standIn() };
    const autoOrder = [
      { engine: 'absent', device: 'cuda' },
      { engine: 'cpu', device: 'cpu' },
      { engine: 'gpu', device: 'cuda' },
    ];
    const gpuHost = { environment: {}, listDriver: () => ['a', 'b'], listBySmi: () => Promise.resolve(undefined) };
    const registry = { engines, autoOrder, gpuHost };
    const { passedOver } = await createEngine('auto', { ...options, device: '1' }, registry);
    expect(passedOver).toMatchObject([{ engine: 'absent', reason: 'not installed', isSurprise: false }]);
    expect([gpu.madeOn, engines.cpu.madeOn]).toEqual([['cuda'], []]);
  });

  it('is an error with every reason when nothing can be used', async () => {
    const autoOrder = [{ engine: 'missing', device: 'cuda' }];
    await expect(createEngine('auto', options, { engines: { missing }, autoOrder })).rejects.toThrow(
      /--engine auto: no engine can be used here: missing on cuda: /,
    );
  });

  it('tries GPUs first, then the CPU, and never the reference; every entry lists the devices that are tried', () => {
    expect(AUTO_ORDER.map(({ engine, device }) => `${engine} on ${device}`)).toEqual([
      'tfjs on tensorflow-gpu',
      'onnx on cuda',
      'onnx on webgpu',
      'native on cpu',
      'onnx on cpu',
    ]);
    for (const { engine, device } of AUTO_ORDER) expect(ENGINES[engine].devices).toContain(device);
  });

  it('finds an engine on this machine', async () => {
    const { engine } = await createEngine('auto', options);
    expect(AUTO_ORDER.map((candidate) => candidate.engine)).toContain(engine.name);
    await engine.dispose();
  });
});

describe('one of several GPUs', () => {
  const options1 = (device?: string) => ({ ...options, device });
  /** A machine with four GPUs, of which this is worker 6; an engine that says on which it was made. */
  function machine() {
    const environment: NodeJS.ProcessEnv = { CUDA_VISIBLE_DEVICES: '0,1,4,5', LOCAL_RANK: '6' };
    const entry = { ...standIn({ device: 'cuda (stand-in)' }), devices: ['cuda', 'cpu'], cudaDevices: ['cuda'] };
    const gpuHost = { environment, listDriver: () => undefined, listBySmi: () => Promise.resolve(undefined) };
    const autoOrder = [{ engine: 'gpu', device: 'cuda' }];
    return { environment, entry, registry: { engines: { gpu: entry }, autoOrder, gpuHost } };
  }

  it.each([
    ['auto', undefined, 2, '4'],
    ['gpu', undefined, 2, '4'],
    ['gpu', 'cuda', 2, '4'],
    ['gpu', 'cuda:1', 1, '1'],
    ['auto', 'cuda:3', 3, '5'],
    ['auto', '3', 3, '5'],
    ['gpu', '0', 0, '0'],
  ])('--engine %s --device %s takes GPU %i before the library is loaded', async (choice, device, index, cudaName) => {
    const { environment, entry, registry } = machine();
    let seen: string | undefined;
    const create = (made: EngineOptions) => {
      seen = environment['CUDA_VISIBLE_DEVICES'];
      return entry.create(made);
    };
    const engines = { gpu: { ...entry, create } };
    const { gpu } = await createEngine(choice, options1(device), { ...registry, engines });
    expect(gpu).toEqual({ index, numGpus: 4, cudaName });
    expect(seen).toBe(cudaName);
    expect(entry.madeOn).toEqual([choice === 'gpu' && device === undefined ? undefined : 'cuda']);
  });

  it('that is not there is an error that says how many are', async () => {
    const { registry, entry } = machine();
    await expect(createEngine('auto', options1('cuda:4'), registry)).rejects.toThrow(
      '--device cuda:4: there is no GPU 4: CUDA_VISIBLE_DEVICES=0,1,4,5 leaves 4, GPU 0 to 3; choose one of them',
    );
    expect(entry.madeOn).toEqual([]);
  });

  it('is not taken by what computes on the CPU', async () => {
    const { environment, registry } = machine();
    const { gpu } = await createEngine('gpu', options1('cpu'), registry);
    expect(gpu).toBeUndefined();
    expect(environment['CUDA_VISIBLE_DEVICES']).toBe('0,1,4,5');
  });
});

describe('what is checked before workers are started', () => {
  const refusing = (message: string): EngineEntry => ({
    ...standIn(),
    checkDevice: () => Promise.reject(new ConfigError(message)),
  });
  const gpuHost = { environment: {}, listDriver: () => [], listBySmi: () => Promise.resolve(undefined) };
  const order = [
    { engine: 'one', device: 'cpu' },
    { engine: 'two', device: 'cpu' },
  ];

  it('starts no engine, and passes what may be had', async () => {
    const [one, two] = [standIn(), standIn()];
    const registry = { engines: { one, two }, autoOrder: order };
    for (const choice of ['auto', 'one']) await checkEngine(choice, undefined, registry);
    await checkEngine('auto', 'cpu', { ...registry, engines: { one: refusing('none here'), two } });
    expect([one.madeOn, two.madeOn]).toEqual([[], []]);
  });

  it('refuses an engine and a device in the words of the engine itself', async () => {
    const registry = { engines: { one: refusing('one is missing'), two: refusing('two is, too') }, autoOrder: order };
    await expect(checkEngine('one', 'cpu', registry)).rejects.toThrow('one is missing');
    await expect(checkEngine('auto', 'cpu', registry)).rejects.toThrow(
      '--engine auto: no engine can be used here: one on cpu: one is missing; two on cpu: two is, too',
    );
    await expect(checkEngine('three', undefined, registry)).rejects.toThrow('--engine three: no such engine');
  });

  it('refuses a GPU by a number that is not here', async () => {
    const one = { ...standIn(), devices: ['cuda'], cudaDevices: ['cuda'] };
    const registry = { engines: { one }, autoOrder: [{ engine: 'one', device: 'cuda' }], gpuHost };
    await expect(checkEngine('one', 'cuda:1', registry)).rejects.toThrow('there is no GPU 1');
  });

  it.each(ENGINE_NAMES)('a device that %s does not have is refused', async (name) => {
    await expect(checkEngine(name, 'abacus')).rejects.toThrow(/^--(device abacus|engine native): /);
  });
});
