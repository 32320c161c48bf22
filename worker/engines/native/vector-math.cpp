// Compiled without contraction (-ffp-contract=off): a fused multiply-add would round once where the plain loops round
// twice. Division and square root are exact in every instruction set.
#include "vector-math.h"
#include <cmath>
#include <cstdint>
#include <cstring>

namespace {

// 1 for an infinity or NaN, else 0.
inline uint32_t isPoison(float value) {
  constexpr uint32_t EXPONENT = 0x7f800000; // all ones in both
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return (bits & EXPONENT) == EXPONENT;
}

// A gradient as a rule reads it: as it is, or scaled down by clipping.
struct Whole {
  const float *values;
  float operator[](size_t i) const { return values[i]; }
};
struct Scaled {
  const float *values;
  float scale;
  float operator[](size_t i) const { return scale * values[i]; }
};

// A loop of its own for each: where nothing is clipped, nothing is multiplied.
template <class Rule> inline void withGradient(const float *values, float scale, Rule rule) {
  if (scale == 1) rule(Whole{values});
  else rule(Scaled{values, scale});
}

} // namespace

void addVectors(float *sum, const float *left, const float *right, size_t count) {
  for (size_t i = 0; i < count; i++) sum[i] = left[i] + right[i];
}

void subtractVectors(float *difference, const float *left, const float *right, size_t count) {
  for (size_t i = 0; i < count; i++) difference[i] = left[i] - right[i];
}

bool divideVector(float *mean, const float *sum, float divisor, size_t count) {
  uint32_t poison = 0;
  for (size_t i = 0; i < count; i++) {
    const float value = sum[i] / divisor;
    poison |= isPoison(value);
    mean[i] = value;
  }
  return !poison;
}

bool isFiniteVector(const float *values, size_t count) {
  uint32_t poison = 0;
  for (size_t i = 0; i < count; i++) poison |= isPoison(values[i]);
  return !poison;
}

double sumOfSquares(const float *values, size_t count) {
  constexpr size_t LANES = 16;
  double lanes[LANES] = {};
  size_t i = 0;
  for (; i + LANES <= count; i += LANES) {
    for (size_t lane = 0; lane < LANES; lane++) {
      const double value = values[i + lane];
      lanes[lane] += value * value;
    }
  }
  for (size_t lane = 0; i < count; i++, lane++) {
    const double value = values[i];
    lanes[lane] += value * value;
  }
  for (size_t half = LANES / 2; half > 0; half /= 2) {
    for (size_t lane = 0; lane < half; lane++) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

void descend(float *p, const float *gradient, size_t count, float rate, float decay, float gradientScale) {
  withGradient(gradient, gradientScale, [=](auto scaled) {
    for (size_t i = 0; i < count; i++) {
      const float g = scaled[i] + decay * p[i];
      p[i] = p[i] - rate * g;
    }
  });
}

template <bool NESTEROV>
static void descendWithMomentumOf(float *p, const float *gradient, float *u, size_t count, float rate, float decay,
                                  float momentum, float gradientScale) {
  withGradient(gradient, gradientScale, [=](auto scaled) {
    for (size_t i = 0; i < count; i++) {
      const float g = scaled[i] + decay * p[i];
      const float next = momentum * u[i] + g;
      u[i] = next;
      p[i] = p[i] - rate * (NESTEROV ? g + momentum * next : next);
    }
  });
}

void descendWithMomentum(float *p, const float *gradient, float *u, size_t count, float rate, float decay,
                         float momentum, bool nesterov, float gradientScale) {
  const auto rule = nesterov ? descendWithMomentumOf<true> : descendWithMomentumOf<false>;
  rule(p, gradient, u, count, rate, decay, momentum, gradientScale);
}

void adapt(float *p, const float *gradient, float *m, float *v, size_t count, const AdaptiveRates &rates) {
  const AdaptiveRates r = rates;
  withGradient(gradient, r.gradientScale, [=](auto scaled) {
    for (size_t i = 0; i < count; i++) {
      const float g = scaled[i] + r.gradientDecay * p[i];
      const float shrunk = p[i] - r.parameterDecay * p[i];
      const float mean = r.beta1 * m[i] + r.rest1 * g;
      const float square = r.beta2 * v[i] + r.rest2 * (g * g);
      m[i] = mean;
      v[i] = square;
      p[i] = shrunk - r.stepSize * (mean / (std::sqrt(square) * r.scale + r.epsilon));
    }
  });
}
