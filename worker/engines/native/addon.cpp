// The Node-API addon: engines as handles, steps as promises.
//
// A step runs on one of libuv's threads (and on the engine's own when it has several), so the event loop stays free;
// Node waits for it before it takes an environment down, in a worker thread too. An engine's memory is freed when it is
// disposed and no step is under way; an engine that is never disposed, when its handle is collected.
#include <algorithm>
#include "napi-support.h"
#include "cpu.h"
#include "network.h"
#include <cstring>
#include <memory>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace {

struct Engine {
  std::unique_ptr<Network> network; // null once disposed
  std::vector<uint16_t> labels;     // a copy, checked: the caller's could change during the step
  napi_ref parameters = nullptr, buffers = nullptr;
  bool isBusy = false, isDisposed = false;
};

// One step under way. `kept` holds the handle and the typed arrays in use, so that none is collected.
struct Step {
  Engine *engine;
  Batch batch;
  bool isTraining;
  const float *parameters, *buffers;
  float *gradient, *statistics; // of a training step
  float *outputs;               // of an evaluation; null to leave them out
  BatchResult result;
  napi_ref kept;
  napi_deferred deferred;
  napi_async_work work;
};

constexpr napi_type_tag ENGINE_TAG = {0x67726164736f636bULL, 0x6e61746976653031ULL};
constexpr int PLAN_ROW = 19; // numbers a layer: see `encodePlan` in native-engine.ts

void freeEngine(napi_env env, Engine *engine) {
  engine->network.reset();
  for (napi_ref *reference : {&engine->parameters, &engine->buffers}) {
    if (*reference) napi_delete_reference(env, *reference);
    *reference = nullptr;
  }
}

Engine *engineOf(napi_env env, napi_value handle) {
  bool isEngine = false;
  void *engine = nullptr;
  if (napi_check_object_type_tag(env, handle, &ENGINE_TAG, &isEngine) != napi_ok || !isEngine)
    throw ArgumentError{false, "the first argument is not an engine's handle"};
  check(napi_unwrap(env, handle, &engine));
  return (Engine *)engine;
}

NetworkPlan readPlan(const Elements<int32_t> &rows) {
  NetworkPlan plan = {};
  if (rows.length % PLAN_ROW != 0) throw ArgumentError{true, "the plan must have 19 numbers a layer"};
  for (size_t at = 0; at < rows.length; at += PLAN_ROW) {
    const int32_t *n = rows.data + at;
    if (*std::min_element(n, n + PLAN_ROW) < 0) throw ArgumentError{true, "the plan has a negative number"};
    if (n[0] > (int)LayerKind::pad) throw ArgumentError{true, "the plan has a layer of unknown kind"};
    plan.layers.push_back({(LayerKind)n[0], n[1] != 0, n[2], n[3], n[4], n[5], n[6], (size_t)n[7], (size_t)n[8],
                           (size_t)n[9], (size_t)n[10], n[11], n[12], n[13], n[14], n[15], n[16], n[17], 1});
    std::memcpy(&plan.layers.back().scale, n + 18, sizeof(float));
  }
  return plan;
}

std::unique_ptr<Engine> makeEngine(const NetworkPlan &plan) {
  auto engine = std::make_unique<Engine>();
  try {
    engine->network = std::make_unique<Network>(plan);
    engine->labels.resize(plan.maxBatch);
  } catch (const std::bad_alloc &) {
    throw ArgumentError{true, "no memory for batches of " + std::to_string(plan.maxBatch) + ": use smaller ones"};
  }
  return engine;
}

// create(plan, inputSize, numClasses, maxBatch, threads, parameters, buffers, labelSmoothing,
//   numDropoutUnits) -> handle
napi_value create(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const Arguments arguments(env, info, 9);
    NetworkPlan plan = readPlan(elementsOf<int32_t>(env, arguments[0], "plan"));
    plan.inputSize = arguments.integer(1, "inputSize", 1, INT32_MAX);
    plan.numClasses = arguments.integer(2, "numClasses", 1, MAX_CLASSES);
    plan.maxBatch = arguments.integer(3, "maxBatch", 1, 1 << 20);
    plan.threads = arguments.integer(4, "threads", 1, 1024);
    plan.numParameters = elementsOf<float>(env, arguments[5], "parameters").length;
    plan.numBuffers = elementsOf<float>(env, arguments[6], "buffers").length;
    plan.labelSmoothing = arguments.fraction(7, "labelSmoothing");
    plan.numDropoutUnits = arguments.integer(8, "numDropoutUnits", 0, INT32_MAX);
    if (const char *fault = findFault(plan))
      throw ArgumentError{true, std::string("the plan does not hold together: ") + fault};

    auto engine = makeEngine(plan);
    napi_value handle;
    check(napi_create_object(env, &handle));
    check(napi_type_tag_object(env, handle, &ENGINE_TAG));
    check(napi_create_reference(env, arguments[5], 1, &engine->parameters));
    check(napi_create_reference(env, arguments[6], 1, &engine->buffers));
    check(napi_wrap(
        env, handle, engine.get(),
        [](napi_env e, void *data, void *) {
          freeEngine(e, (Engine *)data);
          delete (Engine *)data;
        },
        nullptr, nullptr));
    engine.release();
    return handle;
  });
}

