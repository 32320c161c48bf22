// Stored images to panels: bytes become floats, samples go to the lanes.
//
//     x[i][lane] = image[lane][i] / 255
#pragma once
#include <cstdint>
#include <cstring>
#include "simd.h"

typedef uint8_t bytes16 __attribute__((vector_size(16)));

// images_NI: `samples` images of I bytes; x_I: one panel. Lanes past `samples` repeat the last image, so they hold
// nothing that no sample holds (no overflow of their own); their gradient is 0.
static void scaleBytes(const uint8_t *images_NI, int samples, int I, vec *x_I) {
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
    for (int k = 0; k < 16 * LANES; k++) x[k] = (float)columns[k] / 255.0f;
  }
  for (; i < I; i++) {
    for (int lane = 0; lane < LANES; lane++) x_I[i][lane] = (float)image[lane][i] / 255.0f;
  }
}
