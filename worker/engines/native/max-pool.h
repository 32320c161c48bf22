// Max pooling of one panel: windows of size x size that do not overlap; what fills no window is left out.
//
//     y[c][oy][ox] = max over the window of x; then max(0, y) where a ReLU stands before the pool: it commutes with the
//                    maximum, and here it works on a part of the map
//     dx           = dy at the window's first largest, 0 elsewhere
//
// Forward keeps `winner`: the place in its window (row by row) of the first largest, or NOBODY where the ReLU cut.
#pragma once
#include "conv.h"

struct PoolShape {
  int C, H, W, size;
  int outputRows() const { return H / size; }
  int outputColumns() const { return W / size; }
};

constexpr int NOBODY = -1;

// The largest so far. A NaN counts as the largest: it must not vanish in a maximum.
struct Largest {
  vec value;
  intVec place;
  void meet(vec v, int at) {
    const intVec wins = (v > value) | (v != v);
    value = wins ? v : value;
    place = wins ? intVec{} + at : place;
  }
  void write(bool withRelu, vec *y, intVec *winner) const {
    *y = withRelu ? relu(value) : value;
    *winner = withRelu ? (value <= 0 ? intVec{} + NOBODY : place) : place;
  }
};

static void poolForward(const PoolShape &s, const vec *x_CHW, bool withRelu, vec *y_CHW, intVec *winner_CHW) {
  for (int c = 0; c < s.C; c++) {
    for (int oy = 0; oy < s.outputRows(); oy++) {
      for (int ox = 0; ox < s.outputColumns(); ox++, y_CHW++, winner_CHW++) {
        const vec *window = x_CHW + (c * s.H + oy * s.size) * s.W + ox * s.size;
        Largest largest = {window[0], {}};
        for (int place = 1; place < s.size * s.size; place++) {
          largest.meet(window[place / s.size * s.W + place % s.size], place);
        }
        largest.write(withRelu, y_CHW, winner_CHW);
      }
    }
  }
}

// SIZE: the window's size when compiled in, 0 for any.
template <int SIZE>
static void poolGradientOf(const PoolShape &s, const intVec *winner_CHW, const vec *dy_CHW, vec *dx_CHW) {
  const int size = SIZE ? SIZE : s.size, rows = s.outputRows(), columns = s.outputColumns();
  for (int c = 0; c < s.C; c++) {
    for (int y = 0; y < s.H; y++) {
      vec *dx = dx_CHW + (c * s.H + y) * s.W;
      const int windows = y < rows * size ? columns : 0, out = (c * rows + y / size) * columns;
      for (int ox = 0; ox < windows; ox++) {
        for (int j = 0; j < size; j++) {
          dx[ox * size + j] = winner_CHW[out + ox] == y % size * size + j ? dy_CHW[out + ox] : vec{};
        }
      }
      for (int x = windows * size; x < s.W; x++) dx[x] = vec{};
    }
  }
}

static void poolGradient(const PoolShape &s, const intVec *winner_CHW, const vec *dy_CHW, vec *dx_CHW) {
  (s.size == 2 ? poolGradientOf<2> : poolGradientOf<0>)(s, winner_CHW, dy_CHW, dx_CHW);
}

// A convolution and the 2x2 pool upon it at once: the four pixels of a window are in registers when their largest is
// wanted, and the map between the two is never written.
template <int B>
static inline void convPoolBlock(const ConvShape &s, const vec *x, const float *w, const float *bias, int filters,
                                 bool withRelu, int plane, vec *y, intVec *winner) {
  const int padded = paddedToBlock(s.F);
  vec sum[B][4];
  UNROLL for (int i = 0; i < B; i++) UNROLL for (int p = 0; p < 4; p++) sum[i][p] = splat(i < filters ? bias[i] : 0);
  for (int c = 0; c < s.C; c++) {
    for (int ky = 0; ky < s.K; ky++) {
      const vec *row = x + (c * s.H + ky) * s.W;
      for (int kx = 0; kx < s.K; kx++, w += padded) {
        UNROLL for (int i = 0; i < B; i++) {
          UNROLL for (int p = 0; p < 4; p++) sum[i][p] += row[p / 2 * s.W + kx + p % 2] * w[i];
        }
      }
    }
  }
  UNROLL for (int i = 0; i < B; i++) {
    if (i < filters) {
      Largest largest = {sum[i][0], {}};
      UNROLL for (int p = 1; p < 4; p++) largest.meet(sum[i][p], p);
      largest.write(withRelu, y + i * plane, winner + i * plane);
    }
  }
}

template <int B>
static void convPoolBlocks(const ConvShape &s, const vec *x_CHW, const float *w_CKKF, const float *bias_F,
                           bool withRelu, vec *y_FHW, intVec *winner_FHW) {
  const int rows = s.outputRows() / 2, columns = s.outputColumns() / 2;
  for (int f = 0; f < s.F; f += B) {
    for (int oy = 0; oy < rows; oy++) {
      for (int ox = 0; ox < columns; ox++) {
        const int out = (f * rows + oy) * columns + ox;
        convPoolBlock<B>(s, x_CHW + 2 * oy * s.W + 2 * ox, w_CKKF + f, bias_F + f, s.F - f, withRelu, rows * columns,
                         y_FHW + out, winner_FHW + out);
      }
    }
  }
}

static void convPoolForward(const ConvShape &s, const vec *x_CHW, const float *w_CKKF, const float *bias_F,
                            bool withRelu, vec *y_FHW, intVec *winner_FHW) {
  // Four pixels a filter: the accumulators allow half of a block of filters, a narrow one whole, or two filters.
  constexpr int WIDE = WIDE_BLOCK / 2, NARROW = REGISTERS == 32 ? NARROW_BLOCK : 2;
  const auto run = blockFor(s.F) == WIDE_BLOCK ? convPoolBlocks<WIDE> : convPoolBlocks<NARROW>;
  run(s, x_CHW, w_CKKF, bias_F, withRelu, y_FHW, winner_FHW);
}
