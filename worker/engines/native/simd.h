// The vector that all kernels are written in: LANES samples side by side, one sample a lane.
//
// A *panel* is LANES samples. Inside a panel every value of a sample is one vector: a feature map is [C][H][W] vectors,
// a flat sample [I] vectors. So the innermost operation of every kernel is a full-width multiply-add, whatever the
// sizes of kernels, maps and layers; there are no remainder lanes but in the last panel of a batch.
//
// Names of sizes, here and in all kernels: P panels, N samples, C channels, H W rows and columns, F filters, K kernel,
// I O inputs and outputs of a dense layer. A pointer's suffix is its shape: `x_CHW` is [C][H][W].
#pragma once
#include <utility>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define INSTRUCTION_SET "avx512"
constexpr int LANES = 16, REGISTERS = 32;
#elif defined(__AVX2__) && defined(__FMA__)
#define INSTRUCTION_SET "avx2"
constexpr int LANES = 8, REGISTERS = 16;
#elif defined(__aarch64__)
#define INSTRUCTION_SET "neon"
constexpr int LANES = 4, REGISTERS = 32;
#else
#define INSTRUCTION_SET "baseline"
constexpr int LANES = 4, REGISTERS = 16;
#endif

// Accumulators of a register block: 24 of 32 or 12 of 16 leave room for the operands, and hide the latency of a
// multiply-add (4 cycles at 2 a cycle need 8).
constexpr int ACCUMULATORS = REGISTERS * 3 / 4;

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int intVec __attribute__((vector_size(4 * LANES)));
// The same vector at any address of a float array.
typedef float looseVec __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

#define ALWAYS_INLINE static inline __attribute__((always_inline))
// A register block whose loop runs for a thousand cycles: a function of its own, so that what a caller holds in
// registers never pushes its accumulators into memory.
#define REGISTER_BLOCK static __attribute__((noinline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 64")
#endif

// s in every lane. Subtracting zero is exact for every s, -0 too, and costs nothing.
static inline vec splat(float s) { return s - vec{}; }

// v, kept in a register: else a compiler may load it anew for each of its uses, and loads become what limits the loop.
static inline vec inRegister(vec v) {
#if defined(__x86_64__)
  asm("" : "+v"(v));
#elif defined(__aarch64__)
  asm("" : "+w"(v));
#endif
  return v;
}

// max(0, v); NaN stays NaN. Its gradient (`cut`) passes where v > 0 and where v is NaN, so a NaN is never hidden.
static inline vec relu(vec v) { return v < 0 ? vec{} : v; }
static inline vec cut(vec gradient, vec v) { return v <= 0 ? vec{} : gradient; }

// The lanes below `count`, as a mask for `mask ? a : b`.
static inline intVec lanesBelow(int count) {
  intVec lane = {};
  for (int i = 0; i < LANES; i++) lane[i] = i;
  return lane < count;
}

// Whether any lane of a comparison's result is true.
static inline bool anyLane(intVec truth) {
#if defined(__AVX512DQ__)
  return _mm512_movepi32_mask((__m512i)truth);
#elif defined(__AVX2__)
  return _mm256_movemask_ps((__m256)truth);
#elif defined(__SSE2__)
  return _mm_movemask_ps((__m128)truth);
#else
  int any = 0;
  for (int lane = 0; lane < LANES; lane++) any |= truth[lane];
  return any;
#endif
}

template <class Vector, int N, int... J>
static inline Vector pick(Vector a, Vector b, std::integer_sequence<int, J...>) {
#if defined(__clang__) || __GNUC__ >= 12
  return __builtin_shufflevector(a, b, J...);
#else
  typedef decltype(a < b) Indices;
  return __builtin_shuffle(a, b, Indices{J...});
#endif
}
template <int N, int... J> constexpr auto zipLowIndices(std::integer_sequence<int, J...>) {
  return std::integer_sequence<int, (J / 2 + J % 2 * N)...>{};
}
template <int N, int... J> constexpr auto zipHighIndices(std::integer_sequence<int, J...>) {
  return std::integer_sequence<int, (N / 2 + J / 2 + J % 2 * N)...>{};
}

// a0 b0 a1 b1 ...: the lower halves interleaved; zipHigh: the upper halves.
template <int N, class Vector> static inline Vector zipLow(Vector a, Vector b) {
  return pick<Vector, N>(a, b, zipLowIndices<N>(std::make_integer_sequence<int, N>{}));
}
template <int N, class Vector> static inline Vector zipHigh(Vector a, Vector b) {
  return pick<Vector, N>(a, b, zipHighIndices<N>(std::make_integer_sequence<int, N>{}));
}

// [ROWS][N] becomes [N][ROWS], in the same registers: each round interleaves row i with row i + ROWS / 2.
template <int ROWS, int N, class Vector> static inline void transpose(Vector *rows) {
  Vector next[ROWS];
  UNROLL for (int width = 1; width < ROWS; width *= 2) {
    UNROLL for (int i = 0; i < ROWS / 2; i++) {
      next[2 * i] = zipLow<N>(rows[i], rows[i + ROWS / 2]);
      next[2 * i + 1] = zipHigh<N>(rows[i], rows[i + ROWS / 2]);
    }
    UNROLL for (int i = 0; i < ROWS; i++) rows[i] = next[i];
  }
}

// Lane j of the result is the sum of the lanes of v[j]; v[0..LANES-1] is used as scratch. The order of summation is
// fixed: a tree, as in `transpose`, with each pair added as soon as it is interleaved.
static inline vec sumOfLanes(vec *v) {
  UNROLL for (int half = LANES / 2; half > 0; half /= 2) {
    UNROLL for (int i = 0; i < half; i++) v[i] = zipLow<LANES>(v[i], v[i + half]) + zipHigh<LANES>(v[i], v[i + half]);
  }
  return v[0];
}
