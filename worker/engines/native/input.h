// Stored images to panels: bytes become floats, samples go to the lanes.
//
//     x[i][lane] = image[lane][i] / 255
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif
#include "simd.h"

typedef uint8_t bytes16 __attribute__((vector_size(16)));

// Which samples of a panel have a pixel that is not 0: bit `lane`.
typedef std::conditional_t<LANES == 16, uint16_t, uint8_t> Mask;
constexpr int MASK_BITS = 8 * sizeof(Mask);

// The masks of all panels, for each pixel side by side.
struct PixelMasks {
  Mask *of_IP;
  size_t stride; // panels that there is room for
};

// Bit k: whether byte k is not 0.
static inline int nonzeroBytes(const uint8_t *bytes) {
#if defined(__SSE2__)
  return _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)bytes), _mm_setzero_si128())) ^ 0xffff;
#else
  int bits = 0;
  for (int k = 0; k < 16; k++) bits |= (bytes[k] != 0) << k;
  return bits;
#endif
}

// b / 255 for a byte b, rounded as a division rounds it (tried for all 256, with and without fused multiply-adds), at a
// fifth of its time: the product with the rounded inverse, then what that left of b.
static inline float scaled(float b) {
  constexpr float INVERSE = 1 / 255.0f;
  const float quotient = b * INVERSE;
  return quotient + (b - quotient * 255.0f) * INVERSE;
}

// images_NI: `samples` images of I bytes; x_I: one panel. Lanes past `samples` repeat the last image, so they hold
// nothing that no sample holds (no overflow of their own); their gradient is 0.
// masks: null where nobody asks for them, else the panel's mask of the first pixel.
static void scaleBytes(const uint8_t *images_NI, int samples, int I, vec *x_I, Mask *masks, size_t stride) {
  const uint8_t *image[LANES];
  for (int lane = 0; lane < LANES; lane++) image[lane] = images_NI + (size_t)(lane < samples ? lane : samples - 1) * I;
  int i = 0;
  for (; i + 16 <= I; i += 16) {
    bytes16 rows[LANES];
    for (int lane = 0; lane < LANES; lane++) std::memcpy(&rows[lane], image[lane] + i, 16);
    transpose<LANES, 16>(rows);
    uint8_t columns[16 * LANES];
    std::memcpy(columns, rows, sizeof columns);
    float *x = (float *)(x_I + i);
    for (int k = 0; k < 16 * LANES; k++) x[k] = scaled((float)columns[k]);
    if (!masks) continue;
    for (int k = 0; k < 16; k++) {
      const int at = k * LANES;
      masks[(i + k) * stride] = (nonzeroBytes(columns + at / 16 * 16) >> at % 16) & ((1 << LANES) - 1);
    }
  }
  for (; i < I; i++) {
    Mask mask = 0;
    for (int lane = 0; lane < LANES; lane++) {
      x_I[i][lane] = scaled((float)image[lane][i]);
      mask |= (Mask)((image[lane][i] != 0) << lane);
    }
    if (masks) masks[i * stride] = mask;
  }
}
