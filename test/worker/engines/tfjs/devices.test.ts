import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { missingPackage } from '../../../../worker/engines/tfjs/devices.ts';

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));

/** What `require.resolve` throws. */
function failing(message: string, code = 'MODULE_NOT_FOUND'): () => never {
  return () => {
    throw Object.assign(new Error(message), { code });
  };
}

describe('a package behind a device', () => {
  it.each([
    ['tensorflow-gpu', '@tensorflow/tfjs-node-gpu'],
    ['tensorflow', '@tensorflow/tfjs-node'],
  ])('%s: %s that is not installed is missed, with the cure', (device, name) => {
    const missing = missingPackage(device, failing(`Cannot find module '${name}'\nRequire stack:\n- devices.ts`));
    expect(missing).toMatchObject({ reason: `${name} is not installed` });
    expect(missing!.cure).toContain(`run npm install ${name}@4.22.0 where storage.googleapis.com can be reached`);
  });

  it('that is there, whole or broken, is not missed: loading it tells the rest', () => {
    const resolved: string[] = [];
    expect(missingPackage('tensorflow-gpu', (name) => resolved.push(name))).toBeUndefined();
    expect(resolved).toEqual(['@tensorflow/tfjs-node-gpu']);
    expect(missingPackage('tensorflow', failing("Cannot find module '/x/dist/index.js'"))).toBeUndefined();
    expect(missingPackage('tensorflow', failing('No "exports" main', 'ERR_PACKAGE_PATH'))).toBeUndefined();
  });

  it('is not needed by wasm and cpu, nor by what is no device', () => {
    for (const device of ['wasm', 'cpu', 'constructor']) {
      expect(missingPackage(device, failing('asked'))).toBeUndefined();
    }
  });

  it('is looked for without loading TensorFlow.js', async () => {
    // In a process of its own: here, other tests may have loaded it.
    const script = `
      import { createRequire } from 'node:module';
      import { ENGINES } from './worker/engines/registry.ts';
      const { cache } = createRequire(import.meta.url);
      const isLoaded = () => Object.keys(cache).some((path) => path.includes('@tensorflow'));
      await ENGINES.tfjs.absence('tensorflow-gpu');
      const before = Object.keys(cache).filter((path) => path.includes('@tensorflow') && !path.endsWith('.json'));
      await import('./worker/engines/tfjs/loader.ts');
      console.log(JSON.stringify({ before, after: isLoaded() }));`;
    const args = ['--import', 'tsx', '--input-type', 'module', '--eval', script];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: ROOT, timeout: 60_000 });
    expect(JSON.parse(stdout)).toEqual({ before: [], after: true });
  });
});
