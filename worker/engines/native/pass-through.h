// Layers of one panel that compute little: they move values, drop some, or add two.
//
// cutBy: the layer's input where a ReLU made it (its gradient is cut there), else null.
#pragma once
#include <cstddef>
#include <cstdint>
#include "simd.h"

static inline vec cutIf(vec gradient, const vec *cutBy, size_t at) {
  return cutBy ? cut(gradient, cutBy[at]) : gradient;
}

// A map of C channels, H x W, within one of rows x columns; the zeros around it were written once and stay.
struct PadShape {
  int C, H, W, rows, columns, top, left;
  size_t rowAt(int c, int y) const { return ((size_t)c * rows + top + y) * columns + left; }
};

static void padForward(const PadShape &s, const vec *x_CHW, vec *y) {
  for (int c = 0; c < s.C; c++) {
    for (int row = 0; row < s.H; row++) {
      for (int k = 0; k < s.W; k++) y[s.rowAt(c, row) + k] = *x_CHW++;
    }
  }
}

static void padGradient(const PadShape &s, const vec *dy, const vec *cutBy_CHW, vec *dx_CHW) {
  size_t at = 0;
  for (int c = 0; c < s.C; c++) {
    for (int row = 0; row < s.H; row++) {
      for (int k = 0; k < s.W; k++, at++) dx_CHW[at] = cutIf(dy[s.rowAt(c, row) + k], cutBy_CHW, at);
    }
  }
}

// Which units of a panel's samples are kept: row `lane` of the masks, `stride` bytes a sample. Lanes past `samples` take
// the last one's, as their images are its images.
struct PanelMasks {
  const uint8_t *first;
  size_t stride;
  int samples;
  float scale;
  vec of(size_t unit) const {
    vec v = {};
    for (int lane = 0; lane < LANES; lane++) {
      v[lane] = first[(lane < samples ? lane : samples - 1) * stride + unit] ? scale : 0;
    }
    return v;
  }
};

// y = x mask / (1 - rate), where `masks` has 1 / (1 - rate) or 0 a unit.
static void dropoutForward(size_t size, const PanelMasks &masks, const vec *x, vec *y) {
  for (size_t i = 0; i < size; i++) y[i] = x[i] * masks.of(i);
}

static void dropoutGradient(size_t size, const PanelMasks &masks, const vec *dy, const vec *cutBy, vec *dx) {
  for (size_t i = 0; i < size; i++) dx[i] = cutIf(dy[i] * masks.of(i), cutBy, i);
}

static void copyPanel(size_t size, const vec *x, vec *y) {
  for (size_t i = 0; i < size; i++) y[i] = x[i];
}

// y = x + what the fork had.
static void joinForward(size_t size, const vec *x, const vec *forked, bool withRelu, vec *y) {
  for (size_t i = 0; i < size; i++) y[i] = withRelu ? relu(x[i] + forked[i]) : x[i] + forked[i];
}

// dy goes down both ways: to the layer below, and by `toFork` to the fork.
static void joinGradient(size_t size, const vec *dy, const vec *cutBy, vec *dx, vec *toFork) {
  for (size_t i = 0; i < size; i++) {
    toFork[i] = dy[i];
    dx[i] = cutIf(dy[i], cutBy, i);
  }
}

static void forkGradient(size_t size, const vec *dy, const vec *fromJoin, const vec *cutBy, vec *dx) {
  for (size_t i = 0; i < size; i++) dx[i] = cutIf(dy[i] + fromJoin[i], cutBy, i);
}
