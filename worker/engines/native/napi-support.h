// What the addon needs of Node-API: arguments read and checked at the border, errors thrown as JavaScript errors.
#pragma once
#define NAPI_VERSION 8
#include <node_api.h>
#include <cmath>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

// Thrown inside the addon, becomes a JavaScript TypeError or RangeError at its border.
struct ArgumentError {
  bool isRange;
  std::string message;
};

// A failed Node-API call other than by a wrong argument: the environment is going down, or this code is wrong.
inline void check(napi_status status) {
  if (status != napi_ok)
    throw ArgumentError{false, "internal: a Node-API call failed with status " + std::to_string(status)};
}

class Arguments {
public:
  Arguments(napi_env env, napi_callback_info info, size_t expected) : env_(env), values_(expected) {
    size_t count = expected;
    check(napi_get_cb_info(env, info, &count, values_.data(), nullptr, nullptr));
    if (count != expected)
      throw ArgumentError{false, "expected " + std::to_string(expected) + " arguments, got " + std::to_string(count)};
  }

  napi_value operator[](size_t i) const { return values_[i]; }

  int integer(size_t i, const char *name, int least, int most) const {
    double value = NAN;
    if (napi_get_value_double(env_, values_[i], &value) != napi_ok)
      throw ArgumentError{false, std::string(name) + " must be a number"};
    if (!(value >= least && value <= most) || value != std::floor(value)) {
      throw ArgumentError{true, std::string(name) + " must be an integer from " + std::to_string(least) + " to " +
                                    std::to_string(most)};
    }
    return (int)value;
  }
  // From 0 to below 1.
  float fraction(size_t i, const char *name) const {
    double value = NAN;
    if (napi_get_value_double(env_, values_[i], &value) != napi_ok)
      throw ArgumentError{false, std::string(name) + " must be a number"};
    if (!(value >= 0 && value < 1)) throw ArgumentError{true, std::string(name) + " must be from 0 to below 1"};
    return (float)value;
  }

private:
  napi_env env_;
  std::vector<napi_value> values_;
};

template <class T> constexpr napi_typedarray_type typedArrayOf();
template <> constexpr napi_typedarray_type typedArrayOf<float>() { return napi_float32_array; }
template <> constexpr napi_typedarray_type typedArrayOf<uint8_t>() { return napi_uint8_array; }
template <> constexpr napi_typedarray_type typedArrayOf<uint16_t>() { return napi_uint16_array; }
template <> constexpr napi_typedarray_type typedArrayOf<int32_t>() { return napi_int32_array; }
template <> constexpr napi_typedarray_type typedArrayOf<uint32_t>() { return napi_uint32_array; }

template <class T> struct Elements {
  T *data;
  size_t length;
};

template <class T> bool isArrayOf(napi_env env, napi_value value) {
  bool isTypedArray = false;
  check(napi_is_typedarray(env, value, &isTypedArray));
  napi_typedarray_type type = napi_int8_array;
  if (isTypedArray) check(napi_get_typedarray_info(env, value, &type, nullptr, nullptr, nullptr, nullptr));
  return isTypedArray && type == typedArrayOf<T>();
}

// The memory of a typed array of T; `name` is for the error.
template <class T> Elements<T> elementsOf(napi_env env, napi_value value, const char *name) {
  if (!isArrayOf<T>(env, value))
    throw ArgumentError{false, std::string(name) + " is not a typed array of the expected type"};
  Elements<T> elements = {nullptr, 0};
  check(napi_get_typedarray_info(env, value, nullptr, &elements.length, (void **)&elements.data, nullptr, nullptr));
  return elements;
}

inline void expectLength(size_t length, size_t expected, bool mayBeLonger, const char *name) {
  if (length == expected || (mayBeLonger && length > expected)) return;
  throw ArgumentError{true, std::string(name) + (mayBeLonger ? ": expected at least " : ": expected ") +
                                std::to_string(expected) + " elements, got " + std::to_string(length)};
}

// Runs `body`; what it throws becomes a pending JavaScript exception.
template <class Body> napi_value guarded(napi_env env, Body body) {
  try {
    return body();
  } catch (const ArgumentError &error) {
    (error.isRange ? napi_throw_range_error : napi_throw_type_error)(env, nullptr, error.message.c_str());
  } catch (const std::exception &error) { napi_throw_error(env, nullptr, error.what()); }
  return nullptr;
}

inline napi_value stringValue(napi_env env, const char *text) {
  napi_value value;
  check(napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value));
  return value;
}

inline void setNumber(napi_env env, napi_value object, const char *name, double number) {
  napi_value value;
  check(napi_create_double(env, number, &value));
  check(napi_set_named_property(env, object, name, value));
}

inline void exportFunctions(napi_env env, napi_value exports,
                            std::initializer_list<std::pair<const char *, napi_callback>> functions) {
  for (const auto &[name, function] : functions) {
    napi_value value;
    check(napi_create_function(env, name, NAPI_AUTO_LENGTH, function, nullptr, &value));
    check(napi_set_named_property(env, exports, name, value));
  }
}

// In vector-addon.cpp and shared-memory.cpp.
void exportVectorMath(napi_env env, napi_value exports);
void exportSharedMemory(napi_env env, napi_value exports);
