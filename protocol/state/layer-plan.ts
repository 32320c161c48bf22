/** Layer plans: a model's layers with their shapes and the slots of their tensors; what engines walk. */
import type { TensorSlot } from './tensor-slot.ts';

export interface Padding {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

interface LayerPlanBase {
  /** The layer of the spec that it comes from, as messages name it: "3 (conv)"; within a residual block "3.2 (conv)". */
  readonly place: string;
  /** Shape of one sample before and after the layer, without the batch. */
  readonly inputShape: readonly number[];
  readonly outputShape: readonly number[];
}

/** A layer with its shapes and the slots of its tensors; what engines walk. */
export type LayerPlan = LayerPlanBase &
  (
    | {
        readonly kind: 'conv';
        readonly relu: boolean;
        readonly kernel: number;
        readonly stride: number;
        /** Rows and columns of zeros around the input. */
        readonly padding: Padding;
        /** [filters, channels, kernel, kernel] */
        readonly weight: TensorSlot;
        /** [filters] */
        readonly bias: TensorSlot;
      }
    | { readonly kind: 'maxPool'; readonly size: number }
    /** Windows of [rows, columns] that do not overlap; a global pool is one window. */
    | { readonly kind: 'averagePool'; readonly window: readonly [number, number] }
    | { readonly kind: 'flatten' }
    | {
        readonly kind: 'dense';
        readonly relu: boolean;
        /** [in, out] */
        readonly weight: TensorSlot;
        /** [out] */
        readonly bias: TensorSlot;
      }
    | {
        /** Features are channels of a feature map, or the units of a flat sample; the other axes are averaged over. */
        readonly kind: 'batchNorm';
        readonly gamma: TensorSlot;
        readonly beta: TensorSlot;
        /** Slots in the *buffers* vector (running values) and, at the same offsets, in a statistics vector. */
        readonly mean: TensorSlot;
        readonly variance: TensorSlot;
      }
    /** Its values are units `firstUnit` and on of a sample's dropout mask: see `protocol/data/dropout.ts`. */
    | { readonly kind: 'dropout'; readonly rate: number; readonly firstUnit: number }
    /** The input goes on unchanged, and also to the join that closes the innermost open fork. */
    | { readonly kind: 'fork' }
    /** The fork's value plus the input, then ReLU where the layer has one. */
    | { readonly kind: 'join'; readonly relu: boolean }
  );
