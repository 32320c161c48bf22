// Softmax cross-entropy of one panel, and its gradient. z: [classes] vectors of outputs; t: the sample's label.
//
//     loss = log(sum over j of e^(z[j] - m)) - (z[t] - m),  m = max of z;   dz[j] = e^(z[j] - m) / sum - [j = t]
//
// With label smoothing s and K classes the target [j = t] becomes q[j] = (1 - s) [j = t] + s/K, and the loss, which is
// -sum q[j] log p[j], grows by s (z[t] - mean of z).
//
// A NaN among the outputs makes the loss and all gradients of its sample NaN: e^NaN is NaN and enters the sum.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include "simd.h"

struct LossSum {
  double loss;
  int correct;
};

// e^x for x <= 0, to 2 units in the last place; NaN stays NaN. x = n log 2 + r with |r| <= log(2) / 2, e^r by its
// Taylor polynomial of degree 7 (next term 1e-8), 2^n by the exponent bits. Below -87 the result is 1e-38 rather than
// 0.
static inline vec expOfNegative(vec x) {
  x = x < -87.0f ? splat(-87.0f) : x;
  // Adding 1.5 x 2^23 rounds to an integer, which is then the low bits of the sum.
  const vec shifted = x * 1.44269504f + 12582912.0f, n = shifted - 12582912.0f;
  const vec r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  vec p = splat(1 / 5040.0f);
  for (float coefficient : {1 / 720.0f, 1 / 120.0f, 1 / 24.0f, 1 / 6.0f, 0.5f, 1.0f, 1.0f}) p = p * r + coefficient;
  intVec bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  const intVec exponent = ((bits + 127) & 0xff) << 23;
  vec power;
  std::memcpy(&power, &exponent, sizeof power);
  return p * power;
}

// labels: `samples` of them, each below `classes`. dz: null to leave the gradient out; its padding lanes are 0.
// withCut: a ReLU made z, whose gradient is cut there. smoothing: s, 0 for none.
static LossSum crossEntropy(int classes, const vec *z, const uint16_t *labels, int samples, bool withCut,
                            float smoothing, vec *dz) {
  vec best = z[0];
  intVec bestClass = {};
  for (int j = 1; j < classes; j++) {
    const intVec larger = z[j] > best;
    best = larger ? z[j] : best;
    bestClass = larger ? intVec{} + j : bestClass;
  }
  vec sum = {};
  for (int j = 0; j < classes; j++) sum += expOfNegative(z[j] - best);

  LossSum result = {0, 0};
  for (int lane = 0; lane < samples; lane++) {
    result.loss += std::log((double)sum[lane]) - ((double)z[labels[lane]][lane] - (double)best[lane]);
    result.correct += bestClass[lane] == labels[lane];
  }
  if (smoothing > 0) {
    vec total = {};
    for (int j = 0; j < classes; j++) total += z[j];
    for (int lane = 0; lane < samples; lane++)
      result.loss += (double)smoothing * ((double)z[labels[lane]][lane] - (double)total[lane] / classes);
  }
  if (!dz) return result;

  const float offLabel = smoothing / (float)classes, atLabel = 1.0f - smoothing + offLabel;

  const intVec real = lanesBelow(samples);
  for (int j = 0; j < classes; j++) {
    vec target = splat(offLabel);
    for (int lane = 0; lane < samples; lane++)
      if (labels[lane] == j) target[lane] = atLabel;
    const vec d = expOfNegative(z[j] - best) / sum - target;
    dz[j] = real ? (withCut ? cut(d, z[j]) : d) : vec{};
  }
  return result;
}
