// Plain loops without branches, for the compiler to make vectors of. Compiled without contraction, as vector-math.cpp.
#include "encodings.h"
#include <algorithm>
#include <cstring>

namespace {

constexpr uint32_t MAGNITUDE = 0x7fffffff, INFINITY_BITS = 0x7f800000;
constexpr uint32_t NAN_BF16 = 0x7fc0, NAN_F16 = 0x7e00, INFINITY_F16 = 0x7c00;
constexpr float SMALLEST_SCALED = 0x1p-100f;
constexpr float ROUNDER = 12582912; // 1.5 x 2^23: next to it, the last place of a float32 is 1

inline uint32_t bitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline float floatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Typed arrays are views of the same bytes.
typedef uint16_t __attribute__((may_alias)) half;

} // namespace

void encodeBf16(uint8_t *bytes, const float *values, size_t count) {
  half *to = (half *)bytes;
  for (size_t i = 0; i < count; i++) {
    const uint32_t bits = bitsOf(values[i]), rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    to[i] = (bits & MAGNITUDE) > INFINITY_BITS ? NAN_BF16 : rounded;
  }
  if (count % 2) to[count] = 0;
}

void decodeBf16(float *values, const uint8_t *bytes, size_t count) {
  const half *from = (const half *)bytes;
  for (size_t i = 0; i < count; i++) values[i] = floatOf((uint32_t)from[i] << 16);
}

void encodeF16(uint8_t *bytes, const float *values, size_t count) {
  half *to = (half *)bytes;
  for (size_t i = 0; i < count; i++) {
    const uint32_t bits = bitsOf(values[i]), magnitude = bits & MAGNITUDE, sign = bits >> 16 & 0x8000;
    const uint32_t normal = (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13;
    const uint32_t subnormal = bitsOf(floatOf(magnitude) + 0.5f) - 0x3f000000;
    const uint32_t finite = sign | (magnitude >= 0x38800000 ? normal : subnormal);
    const uint32_t real = magnitude >= 0x477ff000 ? sign | INFINITY_F16 : finite;
    to[i] = magnitude > INFINITY_BITS ? NAN_F16 : real;
  }
  if (count % 2) to[count] = 0;
}

void decodeF16(float *values, const uint8_t *bytes, size_t count) {
  const half *from = (const half *)bytes;
  for (size_t i = 0; i < count; i++) {
    const uint32_t magnitude = from[i] & 0x7fff, sign = (uint32_t)(from[i] & 0x8000) << 16;
    const uint32_t normal = (magnitude << 13) + 0x38000000, subnormal = bitsOf((float)(int32_t)magnitude * 0x1p-24f);
    const uint32_t finite = magnitude >= 0x400 ? normal : subnormal;
    values[i] = floatOf(sign | (magnitude >= INFINITY_F16 ? INFINITY_BITS | magnitude << 13 : finite));
  }
}

void encodeInt8(uint8_t *bytes, const float *values, size_t count) {
  const size_t blocks = (count + BLOCK - 1) / BLOCK;
  int8_t *quantised = (int8_t *)bytes + blocks * sizeof(float);
  for (size_t block = 0; block < blocks; block++) {
    const size_t first = block * BLOCK, last = std::min(first + BLOCK, count);
    int32_t largestBits = 0;
    for (size_t i = first; i < last; i++) largestBits = std::max(largestBits, (int32_t)(bitsOf(values[i]) & MAGNITUDE));
    const float largest = floatOf(largestBits);
    const bool isFinite = largestBits < (int32_t)INFINITY_BITS, isZero = isFinite && largest < SMALLEST_SCALED;
    const float scale = isZero ? 0 : isFinite ? largest / 127 : __builtin_nanf("");
    std::memcpy(bytes + block * sizeof scale, &scale, sizeof scale);
    if (isZero || !isFinite) {
      std::memset(quantised + first, 0, last - first);
      continue;
    }
    const float inverse = 127 / largest;
    for (size_t i = first; i < last; i++) quantised[i] = (int8_t)(int32_t)(values[i] * inverse + ROUNDER - ROUNDER);
  }
  for (size_t i = count; i % 4; i++) quantised[i] = 0;
}

void decodeInt8(float *values, const uint8_t *bytes, size_t count) {
  const size_t blocks = (count + BLOCK - 1) / BLOCK;
  const int8_t *quantised = (const int8_t *)bytes + blocks * sizeof(float);
  for (size_t block = 0; block < blocks; block++) {
    float scale;
    std::memcpy(&scale, bytes + block * sizeof scale, sizeof scale);
    const size_t last = std::min((block + 1) * BLOCK, count);
    for (size_t i = block * BLOCK; i < last; i++) values[i] = (float)quantised[i] * scale;
  }
}
