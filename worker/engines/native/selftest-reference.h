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
    if (isConv) C = outputs, H += 1 - size, W += 1 - size;
    if (kind == LayerKind::maxPool) H /= size, W /= size;
    plan.layers.push_back(l);
    plan.numClasses = C * H * W;
    return *this;
  }
  Model &conv(int filters, int kernel, bool relu = true) { return add(LayerKind::conv, filters, kernel, relu); }
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
  Values gradient, statistics;
  std::vector<Values> x; // input of each layer, and the outputs

  double w(size_t i) const { return parameters[i]; }

  void conv(const LayerPlan &l, const Values &in, Values *out, const Values *dy, Values *dx) {
    const int OH = l.H - l.size + 1, OW = l.W - l.size + 1;
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
                  const size_t from = ((size_t)(n * l.C + c) * l.H + oy + ky) * l.W + ox + kx;
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
  void layer(const LayerPlan &l, const Values &in, Values *out, const Values *dy, Values *dx) {
    if (l.kind == LayerKind::conv) conv(l, in, out, dy, dx);
    if (l.kind == LayerKind::dense) dense(l, in, out, dy, dx);
    if (l.kind == LayerKind::maxPool) pool(l, in, out, dy, dx);
    if (l.kind == LayerKind::batchNorm) norm(l, in, out, dy, dx);
  }
  BatchResult run(const Batch &batch) {
    gradient.assign(model.plan.numParameters, 0), statistics.assign(model.plan.numBuffers, 0);
    x.assign(1, Values(batch.images, batch.images + (size_t)N * model.plan.inputSize));
    for (double &value : x[0]) value /= 255;
    for (const LayerPlan &l : model.plan.layers) {
      Values out((size_t)N * l.outputSize());
      layer(l, x.back(), &out, nullptr, nullptr);
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
      layer(l, x[k], nullptr, &dy, &dx);
      dy = dx;
    }
    return result;
  }
};