napi_value resultOf(napi_env env, const Step &step) {
  napi_value result;
  check(napi_create_object(env, &result));
  setNumber(env, result, "lossSum", step.result.lossSum);
  setNumber(env, result, "numCorrect", step.result.numCorrect);
  setNumber(env, result, "numSamples", step.batch.samples);
  return result;
}

// On a thread of libuv's.
void executeStep(napi_env, void *data) {
  Step &step = *(Step *)data;
  Network &network = *step.engine->network;
  step.result = step.isTraining ? network.computeGradient(step.batch, step.parameters, step.gradient, step.statistics)
                                : network.evaluate(step.batch, step.parameters, step.buffers, step.outputs);
}

// Back on the event loop. Calls may fail when the environment is going down: then nobody awaits the promise.
void completeStep(napi_env env, napi_status status, void *data) {
  const std::unique_ptr<Step> step((Step *)data);
  Engine *engine = step->engine;
  engine->isBusy = false;
  if (engine->isDisposed) freeEngine(env, engine);
  napi_value settled = nullptr;
  if (status == napi_ok) {
    guarded(env, [&] {
      settled = resultOf(env, *step);
      check(napi_resolve_deferred(env, step->deferred, settled));
      return settled;
    });
  } else {
    napi_value message;
    if (napi_create_string_utf8(env, "the step was cancelled", NAPI_AUTO_LENGTH, &message) == napi_ok &&
        napi_create_error(env, nullptr, message, &settled) == napi_ok) {
      napi_reject_deferred(env, step->deferred, settled);
    }
  }
  napi_delete_async_work(env, step->work);
  napi_delete_reference(env, step->kept);
}

const float *currentValues(napi_env env, napi_ref reference, size_t expected, const char *name) {
  napi_value array;
  check(napi_get_reference_value(env, reference, &array));
  const Elements<float> elements = elementsOf<float>(env, array, name);
  expectLength(elements.length, expected, false, name); // a detached array has length 0
  return elements.data;
}

// Copies labels of one byte or of two.
void readLabels(napi_env env, napi_value array, int samples, std::vector<uint16_t> &labels) {
  const auto copy = [&](const auto elements) {
    expectLength(elements.length, samples, true, "labels");
    std::copy_n(elements.data, samples, labels.begin());
  };
  if (isArrayOf<uint16_t>(env, array))
    copy(elementsOf<uint16_t>(env, array, "labels"));
  else
    copy(elementsOf<uint8_t>(env, array, "labels"));
}

// Reads and checks the arguments of a step; what it is to do.
std::unique_ptr<Step> readStep(napi_env env, const Arguments &arguments, bool isTraining) {
  Engine *engine = engineOf(env, arguments[0]);
  if (engine->isDisposed) throw ArgumentError{false, "the engine is disposed"};
  if (engine->isBusy) throw ArgumentError{false, "a call is under way: await it before the next"};
  const NetworkPlan &plan = engine->network->plan();
  const int samples = arguments.integer(3, "numSamples", 1, plan.maxBatch);
  const auto images = elementsOf<uint8_t>(env, arguments[1], "images");
  expectLength(images.length, (size_t)samples * plan.inputSize, true, "images");
  readLabels(env, arguments[2], samples, engine->labels);
  for (int n = 0; n < samples; n++) {
    if (engine->labels[n] < plan.numClasses) continue;
    throw ArgumentError{true, "label " + std::to_string(engine->labels[n]) + " of sample " + std::to_string(n) +
                                  " is not below numClasses " + std::to_string(plan.numClasses)};
  }

  auto step = std::make_unique<Step>();
  step->engine = engine;
  step->batch = {images.data, engine->labels.data(), samples};
  step->isTraining = isTraining;
  step->parameters = currentValues(env, engine->parameters, plan.numParameters, "parameters");
  step->buffers = currentValues(env, engine->buffers, plan.numBuffers, "buffers");
  if (isTraining) {
    const auto gradient = elementsOf<float>(env, arguments[4], "gradient"),
               statistics = elementsOf<float>(env, arguments[5], "statistics");
    expectLength(gradient.length, plan.numParameters, false, "gradient");
    expectLength(statistics.length, plan.numBuffers, false, "statistics");
    const auto masks = elementsOf<uint8_t>(env, arguments[6], "masks");
    expectLength(masks.length, (size_t)samples * plan.numDropoutUnits, true, "masks");
    step->batch.masks = masks.data;
    step->gradient = gradient.data, step->statistics = statistics.data;
  } else {
    const auto outputs = elementsOf<float>(env, arguments[4], "outputs");
    if (outputs.length > 0) expectLength(outputs.length, (size_t)samples * plan.numClasses, true, "outputs");
    step->outputs = outputs.length > 0 ? outputs.data : nullptr;
  }
  return step;
}

