// The wire's encodings over float32 vectors: the same bytes as the plain loops of protocol/vectors/encoding.ts, which says
// what they are and why they round as they do.
#pragma once
#include <cstddef>
#include <cstdint>

// Values that share a scale in int8.
constexpr size_t BLOCK = 4096;

// Lengths in bytes of `count` encoded values, multiples of 4.
constexpr size_t encodedHalves(size_t count) { return (count + 1) / 2 * 4; }
constexpr size_t encodedInt8(size_t count) { return ((count + BLOCK - 1) / BLOCK + (count + 3) / 4) * 4; }

// Bytes and values are 4-byte aligned and do not overlap.
void encodeBf16(uint8_t *bytes, const float *values, size_t count);
void decodeBf16(float *values, const uint8_t *bytes, size_t count);
void encodeF16(uint8_t *bytes, const float *values, size_t count);
void decodeF16(float *values, const uint8_t *bytes, size_t count);
void encodeInt8(uint8_t *bytes, const float *values, size_t count);
void decodeInt8(float *values, const uint8_t *bytes, size_t count);
