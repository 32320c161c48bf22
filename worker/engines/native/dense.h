// A dense layer's two products that keep the samples in the lanes: forward, and the gradient of its input.
//
//     y[o]  = b[o] + sum over i of w[i][o] x[i]
//     dx[i] = sum over o of w[i][o] dy[o]
//
// Register blocks: BLOCK outputs (or inputs) x two panels, so that each weight feeds two multiply-adds and each loaded
// vector BLOCK. The order of summation in an element is the same whatever block computes it.
//
// A ReLU below leaves many inputs at 0 in every sample of a panel: a filter that is never active, a corner where there
// is only background. Their products are left out of y, where 0 times the weight is 0: a weight that is not finite
// makes NaN of it, see `allFinite`. Their dx is 0, cut by the ReLU, and is not summed.
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

// A finite number times 0 is 0, any other NaN.
static bool allFinite(const float *values, size_t count) {
  constexpr size_t STEP = 4 * LANES;
  vec sum[4] = {};
  size_t i = 0;
  for (; i + STEP <= count; i += STEP) {
    UNROLL for (size_t j = 0; j < 4; j++) sum[j] += *(const looseVec *)(values + i + j * LANES) * 0.0f;
  }
  float rest = 0;
  for (; i < count; i++) rest += values[i] * 0.0f;
  const vec all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  for (int lane = 0; lane < LANES; lane++) rest += all[lane];
  return rest == 0;
}

// The inputs of a chunk that are summed.
struct ChunkInputs {
  bool isFirst; // the chunk begins the sums
  int count;
  int of[INPUT_CHUNK * 3 / 2];
};

// Takes the inputs first..last, without those that are 0 in all lanes if `skipZeros`.
template <int PANELS>
static void chooseInputs(const DenseShape &s, const vec *x_PI, int first, int last, bool skipZeros, ChunkInputs *to) {
  to->isFirst = first == 0, to->count = 0;
  for (int i = first; i < last; i++) {
    intVec some = {};
    UNROLL for (int p = 0; p < PANELS; p++) some |= x_PI[p * s.I + i] != 0;
    to->of[to->count] = i;
    to->count += !skipZeros || anyLane(some);
  }
}

// One register block: y[o..o+B) of PANELS panels. Sums go on from y unless the chunk is the first.
template <int B, int PANELS>
REGISTER_BLOCK void denseBlock(const DenseShape &s, const vec *x_PI, const ChunkInputs &inputs, const float *w_IO,
                               const float *bias_O, bool withRelu, int o, vec *y_PO) {
  vec sum[B][PANELS];
  UNROLL for (int b = 0; b < B; b++) {
    UNROLL for (int p = 0; p < PANELS; p++) sum[b][p] = inputs.isFirst ? splat(bias_O[o + b]) : y_PO[p * s.O + o + b];
  }
  for (int k = 0; k < inputs.count; k++) {
    const int i = inputs.of[k];
    const float *w = w_IO + (size_t)i * s.O + o;
    UNROLL for (int b = 0; b < B; b++) UNROLL for (int p = 0; p < PANELS; p++) sum[b][p] += x_PI[p * s.I + i] * w[b];
  }
  UNROLL for (int b = 0; b < B; b++) {
    UNROLL for (int p = 0; p < PANELS; p++) y_PO[p * s.O + o + b] = withRelu ? relu(sum[b][p]) : sum[b][p];
  }
}

template <int PANELS>
static void denseChunk(const DenseShape &s, const vec *x_PI, int first, int last, bool skipZeros, const float *w_IO,
                       const float *bias_O, bool withRelu, vec *y_PO) {
  ChunkInputs inputs;
  chooseInputs<PANELS>(s, x_PI, first, last, skipZeros, &inputs);
  const auto at = [&](auto block, int o) { block(s, x_PI, inputs, w_IO, bias_O, withRelu, o, y_PO); };
  int o = 0;
  for (; o + DENSE_BLOCK <= s.O; o += DENSE_BLOCK) at(denseBlock<DENSE_BLOCK, PANELS>, o);
  for (; o + 4 <= s.O; o += 4) at(denseBlock<4, PANELS>, o);
  for (; o < s.O; o++) at(denseBlock<1, PANELS>, o);
}

// x_PI, y_PO: `panels` panels. w_IO and bias_O are read where the parameters lie. zerosBelow: x has zeros to look
// for, if there are panels enough to make up for a look at the weights.
static void denseForward(const DenseShape &s, const vec *x_PI, int panels, const float *w_IO, const float *bias_O,
                         bool zerosBelow, bool withRelu, vec *y_PO) {
  const int chunks = std::max(1, (s.I + INPUT_CHUNK / 2) / INPUT_CHUNK);
  for (int chunk = 0; chunk < chunks; chunk++) {
    const int first = (int)((long long)s.I * chunk / chunks), last = (int)((long long)s.I * (chunk + 1) / chunks);
    const bool reluNow = withRelu && last == s.I;
    const bool skipZeros =
        zerosBelow && panels > 2 && allFinite(w_IO + (size_t)first * s.O, (size_t)(last - first) * s.O);
    for (int p = 0; p < panels; p += 2) {
      const auto run = p + 2 <= panels ? denseChunk<2> : denseChunk<1>;
      run(s, x_PI + (size_t)p * s.I, first, last, skipZeros, w_IO, bias_O, reluNow, y_PO + (size_t)p * s.O);
    }
  }
}

// dx[i..i+B). What comes next is fetched while this is computed: the weights and the cuts of the next inputs, and the
// lines that are written at the end.
template <int B, int PANELS>
REGISTER_BLOCK void denseInputBlock(const DenseShape &s, const vec *dy_PO, const float *w_IO, int i,
                                    const vec *cutBy_PI, vec *dx_PI) {
  intVec passes = {};
  UNROLL for (int b = 0; b < B; b++) {
    UNROLL for (int p = 0; p < PANELS; p++) {
      const int at = p * s.I + i + b;
      __builtin_prefetch(dx_PI + at, 1);
      if (!cutBy_PI) continue;
      __builtin_prefetch(cutBy_PI + at + B);
      passes |= ~(cutBy_PI[at] <= 0);
    }
  }
  if (cutBy_PI && !anyLane(passes)) {
    UNROLL for (int b = 0; b < B; b++) UNROLL for (int p = 0; p < PANELS; p++) dx_PI[p * s.I + i + b] = vec{};
    return;
  }
  vec sum[B][PANELS];
  UNROLL for (int b = 0; b < B; b++) UNROLL for (int p = 0; p < PANELS; p++) sum[b][p] = vec{};
  const float *w = w_IO + (size_t)i * s.O;
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
