import { describe, expect, test } from 'vitest';
import { demandPackages, installCommand, missingFor } from '../../../worker/engines/optional-packages.ts';

/** What `require.resolve` does where these packages are not installed. */
const without =
  (...missing: readonly string[]) =>
  (name: string) => {
    if (!missing.includes(name)) return name;
    throw Object.assign(new Error(`Cannot find module '${name}'\nRequire stack:`), { code: 'MODULE_NOT_FOUND' });
  };

describe('packages that may not be installed', () => {
  test('are missed with the command that installs them, in the versions that were tested', () => {
    expect(missingFor('onnx', undefined, without('onnxruntime-node'))).toEqual({
      reason: 'onnxruntime-node is not installed',
      cure: expect.stringMatching(/^npm install onnxruntime-node@\d+\.\d+\.\d+$/) as string,
    });
    expect(missingFor('tfjs', undefined, without('@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm'))).toEqual({
      reason: '@tensorflow/tfjs and @tensorflow/tfjs-backend-wasm are not installed',
      cure: installCommand('@tensorflow/tfjs', '@tensorflow/tfjs-backend-wasm'),
    });
  });

  test('are not missed where they are, nor by an engine that needs none', () => {
    expect(missingFor('onnx', undefined, without())).toBeUndefined();
    expect(missingFor('native', undefined, without('onnxruntime-node'))).toBeUndefined();
  });

  test('are missed by devices that need them: TensorFlow.js on a GPU brings its own backend', () => {
    const onlyTensorflow = without('@tensorflow/tfjs-backend-wasm');
    expect(missingFor('tfjs', 'tensorflow-gpu', onlyTensorflow)).toBeUndefined();
    expect(missingFor('tfjs', 'cpu', onlyTensorflow)).toBeUndefined();
    for (const device of ['wasm', undefined]) {
      expect(missingFor('tfjs', device, onlyTensorflow)).toEqual({
        reason: '@tensorflow/tfjs-backend-wasm is not installed',
        cure: installCommand('@tensorflow/tfjs-backend-wasm'),
      });
    }
  });

  test('are demanded in the name of the flag', () => {
    expect(() => demandPackages('onnx', undefined, without('onnxruntime-node'))).toThrow(
      `--engine onnx: onnxruntime-node is not installed; run ${installCommand('onnxruntime-node')}, or choose another --engine`,
    );
  });
});
