/** Exports of `conv-pool` have the reference engine's probabilities for real images: one judge for all formats. */
import { beforeAll, describe, expect, test } from 'vitest';
import { INPUT_KINDS } from '../../../scripts/export/exported-model.ts';
import { startBackend } from '../../../worker/engines/tfjs/loader.ts';
import { judgedFashionMnist, LIMIT, withInput, worstOnnx, worstTfjs } from '../../helpers/exports.ts';
import type { Judged } from '../../helpers/exports.ts';

let judged: Judged;

beforeAll(async () => {
  await startBackend('wasm', 1);
  judged = await judgedFashionMnist();
});

describe.each(INPUT_KINDS)('1,000 images of Fashion-MNIST as %s have the same probabilities', (inputKind) => {
  test('in ONNX Runtime', async () => {
    expect(await worstOnnx(withInput(judged, inputKind))).toBeLessThan(LIMIT);
  });

  test('in TensorFlow.js', async () => {
    expect(await worstTfjs(withInput(judged, inputKind))).toBeLessThan(LIMIT);
  });
});
