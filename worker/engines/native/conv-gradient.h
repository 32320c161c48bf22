// The two gradients of a convolution of one panel; dy is the gradient of its output, already cut by its ReLU.
//
//     dw[f][c][ky][kx] = sum over oy, ox, samples of dy[f][oy][ox] x[c][oy S + ky][ox S + kx]
//     db[f]            = sum over oy, ox, samples of dy[f][oy][ox]
//     dx[c][y][x]      = sum over f, ky, kx of w[f][c][ky][kx] dy[f][(y - ky) / S][(x - kx) / S]
//                        (where S divides both and dy has such a pixel)
#pragma once
#include <algorithm>
#include <cstddef>
#include "conv.h"

// The filter gradient of one block of filters is summed in `sums`, [taps + 1][B] vectors, a lane a sample; the row
// after the taps is the bias. It is made in bands of rows, few enough that the block's dy stays in the first level of
// cache (32 kB or more) while all kernel positions pass over it.
constexpr size_t BAND_BYTES = 24 << 10;

// B filters x COLUMNS kernel columns from kx on, of one kernel row: each pixel loads B + COLUMNS vectors for B x
// COLUMNS multiply-adds. x, dy: the band's first pixel. sums: the first of the kernel columns.
template <int B, int COLUMNS, int STEP>
REGISTER_BLOCK void filterBlock(const ConvShape &s, const vec *x, const vec *dy, int bandRows, bool isFirstBand,
                                vec *sums) {
  const int columns = s.outputColumns(), plane = s.outputRows() * columns, step = s.step<STEP>();
  vec sum[COLUMNS][B];
  UNROLL for (int k = 0; k < COLUMNS; k++) {
    UNROLL for (int i = 0; i < B; i++) sum[k][i] = isFirstBand ? vec{} : sums[k * B + i];
  }
  for (int oy = 0; oy < bandRows; oy++) {
    for (int ox = 0; ox < columns; ox++) {
      UNROLL for (int i = 0; i < B; i++) {
        const vec d = inRegister(dy[i * plane + oy * columns + ox]);
        UNROLL for (int k = 0; k < COLUMNS; k++) sum[k][i] += x[(oy * s.W + ox) * step + k] * d;
      }
    }
  }
  UNROLL for (int k = 0; k < COLUMNS; k++) UNROLL for (int i = 0; i < B; i++) sums[k * B + i] = sum[k][i];
}

template <int B> static void biasBlock(const ConvShape &s, const vec *dy, int bandRows, bool isFirstBand, vec *sums) {
  const int columns = s.outputColumns(), plane = s.outputRows() * columns;
  vec sum[B];
  UNROLL for (int i = 0; i < B; i++) sum[i] = isFirstBand ? vec{} : sums[i];
  for (int k = 0; k < bandRows * columns; k++) UNROLL for (int i = 0; i < B; i++) sum[i] += dy[i * plane + k];
  UNROLL for (int i = 0; i < B; i++) sums[i] = sum[i];
}

// All taps of one block of filters over the rows firstRow.. of a band.
template <int B, int STEP>
static void filterBand(const ConvShape &s, const vec *x_CHW, const vec *dy, int firstRow, int bandRows, vec *sums) {
  // The kernel's columns in parts as even as can be, none wider than the accumulators allow: 5 = 2 + 3.
  constexpr int WIDEST = ACCUMULATORS / B;
  const int parts = (s.K + WIDEST - 1) / WIDEST;
  const bool isFirst = firstRow == 0;
  for (int c = 0; c < s.C; c++) {
    for (int ky = 0; ky < s.K; ky++) {
      for (int part = 0; part < parts; part++) {
        const int kx = part * s.K / parts, width = (part + 1) * s.K / parts - kx;
        const vec *x = x_CHW + (c * s.H + firstRow * s.step<STEP>() + ky) * s.W + kx;
        vec *to = sums + ((c * s.K + ky) * s.K + kx) * B;
        if (width == 1) filterBlock<B, 1, STEP>(s, x, dy, bandRows, isFirst, to);
        if (width == 2) filterBlock<B, 2, STEP>(s, x, dy, bandRows, isFirst, to);
        if (width == 3) filterBlock<B, 3, STEP>(s, x, dy, bandRows, isFirst, to);
        if (width == 4) filterBlock<B, 4, STEP>(s, x, dy, bandRows, isFirst, to);
      }
    }
  }
  biasBlock<B>(s, dy, bandRows, isFirst, sums + s.C * s.K * s.K * B);
}

