/** Models for tests: small, odd, and every layer kind in every place where it may stand. */
import fc from 'fast-check';
import {
  initialParameters,
  modelSpecSchema,
  planModel,
  type ModelPlan,
  type ModelSpec,
} from '../../protocol/state/model-spec.ts';
import { uniformFloats } from '../../protocol/data/random.ts';

/** What the named models leave out, as a user's JSON files would say it. */
export const ODD_MODELS: readonly ModelSpec[] = [
  // Batch norm over channels, a pool of 3 that leaves a row and two columns out, dense without ReLU, no norm at the end.
  `{"name": "norm-over-channels", "input": [3, 12, 13], "numClasses": 7, "layers": [
     {"kind": "conv", "filters": 5, "kernel": 3, "activation": "none"}, {"kind": "batchNorm"},
     {"kind": "maxPool", "size": 3}, {"kind": "flatten"},
     {"kind": "dense", "units": 11, "activation": "none"}, {"kind": "batchNorm"},
     {"kind": "dense", "units": 7, "activation": "none"}]}`,
  // One filter, kernels of one, pools one after the other and of one, a map that ends as a single pixel.
  `{"name": "single-pixel", "input": [2, 17, 9], "numClasses": 3, "layers": [
     {"kind": "maxPool", "size": 1}, {"kind": "conv", "filters": 1, "kernel": 1}, {"kind": "batchNorm"},
     {"kind": "maxPool", "size": 2}, {"kind": "maxPool", "size": 2}, {"kind": "conv", "filters": 19, "kernel": 2},
     {"kind": "batchNorm"}, {"kind": "flatten"}, {"kind": "flatten"},
     {"kind": "dense", "units": 3, "activation": "none"}]}`,
  // A norm first of all, over raw pixels; dense layers of one unit and of odd widths; a deep head.
  `{"name": "norm-first", "input": [1, 5, 7], "numClasses": 2, "layers": [
     {"kind": "batchNorm"}, {"kind": "flatten"}, {"kind": "dense", "units": 33}, {"kind": "dense", "units": 17},
     {"kind": "batchNorm"}, {"kind": "dense", "units": 1, "activation": "none"},
     {"kind": "dense", "units": 2, "activation": "none"}, {"kind": "batchNorm"}]}`,
  // A kernel as large as the map: softmax regression, written as a convolution.
  `{"name": "whole-map-kernel", "input": [1, 6, 6], "numClasses": 4, "layers": [
     {"kind": "conv", "filters": 4, "kernel": 6, "activation": "none"}, {"kind": "flatten"}]}`,
  // Padding on maps of any remainder, strides of 2 and 3, an even kernel, a stride beyond the kernel; average and global pools.
  `{"name": "padded-and-strided", "input": [3, 13, 10], "numClasses": 5, "layers": [
     {"kind": "conv", "filters": 7, "kernel": 3, "padding": "same", "stride": 2},
     {"kind": "conv", "filters": 4, "kernel": 4, "padding": "same"}, {"kind": "averagePool", "size": 2},
     {"kind": "batchNorm"}, {"kind": "conv", "filters": 9, "kernel": 1, "stride": 2, "activation": "none"},
     {"kind": "conv", "filters": 5, "kernel": 5, "padding": "same", "stride": 3}, {"kind": "globalAveragePool"},
     {"kind": "dense", "units": 5, "activation": "none"}]}`,
  // A strided kernel on raw pixels, a pool after a stride, a pool that leaves rows out, dropout on a map and on units.
  `{"name": "dropped-out", "input": [2, 15, 16], "numClasses": 4, "layers": [
     {"kind": "conv", "filters": 6, "kernel": 3, "stride": 2}, {"kind": "maxPool", "size": 2},
     {"kind": "dropout", "rate": 0.25}, {"kind": "conv", "filters": 3, "kernel": 2, "padding": "same"},
     {"kind": "averagePool", "size": 2}, {"kind": "flatten"}, {"kind": "dense", "units": 20},
     {"kind": "dropout", "rate": 0.5}, {"kind": "dense", "units": 4, "activation": "none"}]}`,
  // Residual blocks on raw pixels, on a map with norms, below a pool, one after the other, on units, and as the last layer.
  `{"name": "residual", "input": [3, 9, 8], "numClasses": 6, "layers": [
     {"kind": "residual", "layers": [{"kind": "conv", "filters": 3, "kernel": 3, "padding": "same"}]},
     {"kind": "conv", "filters": 8, "kernel": 3, "padding": "same"},
     {"kind": "residual", "layers": [
       {"kind": "conv", "filters": 5, "kernel": 3, "padding": "same"}, {"kind": "batchNorm"},
       {"kind": "conv", "filters": 8, "kernel": 3, "padding": "same", "activation": "none"}, {"kind": "batchNorm"}]},
     {"kind": "maxPool", "size": 2}, {"kind": "batchNorm"},
     {"kind": "residual", "activation": "none", "layers": [{"kind": "dropout", "rate": 0.3}]},
     {"kind": "residual", "layers": [{"kind": "conv", "filters": 8, "kernel": 1}]},
     {"kind": "globalAveragePool"}, {"kind": "dense", "units": 6},
     {"kind": "residual", "layers": [{"kind": "dense", "units": 6}, {"kind": "dense", "units": 6, "activation": "none"}]},
     {"kind": "residual", "activation": "none", "layers": [{"kind": "dense", "units": 6, "activation": "none"}]}]}`,
  // More classes than a byte tells apart.
  `{"name": "many-classes", "input": [1, 4, 5], "numClasses": 300, "layers": [
     {"kind": "flatten"}, {"kind": "dense", "units": 7},
     {"kind": "dense", "units": 300, "activation": "none"}, {"kind": "batchNorm"}]}`,
].map((json) => modelSpecSchema.parse(JSON.parse(json)));

