// An engine as JavaScript holds it: an opaque handle, and the plan that it is made of.
#pragma once
#include <algorithm>
#include <memory>
#include "napi-support.h"
#include "network.h"

struct Engine {
  std::unique_ptr<Network> network; // null once disposed
  std::vector<uint8_t> labels;      // a copy, checked: the caller's could change during the step
  napi_ref parameters = nullptr, buffers = nullptr;
  bool isBusy = false, isDisposed = false;
};

constexpr napi_type_tag ENGINE_TAG = {0x67726164736f636bULL, 0x6e61746976653031ULL};
constexpr int PLAN_ROW = 11; // numbers a layer: see `encodePlan` in native-engine.ts

inline void freeEngine(napi_env env, Engine *engine) {
  engine->network.reset();
  for (napi_ref *reference : {&engine->parameters, &engine->buffers}) {
    if (*reference) napi_delete_reference(env, *reference);
    *reference = nullptr;
  }
}

inline Engine *engineOf(napi_env env, napi_value handle) {
  bool isEngine = false;
  void *engine = nullptr;
  if (napi_check_object_type_tag(env, handle, &ENGINE_TAG, &isEngine) != napi_ok || !isEngine)
    throw ArgumentError{false, "the first argument is not an engine's handle"};
  check(napi_unwrap(env, handle, &engine));
  return (Engine *)engine;
}

inline NetworkPlan readPlan(const Elements<int32_t> &rows) {
  NetworkPlan plan = {};
  if (rows.length % PLAN_ROW != 0) throw ArgumentError{true, "the plan must have 11 numbers a layer"};
  for (size_t at = 0; at < rows.length; at += PLAN_ROW) {
    const int32_t *n = rows.data + at;
    if (*std::min_element(n, n + PLAN_ROW) < 0) throw ArgumentError{true, "the plan has a negative number"};
    if (n[0] > (int)LayerKind::batchNorm) throw ArgumentError{true, "the plan has a layer of unknown kind"};
    plan.layers.push_back({(LayerKind)n[0], n[1] != 0, n[2], n[3], n[4], n[5], n[6], (size_t)n[7], (size_t)n[8],
                           (size_t)n[9], (size_t)n[10]});
  }
  return plan;
}

inline std::unique_ptr<Engine> makeEngine(const NetworkPlan &plan) {
  auto engine = std::make_unique<Engine>();
  try {
    engine->network = std::make_unique<Network>(plan);
    engine->labels.resize(plan.maxBatch);
  } catch (const std::bad_alloc &) {
    throw ArgumentError{true, "no memory for batches of " + std::to_string(plan.maxBatch) + ": use smaller ones"};
  }
  return engine;
}
