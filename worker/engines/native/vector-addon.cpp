// The addon's synchronous functions on whole vectors; see vector-math.h. Lengths must be equal.
#include "napi-support.h"
#include <algorithm>
#include <cstring>
#include "encodings.h"
#include "vector-math.h"

namespace {

// The float arrays of the arguments 0..arrays, which must be as long as the first, and the numbers after them.
struct VectorArguments {
  std::vector<float *> arrays;
  std::vector<float> numbers;
  size_t count = 0;

  VectorArguments(napi_env env, napi_callback_info info, size_t arrayCount, size_t numberCount) {
    const Arguments arguments(env, info, arrayCount + numberCount);
    for (size_t i = 0; i < arrayCount; i++) {
      const Elements<float> elements = elementsOf<float>(env, arguments[i], "vector");
      if (i == 0) count = elements.length;
      expectLength(elements.length, count, false, "vector");
      arrays.push_back(elements.data);
    }
    for (size_t i = arrayCount; i < arrayCount + numberCount; i++) {
      double number;
      if (napi_get_value_double(env, arguments[i], &number) != napi_ok) throw ArgumentError{false, "expected a number"};
      numbers.push_back((float)number);
    }
  }
};

// addVectors(sum, left, right)
napi_value add(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    const VectorArguments a(env, info, 3, 0);
    addVectors(a.arrays[0], a.arrays[1], a.arrays[2], a.count);
    return nullptr;
  });
}

// subtractVectors(difference, left, right)
napi_value subtract(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    const VectorArguments a(env, info, 3, 0);
    subtractVectors(a.arrays[0], a.arrays[1], a.arrays[2], a.count);
    return nullptr;
  });
}

// divideVector(mean, sum, divisor) -> boolean
napi_value divide(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const VectorArguments a(env, info, 2, 1);
    napi_value isFinite;
    check(napi_get_boolean(env, divideVector(a.arrays[0], a.arrays[1], a.numbers[0], a.count), &isFinite));
    return isFinite;
  });
}

// isFiniteVector(values) -> boolean
napi_value isFinite(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const VectorArguments a(env, info, 1, 0);
    napi_value answer;
    check(napi_get_boolean(env, isFiniteVector(a.arrays[0], a.count), &answer));
    return answer;
  });
}

// sumOfSquares(values) -> number
napi_value squares(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const VectorArguments a(env, info, 1, 0);
    napi_value sum;
    check(napi_create_double(env, sumOfSquares(a.arrays[0], a.count), &sum));
    return sum;
  });
}

// descend(parameters, gradient, rate, decay, gradientScale)
napi_value plainDescent(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    const VectorArguments a(env, info, 2, 3);
    descend(a.arrays[0], a.arrays[1], a.count, a.numbers[0], a.numbers[1], a.numbers[2]);
    return nullptr;
  });
}

// descendWithMomentum(parameters, gradient, velocity, rate, decay, momentum, nesterov: 0 or 1, gradientScale)
napi_value momentumDescent(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    const VectorArguments a(env, info, 3, 5);
    descendWithMomentum(a.arrays[0], a.arrays[1], a.arrays[2], a.count, a.numbers[0], a.numbers[1], a.numbers[2],
                        a.numbers[3] != 0, a.numbers[4]);
    return nullptr;
  });
}

// adapt(parameters, gradient, first, second, then the ten numbers of AdaptiveRates)
napi_value adaptiveMoments(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    const VectorArguments a(env, info, 4, 10);
    const auto &n = a.numbers;
    adapt(a.arrays[0], a.arrays[1], a.arrays[2], a.arrays[3], a.count,
          {n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9]});
    return nullptr;
  });
}

// Rows of a shuffled epoch lie anywhere in tens of megabytes: so many ahead are on their way while one is copied.
constexpr size_t ROWS_AHEAD = 4, LINE_BYTES = 64;

