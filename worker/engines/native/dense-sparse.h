// The two products of a dense layer that reads images, without the products by a pixel of 0. Half of the pixels of
// clothes and digits are 0: what is skipped is half of a small network's arithmetic.
//
//     y[n][o] = b[o] + sum over i of w[i][o] x[n][i]            dw[i][o] = sum over n of x[n][i] dy[n][o]
//
// Here the *outputs* go to the lanes and the inputs come in small groups. A group's samples in which any pixel is not 0
// are bits of a word, and a loop over the bits does the work of those alone. Forward, a group's weights stay in
// registers and the y of its samples pass by, from and to the first level of cache; four inputs are a group, so that
// there is a store for four multiply-adds. For the gradient, a group's sums stay in registers and the dy of its samples
// pass by; two inputs are a group, for there is nothing to store. The larger the group, the more is computed for
// nothing, but pixels of 0 come in runs (Fashion-MNIST: 50 % of the pixels are not 0, 55 % of the pairs, 62 % of the
// fours).
//
// An infinity or NaN times 0 is NaN: so all this is for finite weights and gradients only, see `allFinite`. Whether a
// product is left out depends on its sample alone: the result is the same for any number of threads.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include "dense-weights.h"
#include "input.h"

// Pairs of vectors of outputs in a block, at most: what stays takes half of the registers, 4 x 4 or 2 x 8 of 32.
constexpr int FORWARD_INPUTS = 4, FORWARD_PAIRS = REGISTERS / 16;
constexpr int GRADIENT_INPUTS = 2, GRADIENT_PAIRS = REGISTERS / 8;
// Panels whose bits fill a word. The dy of its samples, 32 kB with 16 lanes, stay in the first level of cache.
constexpr int WORD_PANELS = 64 / MASK_BITS;
// What a thread has for y or dy of a word of samples, a block of outputs.
constexpr size_t SPARSE_SCRATCH = 64 * GRADIENT_PAIRS * 2;
// What an input has for its sums, however large the block: threads may be at blocks of other sizes.
constexpr int SUM_VECTORS = GRADIENT_PAIRS * 2;

// With AVX2 there was no reliable gain over computing everything: 16 registers of 8 lanes hold a quarter of the
// outputs, so lists are gone through four times as often for little work a sample. Narrower vectors compute long
// enough.
constexpr bool SKIPPING_PAYS = LANES != 8;
// Whether a layer's outputs are sums enough to hide the latency of a multiply-add.
static inline bool canSkipZeros(int O) { return SKIPPING_PAYS && outputPairs(O) * 2 >= GRADIENT_PAIRS; }

// Whether skipping is worth it: every eighth image is looked at. Visiting samples one by one costs about a fifth
// more than the blocks of dense.h do without looking.
static bool hasManyZeros(const uint8_t *images_NI, int samples, int I) {
  size_t pairs = 0, nonzero = 0;
  for (int n = 0; n < samples; n += 8) {
    const uint8_t *image = images_NI + (size_t)n * I;
    int count = 0;
    for (int i = 0; i + 2 <= I; i += 2) count += (image[i] | image[i + 1]) != 0;
    nonzero += count, pairs += I / 2;
  }
  return nonzero * 4 <= pairs * 3;
}

// The samples of `panels` panels from `panel` on, in which an input of i..i+B is not 0: a bit each, MASK_BITS a panel.
// The first panel's bits are the lowest, as on all machines that there are kernels for.
template <int B> static inline uint64_t nonzeroSamples(const PixelMasks &masks, int i, int panel, int panels) {
  uint64_t word = 0;
  UNROLL for (int b = 0; b < B; b++) {
    const Mask *from = masks.of_IP + (size_t)(i + b) * masks.stride + panel;
    uint64_t pixel = 0;
    if (panels == WORD_PANELS) std::memcpy(&pixel, from, sizeof pixel);
    else for (int p = 0; p < panels; p++) pixel |= (uint64_t)from[p] << (p * MASK_BITS);
    word |= pixel;
  }
  return word;
}

// Some panels of images, at most a word of them, and a block of outputs.
struct SparseBlock {
  const DenseShape &s;
  const vec *x_PI; // of the first panel
  const PixelMasks &masks;
  int panel, panels;
  int v; // the first vector of outputs, even
};

// The input of the sample at `bit` is the float x_PI[bit + bit / MASK_BITS * panelStep(I)].
static inline size_t panelStep(int I) { return (size_t)I * LANES - MASK_BITS; }