/** Every kind of layer on the dataset's images, in a hundredth of the time of `conv-pool`. */
export const QUICK_MODEL: ModelSpec = modelSpecSchema.parse({
  name: 'quick',
  input: [1, 28, 28],
  numClasses: 10,
  layers: [
    { kind: 'conv', filters: 3, kernel: 5 },
    { kind: 'maxPool', size: 2 },
    { kind: 'batchNorm' },
    { kind: 'flatten' },
    { kind: 'dense', units: 12 },
    { kind: 'batchNorm' },
    { kind: 'dense', units: 10, activation: 'none' },
  ],
});

const activation = fc.constantFrom('relu' as const, 'none' as const);
const conv = fc.record(
  {
    kind: fc.constant('conv' as const),
    filters: fc.integer({ min: 1, max: 5 }),
    kernel: fc.integer({ min: 1, max: 3 }),
    stride: fc.integer({ min: 1, max: 2 }),
    padding: fc.constantFrom('valid' as const, 'same' as const),
    activation,
  },
  { requiredKeys: ['kind', 'filters', 'kernel', 'activation'] },
);
const size = fc.integer({ min: 1, max: 3 });
const pool = fc.oneof(
  fc.record({ kind: fc.constant('maxPool' as const), size }),
  fc.record({ kind: fc.constant('averagePool' as const), size }),
);
const dense = fc.record({ kind: fc.constant('dense' as const), units: fc.integer({ min: 2, max: 9 }), activation });
const norm = fc.constant({ kind: 'batchNorm' as const });
const dropout = fc.record({ kind: fc.constant('dropout' as const), rate: fc.constantFrom(0, 0.2, 0.5) });
const residual = fc.record({
  kind: fc.constant('residual' as const),
  layers: fc.tuple(dropout, norm),
  activation,
});
const between = fc.oneof(norm, dropout, residual);

/**
 * Random small models: up to two convolutions, each perhaps followed by a pool and by a norm, a dropout or a residual block,
 * then up to two dense layers, each perhaps followed by one of these, then the output layer.
 */
export const smallModels: fc.Arbitrary<ModelSpec> = fc
  .record({
    channels: fc.integer({ min: 1, max: 3 }),
    height: fc.integer({ min: 13, max: 17 }),
    width: fc.integer({ min: 13, max: 17 }),
    numClasses: fc.integer({ min: 2, max: 5 }),
    mapBlocks: fc.array(fc.tuple(conv, fc.option(pool), fc.option(between)), { maxLength: 2 }),
    isPooled: fc.boolean(),
    flatBlocks: fc.array(fc.tuple(dense, fc.option(between)), { maxLength: 2 }),
    outputActivation: activation,
    lastNorm: fc.option(norm),
  })
  .map(
    ({
      channels,
      height,
      width,
      numClasses,
      mapBlocks,
      isPooled,
      flatBlocks,
      outputActivation,
      lastNorm,
    }): ModelSpec => ({
      name: 'random',
      input: [channels, height, width],
      numClasses,
      layers: [
        ...mapBlocks.flat(),
        { kind: isPooled && !isNormed(mapBlocks) ? ('globalAveragePool' as const) : ('flatten' as const) },
        ...flatBlocks.flat(),
        { kind: 'dense' as const, units: numClasses, activation: outputActivation },
        lastNorm,
      ].filter((layer) => layer !== null),
    }),
  )
  .filter(isValid);

/** The means of normed maps are nearly alike for all samples: the next norm would multiply their rounding errors. */
function isNormed(blocks: readonly (readonly [unknown, unknown, { readonly kind: string } | null])[]): boolean {
  return blocks.some(([, , after]) => after !== null && after.kind !== 'dropout');
}

/** Strides and pools may leave too little of a map for the next layer. */
function isValid(spec: ModelSpec): boolean {
  try {
    planModel(spec);
    return true;
  } catch {
    return false;
  }
}

/** A model and state as after some training: no bias is zero, no gamma one, no running statistic the initial. */
export function trainedState(spec: ModelSpec, seed: number) {
  const plan = planModel(spec);
  const parameters = initialParameters(plan, seed);
  const buffers = new Float32Array(plan.numBuffers);
  const random = uniformFloats(seed + 1);
  for (let i = 0; i < parameters.length; i++) parameters[i]! += 0.1 * (random() - 0.5);
  // Means 0 to 0.6, variances 0.2 to 1.2.
  plan.buffers.forEach(({ name, offset, size }) => {
    const isMean = name.endsWith('.mean');
    for (let at = offset; at < offset + size; at++) buffers[at] = isMean ? 0.6 * random() : 0.2 + random();
  });
  return { plan, parameters, buffers };
}

/** Vectors for one gradient, full of NaN: what is not written shows. */
export function gradientBuffers(plan: ModelPlan) {
  return {
    gradient: new Float32Array(plan.numParameters).fill(NaN),
    statistics: new Float32Array(plan.numBuffers).fill(NaN),
  };
}