// Room for one block's sums, in vectors, and for all blocks' totals, in floats: whole vectors.
static inline size_t filterSumVectors(const ConvShape &s) {
  return ((size_t)(s.C * s.K * s.K + 1) * blockFor(s.F) + LANES - 1) / LANES * LANES;
}
static inline size_t filterTotals(const ConvShape &s) {
  return filterSumVectors(s) * (paddedToBlock(s.F) / blockFor(s.F));
}

template <int B, int STEP>
static void filterGradientBlocks(const ConvShape &s, const vec *x_CHW, const vec *dy_FHW, bool add, vec *sums,
                                 float *totals) {
  const int rows = s.outputRows(), columns = s.outputColumns();
  const int band = std::max(1, (int)(BAND_BYTES / (B * columns * sizeof(vec))));
  const size_t vectors = filterSumVectors(s);
  for (int f = 0; f < s.F; f += B, totals += vectors) {
    for (int row = 0; row < rows; row += band) {
      filterBand<B, STEP>(s, x_CHW, dy_FHW + (f * rows + row) * columns, row, std::min(band, rows - row), sums);
    }
    for (size_t i = 0; i < vectors; i += LANES) {
      const vec total = sumOfLanes(sums + i);
      *(looseVec *)(totals + i) = add ? *(looseVec *)(totals + i) + total : total;
    }
  }
}

// totals: [blocks][taps + 1][B] floats, of filter and bias gradients summed over the panel's samples: added to, or
// overwritten. sums: scratch. Reads dy for whole blocks of filters: the planes past F may hold anything.
static void filterGradient(const ConvShape &s, const vec *x_CHW, const vec *dy_FHW, bool add, vec *sums,
                           float *totals) {
  const bool isWide = blockFor(s.F) == WIDE_BLOCK;
  const auto run = s.stride == 1
                       ? (isWide ? filterGradientBlocks<WIDE_BLOCK, 1> : filterGradientBlocks<NARROW_BLOCK, 1>)
                       : (isWide ? filterGradientBlocks<WIDE_BLOCK, 0> : filterGradientBlocks<NARROW_BLOCK, 0>);
  run(s, x_CHW, dy_FHW, add, sums, totals);
}

// Adds up the totals of groups of panels, group by group, and writes the taps firstTap..lastTap where the gradient
// lies: dw_FCKK, and dbias_F where the last tap is the bias.
static void sumFilterGradients(const ConvShape &s, const float *totals, int groups, int firstTap, int lastTap,
                               float *dw_FCKK, float *dbias_F) {
  const int taps = s.C * s.K * s.K, block = blockFor(s.F);
  for (int tap = firstTap; tap < lastTap; tap++) {
    for (int f = 0; f < s.F; f++) {
      const float *total = totals + f / block * filterSumVectors(s) + tap * block + f % block;
      float sum = 0;
      for (int group = 0; group < groups; group++) sum += total[group * filterTotals(s)];
      (tap == taps ? dbias_F[f] : dw_FCKK[f * taps + tap]) = sum;
    }
  }
}

// w_FCKK to w_FKKC [F][K][K][padded C]: the weights of a block of channels lie side by side; padding is 0.
static void orderForBackward(const ConvShape &s, const float *w_FCKK, float *w_FKKC) {
  const int area = s.K * s.K, padded = paddedToBlock(s.C);
  for (int f = 0; f < s.F; f++) {
    for (int k = 0; k < area; k++) {
      float *w = w_FKKC + (f * area + k) * padded;
      for (int c = 0; c < padded; c++) w[c] = c < s.C ? w_FCKK[(f * s.C + c) * area + k] : 0;
    }
  }
}

// B channels x PIXELS columns at (y, x), from the kernel columns firstColumn..lastColumn, which all PIXELS have in
// common.
template <int B, int PIXELS>
static inline void inputBlock(const ConvShape &s, const vec *dy_FHW, const float *w_FKKC, int y, int x, int firstColumn,
                              int lastColumn, int channels, const vec *cutBy, vec *dx) {
  const int rows = s.outputRows(), columns = s.outputColumns(), padded = paddedToBlock(s.C), plane = s.H * s.W;
  const int firstRow = std::max(0, y - rows + 1), lastRow = std::min(s.K - 1, y);
  vec sum[B][PIXELS];
  UNROLL for (int i = 0; i < B; i++) UNROLL for (int p = 0; p < PIXELS; p++) sum[i][p] = vec{};
  for (int f = 0; f < s.F; f++) {
    for (int ky = firstRow; ky <= lastRow; ky++) {
      const vec *row = dy_FHW + (f * rows + y - ky) * columns + x;
      for (int kx = firstColumn; kx <= lastColumn; kx++) {
        const float *w = w_FKKC + ((f * s.K + ky) * s.K + kx) * padded;
        UNROLL for (int i = 0; i < B; i++) UNROLL for (int p = 0; p < PIXELS; p++) sum[i][p] += row[p - kx] * w[i];
      }
    }
  }
  UNROLL for (int i = 0; i < B; i++) {
    if (i < channels) {
      UNROLL for (int p = 0; p < PIXELS; p++) {
        dx[i * plane + p] = cutBy ? cut(sum[i][p], cutBy[i * plane + p]) : sum[i][p];
      }
    }
  }
}

