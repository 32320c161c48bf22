import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../../protocol/errors.ts';
import { MODELS } from '../../../../protocol/state/models.ts';
import { encodeModel } from '../../../../worker/engines/onnx/encoder.ts';
import { createOnnxEngine } from '../../../../worker/engines/onnx/onnx-engine.ts';
import { describeEngineContract } from '../../../contracts/engine.contract.ts';
import { gradientBuffers, trainedState } from '../../../helpers/models.ts';
import { syntheticSamples } from '../../../helpers/samples.ts';

describeEngineContract('onnx', { create: createOnnxEngine });

describe('the onnx engine', () => {
  const options = { ...trainedState(MODELS['conv-pool'], 1), maxBatch: 64, threads: 1 };

  it('says what it runs on', async () => {
    const engine = await createOnnxEngine({ ...options, threads: 2 });
    expect(engine).toMatchObject({ name: 'onnx', device: 'cpu', threads: 2 });
    await engine.dispose();
  });

  it('refuses an unknown device with the devices it has', async () => {
    for (const device of ['gpu', 'toString', 'webgpu:x', 'cuda:-1', '']) {
      const refusal = createOnnxEngine({ ...options, device });
      await expect(refusal).rejects.toThrow(ConfigError);
      await expect(refusal).rejects.toThrow(`--device ${device}: the onnx engine runs on cpu, webgpu, cuda`);
    }
  });

  it('gives the same bits again on two threads', async () => {
    const batch = syntheticSamples(options.plan, 64, 1);
    const runs = [];
    for (let run = 0; run < 3; run++) {
      const engine = await createOnnxEngine({ ...options, threads: 2 });
      const into = gradientBuffers(options.plan);
      const result = await engine.computeGradient(batch, into);
      runs.push({ ...result, gradient: Buffer.from(into.gradient.buffer).toString('base64') });
      await engine.dispose();
    }
    expect(runs[1]).toEqual(runs[0]);
    expect(runs[2]).toEqual(runs[0]);
  });

  it('a batch that is longer than its bytes is refused', async () => {
    const engine = await createOnnxEngine(options);
    const batch = { ...syntheticSamples(options.plan, 2, 1), numSamples: 3 };
    await expect(engine.computeGradient(batch, gradientBuffers(options.plan))).rejects.toThrow();
    await engine.dispose();
  });
});

describe('the ONNX encoder', () => {
  it('writes the protobuf of a small graph byte by byte', () => {
    const attributes = { axis: -1, perm: [1, 300], eps: { float: 1 } };
    const bytes = encodeModel({
      name: 'g',
      nodes: [{ kind: 'Op', inputs: ['a', 'c'], outputs: ['b'], attributes }],
      constants: [{ name: 'c', shape: [2], values: Float32Array.of(1, -2) }],
      inputs: [{ name: 'a', type: 'uint8', shape: ['n', 4] }],
      outputs: [{ name: 'b', type: 'float32', shape: [] }],
    });
    const expected = [
      '08 08', // irVersion 8
      '12 08 67 72 61 64 73 6f 63 6b', // producer "gradsock"
      '3a 7d', // graph, 125 bytes
      /**/ '0a 42', // node, 66 bytes
      /*  */ '0a 01 61  0a 01 63  12 01 62', // inputs a, c; output b
      /*  */ '22 02 4f 70', // kind "Op"
      /*  */ '2a 14  0a 04 61 78 69 73  18 ff ff ff ff ff ff ff ff ff 01  a0 01 02', // "axis", -1 in ten bytes, int
      /*  */ '2a 0e  0a 04 70 65 72 6d  40 01  40 ac 02  a0 01 07', // "perm", 1, 300, ints
      /*  */ '2a 0d  0a 03 65 70 73  15 00 00 80 3f  a0 01 01', // "eps", 1, float
      /**/ '12 01 67', // name "g"
      /**/ '2a 11  08 02  10 01  42 01 63  4a 08 00 00 80 3f 00 00 00 c0', // constant: [2], float32, "c", 1 and -2
      /**/ '5a 14  0a 01 61  12 0f  0a 0d  08 02  12 09', // input "a", tensor of uint8, shape:
      /*  */ '0a 03 12 01 6e  0a 02 08 04', // "n", 4
      /**/ '62 0b  0a 01 62  12 06  0a 04  08 01  12 00', // output "b", tensor of float32, empty shape
      '42 02 10 11', // opset 17
    ];
    expect(Buffer.from(bytes).toString('hex')).toBe(expected.join('').replaceAll(' ', ''));
  });
});