// `count` floats, the rest 0.
static inline vec loadSome(const float *from, int count) {
  vec v = {};
  for (int j = 0; j < std::min(count, LANES); j++) v[j] = from[j];
  return v;
}

// y_64V += the products with the inputs i..i+B. Lanes past O hold what follows in memory, weights too but in the last
// row; what they become is thrown away.
template <int B, int V>
REGISTER_BLOCK void addInputs(const SparseBlock &block, int i, const float *w_IO, vec *y_64V) {
  const int O = block.s.O;
  const size_t end = (size_t)block.s.I * O;
  vec w[B][V];
  UNROLL for (int b = 0; b < B; b++) {
    UNROLL for (int v = 0; v < V; v++) {
      const int o = (block.v + v) * LANES;
      const size_t at = (size_t)(i + b) * O + o;
      w[b][v] = inRegister(at + LANES <= end ? vec(*(const looseVec *)(w_IO + at)) : loadSome(w_IO + at, O - o));
    }
  }
  const float *x_PI = (const float *)(block.x_PI + i);
  const size_t toNextPanel = panelStep(block.s.I);
  for (uint64_t rest = nonzeroSamples<B>(block.masks, i, block.panel, block.panels); rest; rest &= rest - 1) {
    const size_t bit = __builtin_ctzll(rest);
    const float *x = x_PI + bit + bit / MASK_BITS * toNextPanel;
    vec *y = y_64V + bit * V;
    vec factor[B];
    UNROLL for (int b = 0; b < B; b++) factor[b] = inRegister(splat(x[b * LANES]));
    UNROLL for (int v = 0; v < V; v++) {
      vec sum = y[v];
      UNROLL for (int b = 0; b < B; b++) sum += w[b][v] * factor[b];
      y[v] = sum;
    }
  }
}

template <int Q>
REGISTER_BLOCK void sparseForwardBlock(const SparseBlock &block, const float *w_IO, const float *bias_O, bool withRelu,
                                       vec *y_64V, vec *y_PO) {
  constexpr int V = 2 * Q;
  const int O = block.s.O, I = block.s.I;
  vec bias[V];
  for (int v = 0; v < V; v++) bias[v] = loadSome(bias_O + (block.v + v) * LANES, O - (block.v + v) * LANES);
  for (int bit = 0; bit < block.panels * MASK_BITS; bit++) {
    UNROLL for (int v = 0; v < V; v++) y_64V[bit * V + v] = bias[v];
  }
  int i = 0;
  for (; i + FORWARD_INPUTS <= I; i += FORWARD_INPUTS) addInputs<FORWARD_INPUTS, V>(block, i, w_IO, y_64V);
  for (; i < I; i++) addInputs<1, V>(block, i, w_IO, y_64V);
  for (int p = 0; p < block.panels; p++) {
    for (int v = 0; v < V; v++) {
      vec rows[LANES];
      UNROLL for (int n = 0; n < LANES; n++) rows[n] = y_64V[(p * MASK_BITS + n) * V + v];
      transpose<LANES, LANES>(rows);
      const int o = (block.v + v) * LANES;
      vec *y = y_PO + (size_t)p * O + o;
      for (int j = 0; j < std::min(LANES, O - o); j++) y[j] = withRelu ? relu(rows[j]) : rows[j];
    }
  }
}

// Calls body(v, Q) for blocks of at most MOST pairs of vectors of outputs, as equal as can be: Q pairs, from vector v
// on. Q is a constant, of the type std::integral_constant.
template <int MOST, int Q = MOST, class Body> static inline void withPairs(int v, int pairs, const Body &body) {
  if constexpr (Q > 1) {
    if (pairs < Q) return withPairs<MOST, Q - 1>(v, pairs, body);
  }
  body(v, std::integral_constant<int, Q>{});
}
template <int MOST, class Body> static inline void forOutputs(int O, const Body &body) {
  const int pairs = outputPairs(O), blocks = (pairs + MOST - 1) / MOST;
  for (int k = 0; k < blocks; k++) {
    const int first = pairs * k / blocks, last = pairs * (k + 1) / blocks;
    withPairs<MOST>(first * 2, last - first, body);
  }
}

// y_PO of `panels` panels (at most WORD_PANELS) from `panel` on; x_PI and y_PO are of the first of them.
static void sparseForward(const DenseShape &s, const vec *x_PI, const PixelMasks &masks, int panel, int panels,
                          const float *w_IO, const float *bias_O, bool withRelu, vec *scratch, vec *y_PO) {
  forOutputs<FORWARD_PAIRS>(s.O, [&](int v, auto pairs) {
    sparseForwardBlock<pairs()>({s, x_PI, masks, panel, panels, v}, w_IO, bias_O, withRelu, scratch, y_PO);
  });
}