napi_value startStep(napi_env env, const Arguments &arguments, bool isTraining) {
  auto step = readStep(env, arguments, isTraining);
  napi_value kept, promise;
  const uint32_t count = isTraining ? 7 : 5;
  check(napi_create_array_with_length(env, count, &kept));
  for (uint32_t i = 0; i < count; i++) check(napi_set_element(env, kept, i, arguments[i]));
  check(napi_create_async_work(env, nullptr, stringValue(env, "gradsock:native"), executeStep, completeStep, step.get(),
                               &step->work));
  check(napi_create_reference(env, kept, 1, &step->kept));
  check(napi_create_promise(env, &step->deferred, &promise));
  check(napi_queue_async_work(env, step->work));
  step->engine->isBusy = true;
  step.release();
  return promise;
}

// computeGradient(handle, images, labels, numSamples, gradient, statistics, masks)
//   -> promise of { lossSum, numCorrect, numSamples }
napi_value computeGradient(napi_env env, napi_callback_info info) {
  return guarded(env, [&] { return startStep(env, Arguments(env, info, 7), true); });
}

// computeGradientNow(the same) -> { lossSum, numCorrect, numSamples }, computed by the thread that calls
napi_value computeGradientNow(napi_env env, napi_callback_info info) {
  return guarded(env, [&] {
    const auto step = readStep(env, Arguments(env, info, 7), true);
    executeStep(env, step.get());
    return resultOf(env, *step);
  });
}

// evaluate(handle, images, labels, numSamples, outputs) -> the same; an empty array: outputs are not copied
napi_value evaluate(napi_env env, napi_callback_info info) {
  return guarded(env, [&] { return startStep(env, Arguments(env, info, 5), false); });
}

// dispose(handle): at once, or when the step under way is done. Again: nothing.
napi_value dispose(napi_env env, napi_callback_info info) {
  return guarded(env, [&]() -> napi_value {
    Engine *engine = engineOf(env, Arguments(env, info, 1)[0]);
    engine->isDisposed = true;
    if (!engine->isBusy) freeEngine(env, engine);
    return nullptr;
  });
}

// keepFreedMemory() -> whether the C library could be told
napi_value keepFreedMemory(napi_env env, napi_callback_info) {
  return guarded(env, [&] {
    bool isKept = false;
#if defined(__GLIBC__)
    constexpr int LARGEST_IN_HEAP = 32 << 20, KEPT = 1 << 30; // the first is the most that glibc takes
    isKept = mallopt(M_MMAP_THRESHOLD, LARGEST_IN_HEAP) && mallopt(M_TRIM_THRESHOLD, KEPT);
#endif
    napi_value result;
    check(napi_get_boolean(env, isKept, &result));
    return result;
  });
}

} // namespace

NAPI_MODULE_INIT() {
  return guarded(env, [&] {
    exportFunctions(env, exports,
                    {{"create", create},
                     {"computeGradient", computeGradient},
                     {"computeGradientNow", computeGradientNow},
                     {"evaluate", evaluate},
                     {"dispose", dispose}});
    exportVectorMath(env, exports);
    exportSharedMemory(env, exports);
    exportFunctions(env, exports, {{"keepFreedMemory", keepFreedMemory}});
    napi_value sets;
    check(napi_create_array(env, &sets));
    uint32_t count = 0;
    for (const char *set : instructionSetsOfThisCpu())
      check(napi_set_element(env, sets, count++, stringValue(env, set)));
    check(napi_set_named_property(env, exports, "instructionSets", sets));
    check(napi_set_named_property(env, exports, "instructionSet", stringValue(env, instructionSet())));
    return exports;
  });
}
