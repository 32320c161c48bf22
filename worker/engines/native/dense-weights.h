// A dense layer's weight and bias gradients: sums over the samples, so here the *outputs* go to the lanes.
//
//     dw[i][o] = sum over n of x[n][i] dy[n][o]          db[o] = sum over n of dy[n][o]
//
// dy is transposed first (it is small); of x, in its panels, each sample's float is spread over a vector.
// dy_QN2: [Q][N][2] vectors, Q pairs of vectors of outputs; outputs past O are 0. It passes by from the second level of
// cache, read in order, 16 bytes a cycle or less. Panels in which all of a block's inputs are 0 are left out where dy
// is finite, as in dense.h.
#pragma once
#include <algorithm>
#include "dense.h"

static inline int outputVectors(int O) { return (O + LANES - 1) / LANES; }
static inline int outputPairs(int O) { return (outputVectors(O) + 1) / 2; }

// One panel of dy into its rows of dy_QN2; N: samples of a pair of vectors, `first` the panel's first sample.
static void transposeGradient(int O, const vec *dy_O, int N, int first, vec *dy_QN2) {
  for (int v = 0; v < outputVectors(O); v++) {
    vec rows[LANES];
    for (int j = 0; j < LANES; j++) rows[j] = v * LANES + j < O ? dy_O[v * LANES + j] : vec{};
    transpose<LANES, LANES>(rows);
    vec *to = dy_QN2 + ((size_t)(v / 2) * N + first) * 2 + v % 2;
    for (int n = 0; n < LANES; n++) to[n * 2] = rows[n];
  }
}

// The first `count` floats of v.
static inline void storeSome(float *to, vec v, int count) {
  if (count >= LANES) {
    *(looseVec *)to = v;
    return;
  }
  for (int j = 0; j < count; j++) to[j] = v[j];
}

// The inputs of a block of rows, side by side, of the panels that are summed.
struct PackedInputs {
  vec *x; // [count][B]
  int *panels;
  int count;
};

// Where a block of rows of dw finds what it needs.
struct WeightRows {
  const vec *x_PI; // the first of its inputs
  int samples;
  bool skipZeros;
  const PackedInputs &packed;
  const vec *dy_QN2;
  int N;
  float *dw; // its first row
};

// B inputs x VECTORS vectors of outputs, from vector v on, over all samples. In the first columns the inputs of the
// next rows are fetched meanwhile.
template <int B, int VECTORS> REGISTER_BLOCK void weightBlock(const DenseShape &s, const WeightRows &rows, int v) {
  vec sum[B][VECTORS];
  UNROLL for (int b = 0; b < B; b++) UNROLL for (int j = 0; j < VECTORS; j++) sum[b][j] = vec{};
  const float *x = (const float *)rows.packed.x;
  for (int k = 0; k < rows.packed.count; k++, x += B * LANES) {
    const int panel = rows.packed.panels[k], first = panel * LANES;
    const vec *dy = rows.dy_QN2 + ((size_t)(v / 2) * rows.N + first) * 2;
    if (v == 0) { UNROLL for (int b = 0; b < B; b++) __builtin_prefetch(rows.x_PI + (size_t)panel * s.I + B + b); }
    for (int n = 0; n < std::min(LANES, rows.samples - first); n++) {
      UNROLL for (int b = 0; b < B; b++) {
        UNROLL for (int j = 0; j < VECTORS; j++) sum[b][j] += dy[n * 2 + j] * x[b * LANES + n];
      }
    }
  }
  UNROLL for (int b = 0; b < B; b++) {
    UNROLL for (int j = 0; j < VECTORS; j++) {
      const int o = (v + j) * LANES;
      storeSome(rows.dw + (size_t)b * s.O + o, sum[b][j], s.O - o);
    }
  }
}

// B rows of dw. Their x is packed first (12 kB for 256 samples): panels are far apart, often by a multiple of the
// cache's period, and would push each other out while the outputs pass by.
template <int B> static void weightRows(const DenseShape &s, const WeightRows &rows, PackedInputs &packed) {
  packed.count = 0;
  for (int p = 0; p * LANES < rows.samples; p++) {
    intVec some = {};
    UNROLL for (int b = 0; b < B; b++) {
      const vec x = rows.x_PI[(size_t)p * s.I + b];
      packed.x[packed.count * B + b] = x;
      some |= x != 0;
    }
    packed.panels[packed.count] = p;
    packed.count += !rows.skipZeros || anyLane(some);
  }
  int v = 0;
  for (; v + 2 <= outputVectors(s.O); v += 2) weightBlock<B, 2>(s, rows, v);
  if (v < outputVectors(s.O)) weightBlock<B, 1>(s, rows, v);
}

// Rows first..last of dw_IO, written where the gradient lies. skipZeros: x has zeros to look for, and dy is finite. N
// as in transposeGradient. packed: scratch, DENSE_BLOCK vectors and a number a panel.
static void denseWeightGradient(const DenseShape &s, const vec *x_PI, int samples, bool skipZeros, const vec *dy_QN2,
                                int N, int first, int last, PackedInputs packed, float *dw_IO) {
  int i = first;
  const auto at = [&](auto run) {
    run(s, {x_PI + i, samples, skipZeros, packed, dy_QN2, N, dw_IO + (size_t)i * s.O}, packed);
  };
  for (; i + DENSE_BLOCK <= last; i += DENSE_BLOCK) at(weightRows<DENSE_BLOCK>);
  for (; i + 4 <= last; i += 4) at(weightRows<4>);
  for (; i < last; i++) at(weightRows<1>);
}

static void denseBiasGradient(int O, int samples, const vec *dy_QN2, int N, float *dbias_O) {
  for (int v = 0; v < outputVectors(O); v++) {
    const vec *dy = dy_QN2 + (size_t)(v / 2) * N * 2 + v % 2;
    vec sum = {};
    for (int n = 0; n < samples; n++) sum += dy[n * 2];
    storeSome(dbias_O + v * LANES, sum, O - v * LANES);
  }
}
