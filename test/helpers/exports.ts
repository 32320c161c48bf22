/** Exports for tests: models that need no training, and what the reference engine and others say of images. */
import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import * as ort from 'onnxruntime-node';
import { openModel } from '../../coordinator/run-directory/open-model.ts';
import { encodeModelFile } from '../../protocol/state/model-file.ts';
import type { ModelFile } from '../../protocol/state/model-file.ts';
import { modelSpecSchema } from '../../protocol/state/model-spec.ts';
import type { ModelSpec } from '../../protocol/state/model-spec.ts';
import { MODELS } from '../../protocol/state/models.ts';
import { exportModel } from '../../scripts/export/export-model.ts';
import { describeExport } from '../../scripts/export/exported-model.ts';
import type { ExportedModel, InputKind } from '../../scripts/export/exported-model.ts';
import type { ExportFile } from '../../scripts/export/format.ts';
import { FORMAT_NAMES } from '../../scripts/export/formats.ts';
import { onnx } from '../../scripts/export/onnx.ts';
import { tfjs } from '../../scripts/export/tfjs.ts';
import { softmax } from '../../protocol/vectors/softmax.ts';
import { readFashionMnist, selectFashionMnist } from './fashion-mnist.ts';
import { ODD_MODELS, trainedState } from './models.ts';
import { createRememberedReference } from './remembered-reference.ts';
import { syntheticSamples } from './samples.ts';

/** Largest difference of a probability from the reference engine's. */
export const LIMIT = 1e-5;

/** Images, and the probabilities that the reference engine gives them: [numSamples, numClasses]. */
export interface Judged {
  readonly exported: ExportedModel;
  readonly images: Uint8Array<ArrayBuffer>;
  readonly numSamples: number;
  readonly probabilities: Float64Array;
}

/** What the other models of the tests do not have: values whose order a flatten changes, and no dense layer right behind. */
const FLATTENED_MODELS: readonly ModelSpec[] = [
  `{"name": "normed-units", "input": [2, 7, 6], "numClasses": 4, "layers": [
     {"kind": "conv", "filters": 3, "kernel": 3, "padding": "same"}, {"kind": "flatten"}, {"kind": "batchNorm"},
     {"kind": "dropout", "rate": 0.5}, {"kind": "flatten"}, {"kind": "dense", "units": 4, "activation": "none"}]}`,
  `{"name": "residual-units", "input": [2, 4, 3], "numClasses": 4, "layers": [
     {"kind": "flatten"}, {"kind": "residual", "layers": [{"kind": "dense", "units": 24, "activation": "none"}]},
     {"kind": "batchNorm"}, {"kind": "dense", "units": 4}]}`,
  `{"name": "map-of-classes", "input": [3, 8, 8], "numClasses": 12, "layers": [
     {"kind": "conv", "filters": 2, "kernel": 3, "activation": "none"}, {"kind": "maxPool", "size": 2},
     {"kind": "conv", "filters": 3, "kernel": 2, "activation": "none"},
     {"kind": "conv", "filters": 3, "kernel": 1, "padding": "same"}, {"kind": "averagePool", "size": 1},
     {"kind": "conv", "filters": 3, "kernel": 2, "padding": "same"}, {"kind": "conv", "filters": 3, "kernel": 1},
     {"kind": "maxPool", "size": 1}, {"kind": "conv", "filters": 3, "kernel": 1, "activation": "none"},
     {"kind": "averagePool", "size": 1}, {"kind": "conv", "filters": 12, "kernel": 2, "activation": "none"},
     {"kind": "globalAveragePool"}, {"kind": "batchNorm"}]}`,
  `{"name": "flattened-outputs", "input": [2, 5, 4], "numClasses": 6, "layers": [
     {"kind": "conv", "filters": 3, "kernel": 4, "activation": "none"}, {"kind": "batchNorm"}, {"kind": "flatten"}]}`,
].map((json) => modelSpecSchema.parse(JSON.parse(json)));

/** Every layer kind in every place where it may stand. */
export const EXPORTED_MODELS: readonly ModelSpec[] = [...ODD_MODELS, ...FLATTENED_MODELS];

/** A model in the state of {@link trainedState}, as if it had been opened from a file that is not there. */
export function exportOf(spec: ModelSpec, inputKind: InputKind = 'bytes', seed = 1): ExportedModel {
  const file: ModelFile = {
    ...trainedState(spec, seed),
    classes: Array.from({ length: spec.numClasses }, (_, label) => `class ${label}`),
    step: 7,
    epoch: 2,
    accuracy: 0.5,
    dataset: { name: 'made-up', sha256: 'ab'.repeat(32) },
  };
  const opened = { ...file, path: 'model.safetensors', fileSha256: 'cd'.repeat(32) };
  return describeExport(opened, { isBest: false, inputKind, version: '1.2.3' });
}

/** `conv-pool` and the first 1,000 test images of Fashion-MNIST. */
export async function judgedFashionMnist(): Promise<Judged> {
  const { evaluation } = selectFashionMnist(await readFashionMnist(), { testSamples: 1000 });
  return judge(exportOf(MODELS['conv-pool']), evaluation.images, evaluation.numSamples);
}

/** The same model, to be exported for another input. */
export function withInput(judged: Judged, inputKind: InputKind): Judged {
  return { ...judged, exported: { ...judged.exported, inputKind } };
}

