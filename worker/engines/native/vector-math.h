// Element by element over float32 vectors, rounded after every operation: the same bits as the plain loops of
// protocol/vectors/optimizer.ts and reduction.ts, which say what they compute and why in this order. Vectors may be the
// same one, and must not overlap otherwise.
#pragma once
#include <cstddef>

// sum = left + right
void addVectors(float *sum, const float *left, const float *right, size_t count);
// difference = left - right
void subtractVectors(float *difference, const float *left, const float *right, size_t count);
// mean = sum / divisor; whether every value is finite
bool divideVector(float *mean, const float *sum, float divisor, size_t count);
bool isFiniteVector(const float *values, size_t count);
// Sum of values^2 in the order of protocol/vectors/clipping.ts
double sumOfSquares(const float *values, size_t count);

// The update rules: g is gradientScale x gradient, with a scale of 1 the gradient itself.

// p <- p - rate (g + decay p)
void descend(float *p, const float *gradient, size_t count, float rate, float decay, float gradientScale);
// u <- momentum u + g,  p <- p - rate u, or with Nesterov p - rate (g + momentum u)
void descendWithMomentum(float *p, const float *gradient, float *u, size_t count, float rate, float decay,
                         float momentum, bool nesterov, float gradientScale);

struct AdaptiveRates {
  float beta1, beta2, rest1, rest2, epsilon, stepSize, scale, gradientDecay, parameterDecay, gradientScale;
};
// m <- beta1 m + rest1 g,  v <- beta2 v + rest2 g^2,  p <- p - stepSize m / (sqrt(v) scale + epsilon)
void adapt(float *p, const float *gradient, float *m, float *v, size_t count, const AdaptiveRates &rates);
