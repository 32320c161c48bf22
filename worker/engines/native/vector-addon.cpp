// The addon's synchronous functions on whole vectors; see vector-math.h. Lengths must be equal.
#include "napi-support.h"
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

// divideVector(mean, sum, divisor) -> boolean
napi_value divide(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const VectorArguments a(env, info, 2, 1);
    napi_value isFinite;
    check(napi_get_boolean(env, divideVector(a.arrays[0], a.arrays[1], a.numbers[0], a.count), &isFinite));
    return isFinite;
  });
}

// descend(parameters, gradient, rate, decay)
napi_value plainDescent(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    const VectorArguments a(env, info, 2, 2);
    descend(a.arrays[0], a.arrays[1], a.count, a.numbers[0], a.numbers[1]);
    return nullptr;
  });
}

// descendWithMomentum(parameters, gradient, velocity, rate, decay, momentum, nesterov: 0 or 1)
napi_value momentumDescent(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    const VectorArguments a(env, info, 3, 4);
    descendWithMomentum(a.arrays[0], a.arrays[1], a.arrays[2], a.count, a.numbers[0], a.numbers[1], a.numbers[2],
                        a.numbers[3] != 0);
    return nullptr;
  });
}

// adapt(parameters, gradient, first, second, then the nine numbers of AdaptiveRates)
napi_value adaptiveMoments(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    const VectorArguments a(env, info, 4, 9);
    const auto &n = a.numbers;
    adapt(a.arrays[0], a.arrays[1], a.arrays[2], a.arrays[3], a.count,
          {n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8]});
    return nullptr;
  });
}

} // namespace

void exportVectorMath(napi_env env, napi_value exports) {
  exportFunctions(env, exports,
                  {{"addVectors", add},
                   {"divideVector", divide},
                   {"descend", plainDescent},
                   {"descendWithMomentum", momentumDescent},
                   {"adapt", adaptiveMoments}});
}
