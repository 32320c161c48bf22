// Average pooling of one panel: windows of rows x columns that do not overlap; what fills no window is left out.
//
//     y[c][oy][ox] = the sum over the window of x, times 1 / (rows x columns)
//     dx           = dy times 1 / (rows x columns) at each pixel of the window, 0 elsewhere
#pragma once
#include "simd.h"

struct AverageShape {
  int C, H, W, rows, columns;
  int outputRows() const { return H / rows; }
  int outputColumns() const { return W / columns; }
  float share() const { return 1 / ((float)rows * (float)columns); }
};

static void averageForward(const AverageShape &s, const vec *x_CHW, vec *y_CHW) {
  const float share = s.share();
  for (int c = 0; c < s.C; c++) {
    for (int oy = 0; oy < s.outputRows(); oy++) {
      for (int ox = 0; ox < s.outputColumns(); ox++) {
        const vec *window = x_CHW + (c * s.H + oy * s.rows) * s.W + ox * s.columns;
        vec sum = {};
        for (int i = 0; i < s.rows; i++) {
          for (int j = 0; j < s.columns; j++) sum += window[i * s.W + j];
        }
        *y_CHW++ = sum * share;
      }
    }
  }
}

// cutBy_CHW: the layer's input where a ReLU made it (its gradient is cut there), else null.
static void averageGradient(const AverageShape &s, const vec *dy_CHW, const vec *cutBy_CHW, vec *dx_CHW) {
  const float share = s.share();
  const int rows = s.outputRows(), columns = s.outputColumns();
  for (int c = 0; c < s.C; c++) {
    for (int y = 0; y < s.H; y++) {
      for (int x = 0; x < s.W; x++) {
        const int oy = y / s.rows, ox = x / s.columns, at = (c * s.H + y) * s.W + x;
        const vec dx = oy < rows && ox < columns ? dy_CHW[(c * rows + oy) * columns + ox] * share : vec{};
        dx_CHW[at] = cutBy_CHW ? cut(dx, cutBy_CHW[at]) : dx;
      }
    }
  }
}