template <int B>
static void inputGradientBlocks(const ConvShape &s, const vec *dy_FHW, const float *w_FKKC, const vec *cutBy_CHW,
                                vec *dx_CHW) {
  constexpr int PIXELS = ACCUMULATORS / B;
  for (int c = 0; c < s.C; c += B) {
    for (int y = 0; y < s.H; y++) {
      for (int x = 0; x < s.W;) {
        // Near the left and right edges a pixel meets only some of the kernel's columns.
        const int firstColumn = std::max(0, x - s.outputColumns() + 1), lastColumn = std::min(s.K - 1, x);
        const bool inside = lastColumn == s.K - 1 && x + PIXELS <= s.outputColumns();
        const int at = (c * s.H + y) * s.W + x;
        const auto run = inside ? inputBlock<B, PIXELS> : inputBlock<B, 1>;
        run(s, dy_FHW, w_FKKC + c, y, x, firstColumn, lastColumn, s.C - c, cutBy_CHW ? cutBy_CHW + at : nullptr,
            dx_CHW + at);
        x += inside ? PIXELS : 1;
      }
    }
  }
}

// With a stride every S-th tap meets a pixel, its column and row decide which.
template <int B>
static inline void stridedInputBlock(const ConvShape &s, const vec *dy_FHW, const float *w_FKKC, int y, int x,
                                     int channels, const vec *cutBy, vec *dx) {
  const int padded = paddedToBlock(s.C), plane = s.H * s.W;
  vec sum[B];
  UNROLL for (int i = 0; i < B; i++) sum[i] = vec{};
  for (int f = 0; f < s.F; f++) {
    for (int ky = y % s.stride, oy = y / s.stride; ky < s.K && oy >= 0; ky += s.stride, oy--) {
      if (oy >= s.rows) continue;
      for (int kx = x % s.stride, ox = x / s.stride; kx < s.K && ox >= 0; kx += s.stride, ox--) {
        if (ox >= s.columns) continue;
        const vec d = dy_FHW[(f * s.rows + oy) * s.columns + ox];
        const float *w = w_FKKC + ((f * s.K + ky) * s.K + kx) * padded;
        UNROLL for (int i = 0; i < B; i++) sum[i] += d * w[i];
      }
    }
  }
  UNROLL for (int i = 0; i < B; i++) {
    if (i < channels) dx[i * plane] = cutBy ? cut(sum[i], cutBy[i * plane]) : sum[i];
  }
}

template <int B>
static void stridedInputGradientBlocks(const ConvShape &s, const vec *dy_FHW, const float *w_FKKC,
                                       const vec *cutBy_CHW, vec *dx_CHW) {
  for (int c = 0; c < s.C; c += B) {
    for (int y = 0; y < s.H; y++) {
      for (int x = 0; x < s.W; x++) {
        const int at = (c * s.H + y) * s.W + x;
        stridedInputBlock<B>(s, dy_FHW, w_FKKC + c, y, x, s.C - c, cutBy_CHW ? cutBy_CHW + at : nullptr, dx_CHW + at);
      }
    }
  }
}

// cutBy_CHW: the layer's input where a ReLU made it (its gradient is cut there), else null.
static void convInputGradient(const ConvShape &s, const vec *dy_FHW, const float *w_FKKC, const vec *cutBy_CHW,
                              vec *dx_CHW) {
  const bool isWide = blockFor(s.C) == WIDE_BLOCK;
  const auto run =
      s.stride == 1 ? (isWide ? inputGradientBlocks<WIDE_BLOCK> : inputGradientBlocks<NARROW_BLOCK>)
                    : (isWide ? stridedInputGradientBlocks<WIDE_BLOCK> : stridedInputGradientBlocks<NARROW_BLOCK>);
  run(s, dy_FHW, w_FKKC, cutBy_CHW, dx_CHW);
}
