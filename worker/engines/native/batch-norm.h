// Batch norm of features (channels of a map, or units of a flat sample) over all panels.
//
//     m = mean of x, v = mean of (x - m)^2, over samples and pixels; r = 1 / sqrt(v + epsilon); h = (x - m) r
//     y = gamma h + beta
//
// Backward, with M = samples x pixels; the two sums are the gradients of beta and gamma:
//
//     dbeta = sum of dy,  dgamma = sum of dy h,  dx = gamma r (dy - dbeta / M - h dgamma / M)
//
// Source: Ioffe and Szegedy, Batch Normalization, 2015, section 3.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include "simd.h"

constexpr float EPSILON = 1e-5f;

// Where the values of a feature lie: `pixels` vectors in each panel, panels `stride` vectors apart; the next feature
// follows after `pixels` vectors. Features are worked on LANES at a time: their statistics are vectors, a lane a
// feature.
struct Features {
  int samples, pixels;
  size_t stride;
  float count() const { return (float)samples * (float)pixels; }
};

// Calls body(at), compiled apart for flat samples: their loops over one pixel vanish.
template <class Body> static inline void forPixels(Features at, Body body) {
  if (at.pixels == 1) at.pixels = 1, body(at);
  else body(at);
}

// The vector of sums, over samples and pixels, of term(feature, index) for the features 0..count. Runs of at most 64
// vectors are summed first, then their sums, then the lanes in a tree (blocked summation: rounding grows with the
// block, not with the number of values). Padding lanes are left out.
template <class Term> ALWAYS_INLINE vec sumOver(const Features &at, int count, Term term) {
  vec total[LANES] = {};
  for (int f = 0; f < count; f++) {
    for (int panel = 0; panel * LANES < at.samples; panel++) {
      const intVec real = lanesBelow(at.samples - panel * LANES);
      for (int first = 0; first < at.pixels; first += 64) {
        vec run = {};
        for (int i = first; i < std::min(first + 64, at.pixels); i++)
          run += term(f, panel * at.stride + f * at.pixels + i);
        total[f] += real ? run : vec{};
      }
    }
  }
  return sumOfLanes(total);
}

static inline vec inverseDeviation(vec variance) {
  vec r = {};
  for (int f = 0; f < LANES; f++) r[f] = 1 / std::sqrt(variance[f] + EPSILON);
  return r;
}

ALWAYS_INLINE void meanAndVariance(const Features &at, int count, const vec *x, vec *mean, vec *variance) {
  const vec m = sumOver(at, count, [&](int, size_t i) { return x[i]; }) / at.count();
  *variance = sumOver(at, count, [&](int f, size_t i) { return (x[i] - m[f]) * (x[i] - m[f]); }) / at.count();
  *mean = m;
}

// y = gamma h + beta over the panels firstPanel..lastPanel, with the given mean and variance.
ALWAYS_INLINE void normalise(const Features &at, int count, int firstPanel, int lastPanel, const vec *x, vec mean,
                             vec variance, vec gamma, vec beta, vec *y) {
  const vec scale = gamma * inverseDeviation(variance);
  for (int panel = firstPanel; panel < lastPanel; panel++) {
    for (int f = 0; f < count; f++) {
      for (int i = 0; i < at.pixels; i++) {
        const size_t k = panel * at.stride + f * at.pixels + i;
        y[k] = (x[k] - mean[f]) * scale[f] + beta[f];
      }
    }
  }
}

// withCut: a ReLU made x, whose gradient is cut there. Padding lanes of dx are 0: they must not reach a sum over
// samples. dx may be null: then only the parameters' gradients are made.
ALWAYS_INLINE void normGradient(const Features &at, int count, const vec *x, const vec *dy, vec mean, vec variance,
                                vec gamma, bool withCut, vec *dx, vec *dgamma, vec *dbeta) {
  const vec r = inverseDeviation(variance);
  *dbeta = sumOver(at, count, [&](int, size_t i) { return dy[i]; });
  *dgamma = sumOver(at, count, [&](int f, size_t i) { return dy[i] * (x[i] - mean[f]); }) * r;
  if (!dx) return;
  // dx = a dy - b (x - m) - c
  const vec a = gamma * r, b = a * r * (*dgamma / at.count()), c = a * (*dbeta / at.count());
  for (int panel = 0; panel * LANES < at.samples; panel++) {
    const intVec real = lanesBelow(at.samples - panel * LANES);
    for (int f = 0; f < count; f++) {
      for (int i = 0; i < at.pixels; i++) {
        const size_t k = panel * at.stride + f * at.pixels + i;
        const vec d = dy[k] * a[f] - (x[k] - mean[f]) * b[f] - c[f];
        dx[k] = real ? (withCut ? cut(d, x[k]) : d) : vec{};
      }
    }
  }
}
