/** `--format tfjs`: TensorFlow.js gives the reference engine's probabilities for models of every kind. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { modelSpecSchema } from '../../../protocol/state/model-spec.ts';
import { INPUT_KINDS } from '../../../scripts/export/exported-model.ts';
import type { ExportFile } from '../../../scripts/export/format.ts';
import { tfjs } from '../../../scripts/export/tfjs.ts';
import { startBackend } from '../../../worker/engines/tfjs/loader.ts';
import { EXPORTED_MODELS, exportOf, judgedSynthetic, LIMIT, loadTfjs, worstTfjs } from '../../helpers/exports.ts';
import { smallModels } from '../../helpers/models.ts';

beforeAll(async () => {
  await startBackend('wasm', 1);
});

describe('a layers model has the probabilities of the reference engine', () => {
  test.each(EXPORTED_MODELS)('for $name', async (spec) => {
    expect(await worstTfjs(await judgedSynthetic(spec))).toBeLessThan(LIMIT);
  });

  test('for any small model', async () => {
    await fc.assert(
      fc.asyncProperty(smallModels, fc.constantFrom(...INPUT_KINDS), async (spec, inputKind) => {
        expect(await worstTfjs(await judgedSynthetic(spec, inputKind))).toBeLessThan(LIMIT);
      }),
      { numRuns: 15 },
    );
  });
});

test('a model of several shards is loaded from a web server, with its classes', async () => {
  const spec = modelSpecSchema.parse({
    name: 'wide',
    input: [2, 16, 16],
    numClasses: 5,
    layers: [{ kind: 'flatten' }, { kind: 'dense', units: 2100 }, { kind: 'dense', units: 5, activation: 'none' }],
  });
  const judged = await judgedSynthetic(spec);
  const files = tfjs.files(judged.exported);
  expect(files.map(({ name }) => name)).toEqual(['model.json', 'group1-shard1of2.bin', 'group1-shard2of2.bin']);
  expect(files[1]!.content).toHaveLength(4 * 2 ** 20);
  const model = await tf.loadLayersModel(`${await serve(files)}/model.json`);
  expect(model.inputs[0]!.shape).toEqual([null, 16, 16, 2]);
  expect(model.outputNames).toEqual(['probabilities']);
  expect((model.getUserDefinedMetadata() as { classes: string[] }).classes).toEqual(judged.exported.model.classes);
  expect(await worstTfjs(judged, model)).toBeLessThan(LIMIT);
});

test('residual blocks and dropout are layers, and no number is missing', async () => {
  const { model, ...exported } = exportOf(EXPORTED_MODELS.find(({ name }) => name === 'residual')!);
  const loaded = await loadTfjs(tfjs.files({ model, ...exported }));
  const classNames = loaded.layers.map((layer) => layer.getClassName());
  expect(classNames.filter((name) => name === 'Add')).toHaveLength(6);
  expect(classNames.filter((name) => name === 'Dropout')).toHaveLength(1);
  expect(loaded.countParams()).toBe(model.plan.numParameters + model.plan.numBuffers);
  loaded.dispose();
});

/** The URL of a server that has these files, until the test is over. */
async function serve(files: readonly ExportFile[]): Promise<string> {
  const server = createServer((request, response) => {
    const file = files.find(({ name }) => request.url === `/${name}`);
    response.writeHead(file ? 200 : 404).end(file?.content);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
