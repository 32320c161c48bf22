// Compiled without contraction (-ffp-contract=off): a fused multiply-add would round once where the plain loops round
// twice. Division and square root are exact in every instruction set.
#include "vector-math.h"
#include <cmath>
#include <cstdint>
#include <cstring>

void addVectors(float *sum, const float *left, const float *right, size_t count) {
  for (size_t i = 0; i < count; i++) sum[i] = left[i] + right[i];
}

void subtractVectors(float *difference, const float *left, const float *right, size_t count) {
  for (size_t i = 0; i < count; i++) difference[i] = left[i] - right[i];
}

bool divideVector(float *mean, const float *sum, float divisor, size_t count) {
  constexpr uint32_t EXPONENT = 0x7f800000; // all ones: an infinity or NaN
  uint32_t poison = 0;
  for (size_t i = 0; i < count; i++) {
    const float value = sum[i] / divisor;
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    poison |= (bits & EXPONENT) == EXPONENT;
    mean[i] = value;
  }
  return !poison;
}

void descend(float *p, const float *gradient, size_t count, float rate, float decay) {
  for (size_t i = 0; i < count; i++) {
    const float g = gradient[i] + decay * p[i];
    p[i] = p[i] - rate * g;
  }
}

template <bool NESTEROV>
static void descendWithMomentumOf(float *p, const float *gradient, float *u, size_t count, float rate, float decay,
                                  float momentum) {
  for (size_t i = 0; i < count; i++) {
    const float g = gradient[i] + decay * p[i];
    const float next = momentum * u[i] + g;
    u[i] = next;
    p[i] = p[i] - rate * (NESTEROV ? g + momentum * next : next);
  }
}

void descendWithMomentum(float *p, const float *gradient, float *u, size_t count, float rate, float decay,
                         float momentum, bool nesterov) {
  (nesterov ? descendWithMomentumOf<true> : descendWithMomentumOf<false>)(p, gradient, u, count, rate, decay, momentum);
}

void adapt(float *p, const float *gradient, float *m, float *v, size_t count, const AdaptiveRates &rates) {
  const AdaptiveRates r = rates;
  for (size_t i = 0; i < count; i++) {
    const float g = gradient[i] + r.gradientDecay * p[i];
    const float shrunk = p[i] - r.parameterDecay * p[i];
    const float mean = r.beta1 * m[i] + r.rest1 * g;
    const float square = r.beta2 * v[i] + r.rest2 * (g * g);
    m[i] = mean;
    v[i] = square;
    p[i] = shrunk - r.stepSize * (mean / (std::sqrt(square) * r.scale + r.epsilon));
  }
}
