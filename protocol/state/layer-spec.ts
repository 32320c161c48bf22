/** Layer specs: the kinds of layers that a model may be made of, as plain data. */
import { z } from 'zod';

export const countSchema = z.int().min(1).max(1_000_000);
const activation = z.enum(['relu', 'none']);

/** Convolutions are square; pools do not overlap (stride = size). */
const simpleLayers = [
  z.strictObject({
    kind: z.literal('conv'),
    filters: countSchema,
    kernel: countSchema,
    /** Rows and columns from one window to the next. */
    stride: countSchema.optional(),
    /** `valid`: windows lie within the map. `same`: zeros around the map give ceil(size / stride) rows and columns. */
    padding: z.enum(['valid', 'same']).optional(),
    activation: activation.default('relu'),
  }),
  z.strictObject({ kind: z.literal('maxPool'), size: countSchema }),
  z.strictObject({ kind: z.literal('averagePool'), size: countSchema }),
  /** The mean of each channel's whole map: [channels]. */
  z.strictObject({ kind: z.literal('globalAveragePool') }),
  z.strictObject({ kind: z.literal('flatten') }),
  z.strictObject({ kind: z.literal('dense'), units: countSchema, activation: activation.default('relu') }),
  z.strictObject({ kind: z.literal('batchNorm') }),
  /** In training each value is 0 with probability `rate`, and else divided by 1 - rate; in evaluation all stay. */
  z.strictObject({ kind: z.literal('dropout'), rate: z.number().min(0).max(0.99) }),
] as const;

/** Every layer kind. A residual block gives activation(x + layers(x)); its layers keep the shape of x. */
export const layerSchema = z.discriminatedUnion('kind', [
  ...simpleLayers,
  z.strictObject({
    kind: z.literal('residual'),
    layers: z.array(z.discriminatedUnion('kind', simpleLayers)).min(1).max(100),
    activation: activation.default('relu'),
  }),
]);

export type LayerSpec = z.infer<typeof layerSchema>;