void copyRows(uint8_t *rows, const uint8_t *table, const uint32_t *indices, size_t count, size_t rowBytes) {
  const auto fetch = [&](size_t i) {
    const uint8_t *row = table + indices[i] * rowBytes;
    for (size_t at = 0; at < rowBytes; at += LINE_BYTES) __builtin_prefetch(row + at);
    __builtin_prefetch(row + rowBytes - 1);
  };
  for (size_t i = 0; i < std::min(count, ROWS_AHEAD); i++) fetch(i);
  for (size_t i = 0; i < count; i++) {
    if (i + ROWS_AHEAD < count) fetch(i + ROWS_AHEAD);
    std::memcpy(rows + i * rowBytes, table + indices[i] * rowBytes, rowBytes);
  }
}

// gatherRows(rows, table, indices, rowBytes)
napi_value gather(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    const Arguments arguments(env, info, 4);
    const auto rows = elementsOf<uint8_t>(env, arguments[0], "rows"),
               table = elementsOf<uint8_t>(env, arguments[1], "table");
    const auto indices = elementsOf<uint32_t>(env, arguments[2], "indices");
    const size_t rowBytes = arguments.integer(3, "rowBytes", 1, 1 << 30), tableRows = table.length / rowBytes;
    expectLength(rows.length, indices.length * rowBytes, true, "rows");
    for (size_t i = 0; i < indices.length; i++) {
      if (indices.data[i] < tableRows) continue;
      throw ArgumentError{true, "row " + std::to_string(indices.data[i]) + " is not below the table's " +
                                    std::to_string(tableRows)};
    }
    copyRows(rows.data, table.data, indices.data, indices.length, rowBytes);
    return nullptr;
  });
}

// Bytes are where 16- and 32-bit numbers may lie.
void expectAligned(const uint8_t *bytes) {
  if ((uintptr_t)bytes % 4 != 0) throw ArgumentError{true, "bytes: expected them at a multiple of 4"};
}

// encodeBf16(bytes, values) and the like
template <void encode(uint8_t *, const float *, size_t), size_t encodedBytes(size_t)>
napi_value encodeVector(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    const Arguments arguments(env, info, 2);
    const auto bytes = elementsOf<uint8_t>(env, arguments[0], "bytes");
    const auto values = elementsOf<float>(env, arguments[1], "values");
    expectLength(bytes.length, encodedBytes(values.length), false, "bytes");
    expectAligned(bytes.data);
    encode(bytes.data, values.data, values.length);
    return nullptr;
  });
}

// decodeBf16(values, bytes) and the like
template <void decode(float *, const uint8_t *, size_t), size_t encodedBytes(size_t)>
napi_value decodeVector(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    const Arguments arguments(env, info, 2);
    const auto values = elementsOf<float>(env, arguments[0], "values");
    const auto bytes = elementsOf<uint8_t>(env, arguments[1], "bytes");
    expectLength(bytes.length, encodedBytes(values.length), false, "bytes");
    expectAligned(bytes.data);
    decode(values.data, bytes.data, values.length);
    return nullptr;
  });
}

} // namespace

void exportVectorMath(napi_env env, napi_value exports) {
  exportFunctions(env, exports,
                  {{"addVectors", add},
                   {"subtractVectors", subtract},
                   {"divideVector", divide},
                   {"isFiniteVector", isFinite},
                   {"sumOfSquares", squares},
                   {"descend", plainDescent},
                   {"descendWithMomentum", momentumDescent},
                   {"adapt", adaptiveMoments},
                   {"gatherRows", gather},
                   {"encodeBf16", encodeVector<encodeBf16, encodedHalves>},
                   {"decodeBf16", decodeVector<decodeBf16, encodedHalves>},
                   {"encodeF16", encodeVector<encodeF16, encodedHalves>},
                   {"decodeF16", decodeVector<decodeF16, encodedHalves>},
                   {"encodeInt8", encodeVector<encodeInt8, encodedInt8>},
                   {"decodeInt8", decodeVector<decodeInt8, encodedInt8>}});
}