// Where the sums of a block of rows of dw go on: from 0 or from what the word before left in sums_IV; to there, or to
// dw when this is the last word.
struct SparseSums {
  const vec *dy_64V; // of the word's samples
  bool isFirst, isLast;
  vec *sums_IV;
  float *dw_IO;
};

template <int B, int Q> REGISTER_BLOCK void addSamples(const SparseBlock &block, int i, const SparseSums &to) {
  constexpr int V = 2 * Q;
  vec sum[B][V], *kept = to.sums_IV + (size_t)i * SUM_VECTORS;
  UNROLL for (int b = 0; b < B; b++) {
    UNROLL for (int v = 0; v < V; v++) sum[b][v] = to.isFirst ? vec{} : kept[b * SUM_VECTORS + v];
  }
  const float *x_PI = (const float *)(block.x_PI + i);
  const size_t toNextPanel = panelStep(block.s.I);
  const vec *dy_64V = to.dy_64V;
  for (uint64_t rest = nonzeroSamples<B>(block.masks, i, block.panel, block.panels); rest; rest &= rest - 1) {
    const size_t bit = __builtin_ctzll(rest);
    const float *x = x_PI + bit + bit / MASK_BITS * toNextPanel;
    const vec *dy = dy_64V + bit * V;
    vec factor[B];
    UNROLL for (int b = 0; b < B; b++) factor[b] = inRegister(splat(x[b * LANES]));
    UNROLL for (int v = 0; v < V; v++) {
      const vec d = inRegister(dy[v]);
      UNROLL for (int b = 0; b < B; b++) sum[b][v] += d * factor[b];
    }
  }
  UNROLL for (int b = 0; b < B; b++) {
    UNROLL for (int v = 0; v < V; v++) {
      const int o = (block.v + v) * LANES;
      if (to.isLast) storeSome(to.dw_IO + (size_t)(i + b) * block.s.O + o, sum[b][v], std::max(0, block.s.O - o));
      else kept[b * SUM_VECTORS + v] = sum[b][v];
    }
  }
}

// dy_QN2: from the block's first pair and the word's first sample on.
template <int Q>
REGISTER_BLOCK void sparseWeightRows(const SparseBlock &block, const vec *dy_QN2, int N, vec *dy_64V,
                                     const SparseSums &to, int first, int last) {
  for (int p = 0; p < block.panels; p++) {
    for (int n = 0; n < LANES; n++) {
      vec *dy = dy_64V + (size_t)(p * MASK_BITS + n) * 2 * Q;
      UNROLL for (int v = 0; v < 2 * Q; v++) dy[v] = dy_QN2[((size_t)(v / 2) * N + p * LANES + n) * 2 + v % 2];
    }
  }
  int i = first;
  for (; i + GRADIENT_INPUTS <= last; i += GRADIENT_INPUTS) addSamples<GRADIENT_INPUTS, Q>(block, i, to);
  for (; i < last; i++) addSamples<1, Q>(block, i, to);
}

// Rows first..last of dw_IO, `first` even. sums_IV: GRADIENT_PAIRS * 2 vectors an input, kept from word to word.
// scratch: SPARSE_SCRATCH vectors. Else as denseWeightGradient. Words of samples are outermost: their dy, 32 kB, stays
// in the first level of cache.
static void sparseWeightGradient(const DenseShape &s, const vec *x_PI, const PixelMasks &masks, int samples,
                                 const vec *dy_QN2, int N, int first, int last, vec *scratch, vec *sums_IV,
                                 float *dw_IO) {
  const int panels = (samples + LANES - 1) / LANES;
  forOutputs<GRADIENT_PAIRS>(s.O, [&](int v, auto pairs) {
    for (int panel = 0; panel < panels; panel += WORD_PANELS) {
      const int count = std::min(WORD_PANELS, panels - panel);
      const SparseBlock block = {s, x_PI + (size_t)panel * s.I, masks, panel, count, v};
      const vec *dy = dy_QN2 + ((size_t)(v / 2) * N + panel * LANES) * 2;
      const SparseSums to = {scratch, panel == 0, panel + count == panels, sums_IV, dw_IO};
      sparseWeightRows<pairs()>(block, dy, N, scratch, to, first, last);
    }
  });
}
