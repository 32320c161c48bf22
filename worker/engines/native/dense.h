// A dense layer's two products that keep the samples in the lanes: forward, and the gradient of its input.
//
//     y[o]  = b[o] + sum over i of w[i][o] x[i]
//     dx[i] = sum over o of w[i][o] dy[o]
//
// Register blocks: BLOCK outputs (or inputs) x two panels, so that each weight feeds two multiply-adds and each loaded
// vector BLOCK. The order of summation in an element is the same whatever block computes it.
#pragma once
#include <algorithm>
#include <cstddef>
#include "simd.h"

struct DenseShape {
  int I, O;
};

constexpr int DENSE_BLOCK = ACCUMULATORS / 2;
// Inputs summed before the next outputs are visited, about: two panels of them are 32 kB with 16 lanes and stay in the
// first level of cache, their weights (256 x 120 floats = 123 kB in the models at hand) in the second.
constexpr int INPUT_CHUNK = 256;

// One register block: y[o..o+B) of PANELS panels over the inputs first..last. Sums go on from y unless `first` is 0.
template <int B, int PANELS>
REGISTER_BLOCK void denseBlock(const DenseShape &s, const vec *x_PI, int first, int last, const float *w_IO,
                               const float *bias_O, bool withRelu, int o, vec *y_PO) {
  vec sum[B][PANELS];
  UNROLL for (int b = 0; b < B; b++) {
    UNROLL for (int p = 0; p < PANELS; p++) sum[b][p] = first == 0 ? splat(bias_O[o + b]) : y_PO[p * s.O + o + b];
  }
  for (int i = first; i < last; i++) {
    const float *w = w_IO + (size_t)i * s.O + o;
    UNROLL for (int b = 0; b < B; b++) UNROLL for (int p = 0; p < PANELS; p++) sum[b][p] += x_PI[p * s.I + i] * w[b];
  }
  UNROLL for (int b = 0; b < B; b++) {
    UNROLL for (int p = 0; p < PANELS; p++) y_PO[p * s.O + o + b] = withRelu ? relu(sum[b][p]) : sum[b][p];
  }
}

template <int PANELS>
static void denseChunk(const DenseShape &s, const vec *x_PI, int first, int last, const float *w_IO,
                       const float *bias_O, bool withRelu, vec *y_PO) {
  const auto at = [&](auto block, int o) { block(s, x_PI, first, last, w_IO, bias_O, withRelu, o, y_PO); };
  int o = 0;
  for (; o + DENSE_BLOCK <= s.O; o += DENSE_BLOCK) at(denseBlock<DENSE_BLOCK, PANELS>, o);
  for (; o + 4 <= s.O; o += 4) at(denseBlock<4, PANELS>, o);
  for (; o < s.O; o++) at(denseBlock<1, PANELS>, o);
}

// x_PI, y_PO: `panels` panels. w_IO and bias_O are read where the parameters lie.
static void denseForward(const DenseShape &s, const vec *x_PI, int panels, const float *w_IO, const float *bias_O,
                         bool withRelu, vec *y_PO) {
  const int chunks = std::max(1, (s.I + INPUT_CHUNK / 2) / INPUT_CHUNK);
  for (int chunk = 0; chunk < chunks; chunk++) {
    const int first = (int)((long long)s.I * chunk / chunks), last = (int)((long long)s.I * (chunk + 1) / chunks);
    const bool reluNow = withRelu && last == s.I;
    for (int p = 0; p < panels; p += 2) {
      const auto run = p + 2 <= panels ? denseChunk<2> : denseChunk<1>;
      run(s, x_PI + (size_t)p * s.I, first, last, w_IO, bias_O, reluNow, y_PO + (size_t)p * s.O);
    }
  }
}

// dx[i..i+B). What comes next is fetched while this is computed: the weights of the next inputs, and at the end of a
// block whose sums take a thousand cycles, the lines that it reads and writes once.
template <int B, int PANELS>
REGISTER_BLOCK void denseInputBlock(const DenseShape &s, const vec *dy_PO, const float *w_IO, int i,
                                    const vec *cutBy_PI, vec *dx_PI) {
  vec sum[B][PANELS];
  UNROLL for (int b = 0; b < B; b++) UNROLL for (int p = 0; p < PANELS; p++) sum[b][p] = vec{};
  const float *w = w_IO + (size_t)i * s.O;
  UNROLL for (int b = 0; b < B; b++) {
    UNROLL for (int p = 0; p < PANELS; p++) {
      if (cutBy_PI) __builtin_prefetch(cutBy_PI + p * s.I + i + b);
      __builtin_prefetch(dx_PI + p * s.I + i + b, 1);
    }
  }
  for (int o = 0; o < s.O; o++) {
    __builtin_prefetch(w + B * s.O + o * B);
    UNROLL for (int b = 0; b < B; b++) {
      UNROLL for (int p = 0; p < PANELS; p++) sum[b][p] += dy_PO[p * s.O + o] * w[b * s.O + o];
    }
  }
  UNROLL for (int b = 0; b < B; b++) {
    UNROLL for (int p = 0; p < PANELS; p++) {
      const int at = p * s.I + i + b;
      dx_PI[at] = cutBy_PI ? cut(sum[b][p], cutBy_PI[at]) : sum[b][p];
    }
  }
}

template <int PANELS>
static void denseInputPanels(const DenseShape &s, const vec *dy_PO, const float *w_IO, const vec *cutBy_PI,
                             vec *dx_PI) {
  int i = 0;
  const auto at = [&](auto block) { block(s, dy_PO, w_IO, i, cutBy_PI, dx_PI); };
  for (; i + DENSE_BLOCK <= s.I; i += DENSE_BLOCK) at(denseInputBlock<DENSE_BLOCK, PANELS>);
  for (; i + 4 <= s.I; i += 4) at(denseInputBlock<4, PANELS>);
  for (; i < s.I; i++) at(denseInputBlock<1, PANELS>);
}

// One or two panels. cutBy_PI: the layer's input where a ReLU made it (its gradient is cut there), else null.
static void denseInputGradient(const DenseShape &s, const vec *dy_PO, int panels, const float *w_IO,
                               const vec *cutBy_PI, vec *dx_PI) {
  (panels == 2 ? denseInputPanels<2> : denseInputPanels<1>)(s, dy_PO, w_IO, cutBy_PI, dx_PI);
}
