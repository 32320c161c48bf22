// The self-test's models, and its judge: one layer at a time, every sum in double, nothing shared with the kernels.
#pragma once
#include <cmath>
#include <string>
#include <vector>
#include "network.h"

typedef std::vector<double> Values; // [N][size of a sample], features in channel, row, column order

// A network under construction: the flat layout grows with the layers, without gaps.
struct Model {
  std::string name;
  NetworkPlan plan;
  int C, H, W;
  int open = 0; // the fork without its join

  Model(std::string title, int channels, int height, int width)
      : name(title), plan(), C(channels), H(height), W(width) {
    plan.inputSize = C * H * W;
  }
  Model &add(LayerKind kind, int outputs, int size, bool relu) {
    LayerPlan l = {kind, relu, C, H, W, size, outputs, 0, 0, 0, 0};
    const bool isDense = kind == LayerKind::dense, isConv = kind == LayerKind::conv;
    if (isDense) l.C = C * H * W, l.H = l.W = 1;
    if (isDense || isConv) l.weight = take((size_t)l.C * outputs * (isConv ? size * size : 1)), l.bias = take(outputs);
    if (kind == LayerKind::batchNorm)
      l.weight = take(C), l.bias = take(C), l.mean = plan.numBuffers, l.variance = l.mean + C, plan.numBuffers += 2 * C;
    if (isDense) C = outputs, H = W = 1;
    if (isConv) C = outputs;
    if (kind == LayerKind::maxPool) H /= size, W /= size;
    plan.layers.push_back(l);
    plan.numClasses = C * H * W;
    return *this;
  }
  Model &conv(int filters, int kernel, bool relu = true, int stride = 1) {
    const int rows = (H - kernel) / stride + 1, columns = (W - kernel) / stride + 1;
    add(LayerKind::conv, filters, kernel, relu);
    plan.layers.back().stride = stride;
    return reshape(C, rows, columns);
  }
  Model &pad(int top, int left, int bottom, int right) {
    LayerPlan &l = add(LayerKind::pad, 0, 0, false).plan.layers.back();
    l.top = top, l.left = left, l.rows = H + top + bottom, l.columns = W + left + right;
    return reshape(C, l.rows, l.columns);
  }
  Model &averagePool(int rows, int columns) {
    LayerPlan &l = add(LayerKind::averagePool, 0, 0, false).plan.layers.back();
    l.rows = rows, l.columns = columns;
    return reshape(C, H / rows, W / columns);
  }
  Model &dropout(float rate) {
    LayerPlan &l = add(LayerKind::dropout, 0, 0, false).plan.layers.back();
    l.scale = 1 / (1 - rate), l.firstUnit = plan.numDropoutUnits;
    plan.numDropoutUnits += C * H * W;
    return *this;
  }
  Model &fork() {
    open = (int)plan.layers.size();
    return add(LayerKind::fork, 0, 0, false);
  }
  Model &join(bool relu = true) {
    add(LayerKind::join, 0, 0, relu).plan.layers.back().fork = open;
    return *this;
  }
  Model &reshape(int channels, int height, int width) {
    C = channels, H = height, W = width;
    plan.numClasses = C * H * W;
    return *this;
  }
  Model &maxPool(int size) { return add(LayerKind::maxPool, 0, size, false); }
  Model &dense(int units, bool relu = true) { return add(LayerKind::dense, units, 0, relu); }
  Model &norm() { return add(LayerKind::batchNorm, 0, 0, false); }
  size_t take(size_t count) { return (plan.numParameters += count) - count; }
};

struct Reference {
  const Model &model;
  const std::vector<float> &parameters, &buffers;
  int N;
  bool training;
  std::vector<uint8_t> masks;
  Values gradient, statistics;
  std::vector<Values> x;      // input of each layer, and the outputs
  std::vector<Values> toFork; // of each fork: the gradient that its join sends

  double w(size_t i) const { return parameters[i]; }

