import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../../protocol/errors.ts';
import { MissingPackageError } from '../../../../worker/engines/optional-packages.ts';
import { startBackend, type LoaderHost } from '../../../../worker/engines/tfjs/loader.ts';

interface Machine {
  /** What loading each package does; a package that is not named is not installed. */
  readonly packages?: Record<string, () => void>;
  /** What is found, once a package is loaded; undefined: it registers nothing. */
  readonly backend?: { readonly isUsingGpuDevice: boolean };
  /** Backends that do not start. */
  readonly broken?: Record<string, Error | false>;
  readonly environment?: NodeJS.ProcessEnv;
  /** Of every package. Default: 4.22.0. */
  readonly version?: string;
  /** Of NVIDIA. Default: that which the backend uses. */
  readonly hasGpu?: boolean;
  /** Whether the package of the backend wasm is installed. Default: true. */
  readonly hasWasm?: boolean;
  /** What Node's `util` has. */
  readonly util?: Record<string, unknown>;
}

/** A machine as the loader sees it, and what the loader did to it. */
function fakeHost(machine: Machine) {
  const { packages = {}, backend, broken = {}, environment = {}, version = '4.22.0', util = {} } = machine;
  const { hasWasm = true, hasGpu = backend?.isUsingGpuDevice ?? false } = machine;
  const done: string[] = [];
  const find = (name: string, file = name) => {
    const load = packages[name];
    if (!load) throw loadError('MODULE_NOT_FOUND', `Cannot find module '${file}'\nRequire stack:\n- loader.ts`);
    return load;
  };
  const host: LoaderHost = {
    load: (name) => {
      const load = find(name);
      done.push(`load ${name}`);
      load();
      return {};
    },
    versionOf: (name) => {
      find(name, `${name}/package.json`);
      return version;
    },
    hasGpu: () => Promise.resolve(hasGpu),
    tensorflow: {
      enableProdMode: () => undefined,
      findBackend: () => backend,
      findBackendFactory: () => backend,
      setBackend: (name) => {
        done.push(`start ${name}`);
        const failure = broken[name];
        return failure instanceof Error ? Promise.reject(failure) : Promise.resolve(failure !== false);
      },
    },
    loadWasm: () =>
      hasWasm
        ? Promise.resolve({
            setThreadsCount: (threads) => done.push(`wasm threads ${threads}`),
            getThreadsCount: () => 1,
          })
        : Promise.reject(new MissingPackageError('its wasm package is not installed')),
    registerWasmKernels: () => done.push('wasm kernels'),
    util,
    environment,
  };
  return { host, done, util, environment };
}

function loadError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

const loads = () => undefined;
const GPU = '@tensorflow/tfjs-node-gpu';
const NODE = '@tensorflow/tfjs-node';

async function refusalOf(device: string | undefined, machine: Machine): Promise<string> {
  const error: unknown = await startBackend(device, 2, fakeHost(machine).host).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ConfigError);
  return (error as ConfigError).message;
}

