/** `--format onnx`: ONNX Runtime gives the reference engine's probabilities for models of every kind. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { INPUT_KINDS } from '../../../scripts/export/exported-model.ts';
import { checkSize, onnx } from '../../../scripts/export/onnx.ts';
import { EXPORTED_MODELS, exportOf, judgedSynthetic, LIMIT, runOnnx, worstOnnx } from '../../helpers/exports.ts';
import { smallModels } from '../../helpers/models.ts';

describe('an ONNX file has the probabilities of the reference engine', () => {
  test.each(EXPORTED_MODELS)('for $name', async (spec) => {
    expect(await worstOnnx(await judgedSynthetic(spec))).toBeLessThan(LIMIT);
  });

  test('for any small model', async () => {
    await fc.assert(
      fc.asyncProperty(smallModels, fc.constantFrom(...INPUT_KINDS), async (spec, inputKind) => {
        expect(await worstOnnx(await judgedSynthetic(spec, inputKind))).toBeLessThan(LIMIT);
      }),
      { numRuns: 15 },
    );
  });
});

test('it gives logits, probabilities and the label, for any number of images', async () => {
  const judged = await judgedSynthetic(EXPORTED_MODELS[0]!);
  const outputs = await runOnnx(judged);
  const { numSamples } = judged;
  expect([...outputs].map(([name, { dims, type }]) => [name, type, ...dims])).toEqual([
    ['logits', 'float32', numSamples, 7],
    ['probabilities', 'float32', numSamples, 7],
    ['label', 'int64', numSamples],
  ]);
  const probabilities = outputs.get('probabilities')!.data as Float32Array;
  const labels = Array.from({ length: numSamples }, (_, sample) => {
    const ofSample = probabilities.subarray(sample * 7, (sample + 1) * 7);
    return BigInt(ofSample.indexOf(Math.max(...ofSample)));
  });
  expect([...(outputs.get('label')!.data as BigInt64Array)]).toEqual(labels);
});

test('its metadata say what the model is', () => {
  const exported = exportOf(EXPORTED_MODELS[0]!);
  const text = Buffer.from(onnx.files(exported)[0]!.content as Uint8Array).toString('latin1');
  for (const part of [JSON.stringify(exported.model.classes), exported.parametersSha256, 'made-up', '1.2.3']) {
    expect(text).toContain(part);
  }
});

test('a model beyond what protobuf can hold is refused', () => {
  expect(() => checkSize('it', { numParameters: 2 ** 29, numBuffers: 0 })).toThrow(
    '--format onnx: it: tensors of 2.0 GiB, expected less than 2 GiB',
  );
  expect(() => checkSize('it', { numParameters: 2 ** 29 - 2 ** 20, numBuffers: 0 })).not.toThrow();
});