  void conv(const LayerPlan &l, const Values &in, Values *out, const Values *dy, Values *dx) {
    const int S = l.stride, OH = (l.H - l.size) / S + 1, OW = (l.W - l.size) / S + 1;
    for (int n = 0; n < N; n++)
      for (int f = 0; f < l.outputs; f++)
        for (int oy = 0; oy < OH; oy++)
          for (int ox = 0; ox < OW; ox++) {
            const size_t at = ((size_t)(n * l.outputs + f) * OH + oy) * OW + ox;
            double sum = w(l.bias + f);
            if (dy) gradient[l.bias + f] += (*dy)[at];
            for (int c = 0; c < l.C; c++)
              for (int ky = 0; ky < l.size; ky++)
                for (int kx = 0; kx < l.size; kx++) {
                  const size_t from = ((size_t)(n * l.C + c) * l.H + oy * S + ky) * l.W + ox * S + kx;
                  const size_t tap = l.weight + ((size_t)(f * l.C + c) * l.size + ky) * l.size + kx;
                  sum += w(tap) * in[from];
                  if (dy) gradient[tap] += (*dy)[at] * in[from], (*dx)[from] += (*dy)[at] * w(tap);
                }
            if (out) (*out)[at] = sum;
          }
  }
  void dense(const LayerPlan &l, const Values &in, Values *out, const Values *dy, Values *dx) {
    for (int n = 0; n < N; n++)
      for (int o = 0; o < l.outputs; o++) {
        double sum = w(l.bias + o);
        const size_t at = (size_t)n * l.outputs + o;
        if (dy) gradient[l.bias + o] += (*dy)[at];
        for (int i = 0; i < l.C; i++) {
          const size_t from = (size_t)n * l.C + i, tap = l.weight + (size_t)i * l.outputs + o;
          sum += w(tap) * in[from];
          if (dy) gradient[tap] += (*dy)[at] * in[from], (*dx)[from] += (*dy)[at] * w(tap);
        }
        if (out) (*out)[at] = sum;
      }
  }
  void pool(const LayerPlan &l, const Values &in, Values *out, const Values *dy, Values *dx) {
    const int OH = l.H / l.size, OW = l.W / l.size;
    for (int n = 0; n < N; n++)
      for (int c = 0; c < l.C; c++)
        for (int oy = 0; oy < OH; oy++)
          for (int ox = 0; ox < OW; ox++) {
            size_t best = SIZE_MAX;
            for (int i = 0; i < l.size; i++)
              for (int j = 0; j < l.size; j++) {
                const size_t from = ((size_t)(n * l.C + c) * l.H + oy * l.size + i) * l.W + ox * l.size + j;
                if (best == SIZE_MAX || in[from] > in[best]) best = from;
              }
            const size_t at = ((size_t)(n * l.C + c) * OH + oy) * OW + ox;
            if (out) (*out)[at] = in[best];
            if (dy) (*dx)[best] += (*dy)[at];
          }
  }
  void average(const LayerPlan &l, const Values &in, Values *out, const Values *dy, Values *dx) {
    const int OH = l.H / l.rows, OW = l.W / l.columns;
    for (int map = 0; map < N * l.C; map++)
      for (int y = 0; y < OH * l.rows; y++)
        for (int x = 0; x < OW * l.columns; x++) {
          const size_t from = ((size_t)map * l.H + y) * l.W + x,
                       at = ((size_t)map * OH + y / l.rows) * OW + x / l.columns;
          if (out) (*out)[at] += in[from] / (l.rows * l.columns);
          if (dy) (*dx)[from] = (*dy)[at] / (l.rows * l.columns);
        }
  }
  void pad(const LayerPlan &l, const Values &in, Values *out, const Values *dy, Values *dx) {
    for (int map = 0; map < N * l.C; map++)
      for (int y = 0; y < l.H; y++)
        for (int x = 0; x < l.W; x++) {
          const size_t from = ((size_t)map * l.H + y) * l.W + x,
                       at = ((size_t)map * l.rows + l.top + y) * l.columns + l.left + x;
          if (out) (*out)[at] = in[from];
          if (dy) (*dx)[from] = (*dy)[at];
        }
  }
  void dropout(const LayerPlan &l, const Values &in, Values *out, const Values *dy, Values *dx) {
    const size_t size = l.inputSize();
    for (size_t i = 0; i < in.size(); i++) {
      const bool isKept = !training || masks[i / size * model.plan.numDropoutUnits + l.firstUnit + i % size];
      const double factor = isKept ? training ? l.scale : 1 : 0;
      if (out) (*out)[i] = in[i] * factor;
      if (dy) (*dx)[i] = (*dy)[i] * factor;
    }
  }
  // Forward: y = x, and x plus what went into the fork. Backward: the fork has dy of the join beside its own.
  void fork(size_t k, const Values &in, Values *out, const Values *dy, Values *dx) {
    if (out) *out = in;
    for (size_t i = 0; dy && i < in.size(); i++) (*dx)[i] = (*dy)[i] + toFork[k][i];
  }
  void join(const LayerPlan &l, const Values &in, Values *out, const Values *dy, Values *dx) {
    for (size_t i = 0; out && i < in.size(); i++) (*out)[i] = in[i] + x[l.fork][i];
    if (dy) *dx = toFork[l.fork] = *dy;
  }
  void norm(const LayerPlan &l, const Values &in, Values *out, const Values *dy, Values *dx) {
    const int pixels = l.H * l.W;
    const double M = (double)N * pixels;
    for (int c = 0; c < l.C; c++) {
      const auto each = [&](auto body) {
        for (int n = 0; n < N; n++)
          for (int i = 0; i < pixels; i++) body((size_t)(n * l.C + c) * pixels + i);
      };
      double mean = 0, variance = 0, dbeta = 0, dgamma = 0;
      each([&](size_t k) { mean += in[k] / M; });
      each([&](size_t k) { variance += (in[k] - mean) * (in[k] - mean) / M; });
      statistics[l.mean + c] = mean, statistics[l.variance + c] = variance;
      if (!training) mean = buffers[l.mean + c], variance = buffers[l.variance + c];
      const double r = 1 / std::sqrt(variance + 1e-5), gamma = w(l.weight + c);
      if (out) each([&](size_t k) { (*out)[k] = gamma * (in[k] - mean) * r + w(l.bias + c); });
      if (!dy) continue;
      each([&](size_t k) { dbeta += (*dy)[k], dgamma += (*dy)[k] * (in[k] - mean) * r; });
      gradient[l.weight + c] = dgamma, gradient[l.bias + c] = dbeta;
      each([&](size_t k) { (*dx)[k] = gamma * r * ((*dy)[k] - dbeta / M - (in[k] - mean) * r * dgamma / M); });
    }
  }
  void layer(size_t k, const Values &in, Values *out, const Values *dy, Values *dx) {
    const LayerPlan &l = model.plan.layers[k];
    if (l.kind == LayerKind::conv) conv(l, in, out, dy, dx);
    if (l.kind == LayerKind::dense) dense(l, in, out, dy, dx);
    if (l.kind == LayerKind::maxPool) pool(l, in, out, dy, dx);
    if (l.kind == LayerKind::batchNorm) norm(l, in, out, dy, dx);
    if (l.kind == LayerKind::averagePool) average(l, in, out, dy, dx);
    if (l.kind == LayerKind::pad) pad(l, in, out, dy, dx);
    if (l.kind == LayerKind::dropout) dropout(l, in, out, dy, dx);
    if (l.kind == LayerKind::fork) fork(k, in, out, dy, dx);
    if (l.kind == LayerKind::join) join(l, in, out, dy, dx);
  }
  BatchResult run(const Batch &batch) {
    gradient.assign(model.plan.numParameters, 0), statistics.assign(model.plan.numBuffers, 0);
    x.assign(1, Values(batch.images, batch.images + (size_t)N * model.plan.inputSize));
    for (double &value : x[0]) value /= 255;
    toFork.resize(model.plan.layers.size());
    for (size_t k = 0; k < model.plan.layers.size(); k++) {
      const LayerPlan &l = model.plan.layers[k];
      Values out((size_t)N * l.outputSize());
      layer(k, x.back(), &out, nullptr, nullptr);
      if (l.relu)
        for (double &value : out) value = value > 0 ? value : 0;
      x.push_back(out);
    }
    BatchResult result = {0, 0};
    const int classes = model.plan.numClasses;
    const double smoothing = training ? model.plan.labelSmoothing : 0;
    Values dy((size_t)N * classes);
    for (int n = 0; n < N; n++) {
      const double *z = &x.back()[(size_t)n * classes];
      int best = 0;
      double sum = 0;
      for (int j = 0; j < classes; j++) best = z[j] > z[best] ? j : best;
      for (int j = 0; j < classes; j++) sum += std::exp(z[j] - z[best]);
      for (int j = 0; j < classes; j++) {
        const double target = (batch.labels[n] == j ? 1 - smoothing : 0) + smoothing / classes;
        dy[(size_t)n * classes + j] = std::exp(z[j] - z[best]) / sum - target;
        result.lossSum += target * (std::log(sum) - (z[j] - z[best]));
      }
      result.numCorrect += best == batch.labels[n];
    }
    for (size_t k = model.plan.layers.size(); training && k-- > 0;) {
      const LayerPlan &l = model.plan.layers[k];
      if (l.relu)
        for (size_t i = 0; i < dy.size(); i++) dy[i] = x[k + 1][i] > 0 ? dy[i] : 0;
      Values dx(x[k].size());
      layer(k, x[k], nullptr, &dy, &dx);
      dy = dx;
    }
    return result;
  }
};