describe('a TensorFlow.js backend that cannot be had', () => {
  it.each([
    ['tensorflow-gpu', GPU],
    ['tensorflow', NODE],
  ])('%s is not installed: the cure is to install it', async (device, name) => {
    const message = await refusalOf(device, {});
    expect(message).toMatch(`--engine tfjs: ${name} cannot be used: it is not installed`);
    expect(message).toMatch(/npm install @tensorflow\/tfjs-node(-gpu)?@4\.22\.0 where storage\.googleapis\.com/);
    expect(message).not.toContain('Require stack');
  });

  it.each([
    [
      undefined,
      'The Node.js native addon module (tfjs_binding.node) can not be found at path: /x/tfjs_binding.node. \nP',
    ],
    ['ERR_DLOPEN_FAILED', 'libtensorflow.so.2: cannot open shared object file: No such file or directory'],
    ['MODULE_NOT_FOUND', "Cannot find module '/x/lib/napi-v8/tfjs_binding.node'\nRequire stack:\n- /x/dist/index.js"],
  ])('is installed without its native half (code %s): the cure is to rebuild it', async (code, text) => {
    const fail = () => {
      throw code === undefined ? new Error(text) : loadError(code, text);
    };
    const message = await refusalOf('tensorflow-gpu', { packages: { [GPU]: fail } });
    const reason = text.split('\n')[0]!.trim().replace(/\.$/, '');
    expect(message).toContain(
      `its native binding does not load: ${reason}; run npm install-scripts approve ${GPU} and npm rebuild ${GPU} where`,
    );
  });

  it('misses a package of its own: it does not count as not installed', async () => {
    const fail = () => {
      throw loadError('MODULE_NOT_FOUND', "Cannot find module '@mapbox/node-pre-gyp'\nRequire stack:");
    };
    const message = await refusalOf('tensorflow-gpu', { packages: { [GPU]: fail } });
    expect(message).toContain("it does not load: Cannot find module '@mapbox/node-pre-gyp'; run npm install");
  });

  it('is of another version: it is not loaded, and the cure is to install this one', async () => {
    const { host, done } = fakeHost({
      packages: { [GPU]: loads },
      version: '4.21.0',
      backend: { isUsingGpuDevice: true },
    });
    const refusal = startBackend('tensorflow-gpu', 1, host);
    await expect(refusal).rejects.toThrow(ConfigError);
    await expect(refusal).rejects.toThrow(
      `it is of version 4.21.0, and TensorFlow.js of 4.22.0; run npm install ${GPU}@4.22.0, or`,
    );
    expect(done).toEqual([]);
  });

  it('brings no backend: the cure is to install it anew', async () => {
    const message = await refusalOf('tensorflow-gpu', { packages: { [GPU]: loads } });
    expect(message).toContain(`it brings no backend; run npm install ${GPU}@4.22.0 anew`);
  });

  it.each(['abc', '-1', '1.5', '1e3', ' '])(
    'is given %j threads: the cure is to set the variable right',
    async (text) => {
      const environment = { TF_NUM_INTRAOP_THREADS: text };
      const message = await refusalOf('tensorflow', { packages: { [NODE]: loads }, environment });
      expect(message).toMatch(`TF_NUM_INTRAOP_THREADS=${text}: expected a number of threads`);
    },
  );

  it('loads but sees no GPU: the cure is driver, CUDA and cuDNN', async () => {
    const machine = { packages: { [GPU]: loads }, backend: { isUsingGpuDevice: false } };
    expect(await refusalOf('tensorflow-gpu', machine)).toMatch(/TensorFlow sees no GPU; install .*CUDA 11\.2/);
  });

  it('would be called tensorflow while a GPU is at work', async () => {
    const machine = { packages: { [NODE]: loads }, backend: { isUsingGpuDevice: true } };
    expect(await refusalOf('tensorflow', machine)).toMatch(
      /runs TensorFlow on a GPU already; take --device tensorflow-gpu/,
    );
  });

  it('does not start: the reason is given where there is one', async () => {
    expect(await refusalOf('wasm', { broken: { wasm: false } })).toContain('cannot start its wasm backend; choose');
    expect(await refusalOf('wasm', { broken: { wasm: new Error('no memory\nat') } })).toContain(
      'cannot start its wasm backend: no memory; choose',
    );
  });

  it('is not replaced, unasked, by the plain cpu because the package of wasm is missing', async () => {
    const message = await refusalOf(undefined, { hasWasm: false });
    expect(message).toMatch(/tfjs-node cannot be used.*; its wasm package is not installed$/);
  });

  it('has an unknown name: the refusal names the devices', async () => {
    for (const device of ['abacus', 'toString']) {
      expect(await refusalOf(device, {})).toBe(
        `--device ${device}: the tfjs engine runs on tensorflow-gpu, tensorflow, wasm, cpu; choose one of them`,
      );
    }
  });
});

