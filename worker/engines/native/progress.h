// Progress: tells JavaScript how much of a gradient is final while another thread computes it.
#pragma once
#include <memory>
#include <mutex>
#include "napi-support.h"
#include "network.h"

// To wake the event loop takes as long as sending some kilobytes: fewer values than these are not worth it.
constexpr size_t LEAST_NEWS = 64 << 10;

// Ends with its step, or with the environment, which does not wait: so both threads look under a lock whether the
// function is still there. What is told and not delivered by then is dropped.
class Progress {
public:
  // onFinal is called with the first parameter of what is final, on the event loop. It must not throw.
  static std::shared_ptr<Progress> create(napi_env env, napi_value onFinal) {
    const auto progress = std::make_shared<Progress>();
    auto shared = std::make_unique<std::shared_ptr<Progress>>(progress);
    check(napi_create_threadsafe_function(env, onFinal, nullptr, stringValue(env, "gradsock:progress"), 0, 1,
                                          shared.get(), forget, nullptr, deliver, &progress->function_));
    shared.release();
    // The step keeps the event loop alive.
    check(napi_unref_threadsafe_function(env, progress->function_));
    return progress;
  }

  // Calls onFinal on the event loop. Fails only when the environment is going down.
  static void call(napi_env env, napi_value onFinal, size_t firstParameter) {
    napi_value receiver, argument;
    if (napi_get_undefined(env, &receiver) != napi_ok ||
        napi_create_double(env, (double)firstParameter, &argument) != napi_ok)
      return;
    napi_call_function(env, receiver, onFinal, 1, &argument, nullptr);
  }

  // From any thread.
  void tell(size_t firstParameter) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!function_) return;
    const napi_status status =
        napi_call_threadsafe_function(function_, (void *)(uintptr_t)firstParameter, napi_tsfn_nonblocking);
    if (status == napi_closing) function_ = nullptr;
  }

  // On the event loop, before the step's promise is settled.
  void end() {
    napi_threadsafe_function function;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      function = function_;
      function_ = nullptr;
    }
    if (function) napi_release_threadsafe_function(function, napi_tsfn_abort);
  }

private:
  // env: null for what is dropped.
  static void deliver(napi_env env, napi_value onFinal, void *, void *firstParameter) {
    if (env) call(env, onFinal, (uintptr_t)firstParameter);
  }

  // Before Node frees the function.
  static void forget(napi_env, void *data, void *) {
    const std::unique_ptr<std::shared_ptr<Progress>> shared((std::shared_ptr<Progress> *)data);
    const std::lock_guard<std::mutex> lock((*shared)->mutex_);
    (*shared)->function_ = nullptr;
  }

  std::mutex mutex_;
  napi_threadsafe_function function_ = nullptr;
};

// Passes on to `tell` what adds enough to what was told before.
template <class Tell> OnFinal newsOf(size_t numParameters, Tell tell) {
  return [tell, told = numParameters](size_t firstParameter) mutable {
    if (told - firstParameter < LEAST_NEWS) return;
    told = firstParameter;
    tell(firstParameter);
  };
}