/** A model and synthetic images. */
export async function judgedSynthetic(spec: ModelSpec, inputKind?: InputKind, seed = 1): Promise<Judged> {
  const exported = exportOf(spec, inputKind, seed);
  const { images, numSamples } = syntheticSamples(exported.model.plan, 20, seed);
  return judge(exported, images, numSamples);
}

/** One image that is black all over. */
export function judgedBlack(exported: ExportedModel): Promise<Judged> {
  return judge(exported, new Uint8Array(exported.model.plan.inputSize), 1);
}

async function judge(exported: ExportedModel, images: Uint8Array<ArrayBuffer>, numSamples: number): Promise<Judged> {
  const { plan, parameters, buffers } = exported.model;
  const engine = await createRememberedReference({ plan, parameters, buffers, maxBatch: numSamples, threads: 1 });
  const { numClasses } = plan.spec;
  const outputs = new Float32Array(numSamples * numClasses);
  await engine.evaluate({ images, labels: new Uint8Array(numSamples), numSamples }, outputs);
  await engine.dispose();
  const probabilities = new Float64Array(outputs.length);
  for (let at = 0; at < outputs.length; at += numClasses) {
    probabilities.set(softmax(outputs.subarray(at, at + numClasses)), at);
  }
  return { exported, images, numSamples, probabilities };
}

/** As a model with this input takes the images. */
function pixelsOf({ exported, images }: Judged): Uint8Array | Float32Array {
  return exported.inputKind === 'bytes' ? images : Float32Array.from(images, (byte) => byte / 255);
}

/** Writes the model file, as a run would, and an export of it in each format: `folder/onnx`, ... */
export async function writeExports(folder: string, { model, version, inputKind }: ExportedModel): Promise<void> {
  const { step, epoch, accuracy, dataset, classes } = model;
  const path = join(folder, 'model.safetensors');
  const facts = { epoch, accuracy, dataset: dataset && { ...dataset, classes } };
  writeFileSync(path, encodeModelFile({ ...model, averages: undefined, step }, facts));
  const exported = describeExport(openModel(path), { isBest: false, inputKind, version });
  for (const format of FORMAT_NAMES) await exportModel(exported, format, join(folder, format));
}

/** Throws where lengths differ; NaN where a value is none. */
export function worstDifference(values: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (values.length !== expected.length) throw new Error(`${values.length} values, expected ${expected.length}`);
  return Array.from(expected).reduce((worst, value, at) => Math.max(worst, Math.abs(values[at]! - value)), 0);
}

/** What ONNX Runtime gives for the images, by the names of the outputs, in their order. */
export async function runOnnx(judged: Judged): Promise<Map<string, ort.Tensor>> {
  const { exported, numSamples } = judged;
  const [file] = onnx.files(exported);
  const session = await ort.InferenceSession.create(file!.content as Uint8Array, { logSeverityLevel: 3 });
  const pixels = pixelsOf(judged);
  const shape = [numSamples, ...exported.model.plan.spec.input];
  const images = pixels instanceof Uint8Array ? new ort.Tensor('uint8', pixels, shape) : new ort.Tensor(pixels, shape);
  const results = await session.run({ images });
  const outputs = new Map(session.outputNames.map((name) => [name, results[name]!]));
  await session.release();
  return outputs;
}

/** Of ONNX Runtime. */
export async function worstOnnx(judged: Judged): Promise<number> {
  const outputs = await runOnnx(judged);
  return worstDifference(outputs.get('probabilities')!.data as Float32Array, judged.probabilities);
}

/** A layers model from its text and its shards; its backend must have been started. */
export async function loadTfjs(files: readonly ExportFile[]): Promise<tf.LayersModel> {
  const { modelTopology, weightsManifest } = JSON.parse(files[0]!.content as string) as {
    modelTopology: object;
    weightsManifest: [{ weights: tf.io.WeightsManifestEntry[] }];
  };
  const weightData = new Uint8Array(Buffer.concat(files.slice(1).map(({ content }) => content as Uint8Array))).buffer;
  return tf.loadLayersModel(tf.io.fromMemory({ modelTopology, weightSpecs: weightsManifest[0].weights, weightData }));
}

/** Of TensorFlow.js. Default: with the model as it is exported. */
export async function worstTfjs(judged: Judged, model?: tf.LayersModel): Promise<number> {
  const loaded = model ?? (await loadTfjs(tfjs.files(judged.exported)));
  const [channels, height, width] = judged.exported.model.plan.spec.input;
  const values = tf.tidy(() => {
    const images_BCHW = tf.tensor4d(Float32Array.from(pixelsOf(judged)), [judged.numSamples, channels, height, width]);
    return (loaded.predict(tf.transpose(images_BCHW, [0, 2, 3, 1]), { batchSize: 250 }) as tf.Tensor).dataSync();
  });
  loaded.dispose();
  return worstDifference(values, judged.probabilities);
}

/** The nth block of code of a language in a model card. */
export function codeOf(card: string, language: string, nth = 0): string {
  return [...card.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))][nth]![1]!;
}

/** Lets programs in a folder find this checkout's packages. */
export function linkPackages(folder: string): void {
  symlinkSync(fileURLToPath(new URL('../../node_modules', import.meta.url)), join(folder, 'node_modules'));
}