describe('a TensorFlow.js backend that can be had', () => {
  const everything = { packages: { [GPU]: loads, [NODE]: loads } };

  it('is, unasked, tensorflow-gpu where there is a GPU', async () => {
    const { host, done } = fakeHost({ ...everything, backend: { isUsingGpuDevice: true } });
    expect(await startBackend(undefined, 2, host)).toEqual({
      device: 'tensorflow-gpu',
      backend: 'tensorflow',
      threads: 2,
    });
    expect(done).toEqual([`load ${GPU}`, 'start tensorflow']);
  });

  it('is, unasked, tensorflow where there is none', async () => {
    const { host, done } = fakeHost({ ...everything, backend: { isUsingGpuDevice: false } });
    expect(await startBackend(undefined, 2, host)).toEqual({ device: 'tensorflow', backend: 'tensorflow', threads: 2 });
    expect(done, 'the package for GPUs is not loaded').toEqual([`load ${NODE}`, 'start tensorflow']);
  });

  it('is, unasked, wasm where neither package is installed, with its threads set before it starts', async () => {
    const { host, done } = fakeHost({});
    expect(await startBackend(undefined, 3, host)).toEqual({ device: 'wasm', backend: 'wasm', threads: 1 });
    expect(done).toEqual(['wasm threads 3', 'start wasm', 'wasm kernels']);
  });

  it('is, unasked, cpu where nothing else starts; and if that does not, every reason is given', async () => {
    const { host } = fakeHost({ broken: { wasm: false } });
    expect(await startBackend(undefined, 2, host)).toEqual({ device: 'cpu', backend: 'cpu', threads: 1 });
    const message = await refusalOf(undefined, { broken: { wasm: false, cpu: false } });
    for (const part of ['no NVIDIA GPU for tensorflow-gpu', NODE, 'wasm backend', 'cpu backend'])
      expect(message).toContain(part);
  });

  it('finds functions of ours for those that Node deprecates and took away, and its settings in the environment', async () => {
    let seen: unknown;
    const deprecated = () => {
      throw new Error('a deprecated function of Node was called');
    };
    const { host, util, environment } = fakeHost({
      util: { isNullOrUndefined: deprecated },
      packages: { [GPU]: () => (seen = [typeof util['isNullOrUndefined'], environment['TF_FORCE_GPU_ALLOW_GROWTH']]) },
      backend: { isUsingGpuDevice: true },
    });
    await startBackend('tensorflow-gpu', 4, host);
    expect(seen).toEqual(['function', 'true']);
    const isNullOrUndefined = util['isNullOrUndefined'] as (value: unknown) => boolean;
    expect([null, undefined, 0, '', false].map(isNullOrUndefined)).toEqual([true, true, false, false, false]);
    expect(environment).toEqual({
      TF_FORCE_GPU_ALLOW_GROWTH: 'true',
      TF_DETERMINISTIC_OPS: '1',
      NVIDIA_TF32_OVERRIDE: '0',
      TF_NUM_INTRAOP_THREADS: '4',
      TF_CPP_MIN_LOG_LEVEL: '1',
    });
  });

  it("leaves the user's settings alone, and tells the number of threads that holds", async () => {
    const environment = { TF_FORCE_GPU_ALLOW_GROWTH: 'false', TF_NUM_INTRAOP_THREADS: '7' };
    const { host } = fakeHost({ ...everything, backend: { isUsingGpuDevice: true }, environment });
    expect(await startBackend('tensorflow-gpu', 4, host)).toMatchObject({ threads: 7 });
    expect(environment.TF_FORCE_GPU_ALLOW_GROWTH).toBe('false');
  });

  it.each([
    ['0', availableParallelism()],
    ['', 4],
  ])('computes, with TF_NUM_INTRAOP_THREADS=%s, on %i threads', async (text, threads) => {
    const environment = { TF_NUM_INTRAOP_THREADS: text };
    const { host } = fakeHost({ ...everything, backend: { isUsingGpuDevice: false }, environment });
    expect(await startBackend('tensorflow', 4, host)).toMatchObject({ threads });
  });
});

describe('the loader on this machine', () => {
  it.each(['tensorflow-gpu', 'tensorflow'])('%s works, or is refused with a cure', async (device) => {
    const outcome: unknown = await startBackend(device, 1).catch((error: unknown) => error);
    if (outcome instanceof Error) {
      expect(outcome).toBeInstanceOf(ConfigError);
      expect(outcome.message).toMatch(/^--engine tfjs: @tensorflow\/tfjs-node\S* cannot be used: .+; .+ --device$/);
    } else {
      expect(outcome).toMatchObject({ device, backend: 'tensorflow' });
    }
  });

  it('wasm starts, says that it runs on one thread, and leaves no listener for errors behind', async () => {
    const listeners = () => [process.listeners('uncaughtException'), process.listeners('unhandledRejection')];
    const before = listeners();
    expect(await startBackend('wasm', 2)).toEqual({ device: 'wasm', backend: 'wasm', threads: 1 });
    expect(listeners()).toEqual(before);
  });
});
