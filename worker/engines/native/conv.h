// Convolution of one panel, forward: square kernel, no padding (a pad below does that), stride S.
//
//     y[f][oy][ox] = b[f] + sum over c, ky, kx of w[f][c][ky][kx] x[c][oy S + ky][ox S + kx]
//
// A register block of B filters x PIXELS columns: each loaded x feeds B multiply-adds, each loaded weight PIXELS. Kernels
// are compiled apart for the stride of 1 (STEP 1) and for any other (STEP 0).
#pragma once
#include <cstddef>
#include "simd.h"

struct ConvShape {
  int C, H, W, F, K, stride, rows, columns;
  ConvShape(int C_, int H_, int W_, int F_, int K_, int stride_)
      : C(C_), H(H_), W(W_), F(F_), K(K_), stride(stride_), rows((H_ - K_) / stride_ + 1),
        columns((W_ - K_) / stride_ + 1) {}
  int outputRows() const { return rows; }
  int outputColumns() const { return columns; }
  template <int STEP> int step() const { return STEP ? STEP : stride; }
};

// Filters of a block: times 3 and 4 pixels, or 3 and 2 where registers are few, they fill the accumulators.
constexpr int WIDE_BLOCK = REGISTERS == 32 ? 8 : 4, NARROW_BLOCK = 6;

// Filters (or channels) are padded to whole blocks: take the block that pads less.
static inline int blockFor(int count) {
  const auto padded = [count](int block) { return (count + block - 1) / block * block; };
  return padded(NARROW_BLOCK) < padded(WIDE_BLOCK) ? NARROW_BLOCK : WIDE_BLOCK;
}
static inline int paddedToBlock(int count) {
  const int block = blockFor(count);
  return (count + block - 1) / block * block;
}

// w_FCKK [F][C][K][K] to w_CKKF [C][K][K][padded F]: the weights of a block lie side by side; padding is 0.
static void orderForForward(const ConvShape &s, const float *w_FCKK, float *w_CKKF) {
  const int taps = s.C * s.K * s.K, padded = paddedToBlock(s.F);
  for (int tap = 0; tap < taps; tap++) {
    for (int f = 0; f < padded; f++) w_CKKF[tap * padded + f] = f < s.F ? w_FCKK[f * taps + tap] : 0;
  }
}

// x, w, y point at the block's first pixel, filter and output; the block's filters past `filters` are padding.
template <int B, int PIXELS, int STEP>
static inline void convBlock(const ConvShape &s, const vec *x, const float *w, int padded, const float *bias,
                             int filters, bool withRelu, vec *y) {
  const int step = s.step<STEP>();
  vec sum[B][PIXELS];
  UNROLL for (int i = 0; i < B; i++) UNROLL for (int p = 0; p < PIXELS; p++) sum[i][p] =
      splat(i < filters ? bias[i] : 0);
  for (int c = 0; c < s.C; c++) {
    for (int ky = 0; ky < s.K; ky++) {
      const vec *row = x + (c * s.H + ky) * s.W;
      for (int kx = 0; kx < s.K; kx++, w += padded) {
        UNROLL for (int i = 0; i < B; i++) UNROLL for (int p = 0; p < PIXELS; p++) sum[i][p] += row[kx + p * step] * w[i];
      }
    }
  }
  const int plane = s.outputRows() * s.outputColumns();
  UNROLL for (int i = 0; i < B; i++) {
    if (i < filters) {
      UNROLL for (int p = 0; p < PIXELS; p++) y[i * plane + p] = withRelu ? relu(sum[i][p]) : sum[i][p];
    }
  }
}

template <int B, int STEP>
static void convForwardBlocks(const ConvShape &s, const vec *x_CHW, const float *w_CKKF, const float *bias_F,
                              bool withRelu, vec *y_FHW) {
  constexpr int PIXELS = ACCUMULATORS / B;
  const int rows = s.outputRows(), columns = s.outputColumns(), padded = paddedToBlock(s.F), step = s.step<STEP>();
  for (int f = 0; f < s.F; f += B) {
    for (int oy = 0; oy < rows; oy++) {
      const auto at = [&](auto block, int ox) {
        block(s, x_CHW + (oy * s.W + ox) * step, w_CKKF + f, padded, bias_F + f, s.F - f, withRelu,
              y_FHW + (f * rows + oy) * columns + ox);
      };
      int ox = 0;
      for (; ox + PIXELS <= columns; ox += PIXELS) at(convBlock<B, PIXELS, STEP>, ox);
      for (; ox < columns; ox++) at(convBlock<B, 1, STEP>, ox);
    }
  }
}

static void convForward(const ConvShape &s, const vec *x_CHW, const float *w_CKKF, const float *bias_F, bool withRelu,
                        vec *y_FHW) {
  const bool isWide = blockFor(s.F) == WIDE_BLOCK;
  const auto run = s.stride == 1 ? (isWide ? convForwardBlocks<WIDE_BLOCK, 1> : convForwardBlocks<NARROW_BLOCK, 1>)
                                 : (isWide ? convForwardBlocks<WIDE_BLOCK, 0> : convForwardBlocks<NARROW_BLOCK, 0>);
  run(s, x_CHW, w_CKKF, bias_F, withRelu, y_FHW);
}
