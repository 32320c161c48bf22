// Runs the kernels over odd shapes and batch sizes and compares them with plain loops in double precision. Not part of
// the addon: `scripts/develop/sanitize-native.ts` builds it with the sanitizers. Prints what differs and exits 1, else 0.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include "selftest-reference.h"
#include "simd.h"

namespace {

int failures = 0;

void compare(const Model &model, int N, int threads, const char *what, const float *got, const Values &want) {
  double largest = 1e-3;
  for (double value : want) largest = std::max(largest, std::fabs(value));
  for (size_t i = 0; i < want.size(); i++) {
    if (std::fabs(got[i] - want[i]) <= 2e-4 * largest) continue;
    std::printf("%s, %d samples, %d threads: %s[%zu] is %g, expected %g\n", model.name.c_str(), N, threads, what, i,
                got[i], want[i]);
    failures++;
    return;
  }
}

// Every input in its own heap block of the exact size: the address sanitizer sees one element too far. zeros: so many
// parameters at the start are 0. blackPercent: of the pixels, in runs.
void check(Model &model, int maxBatch, int threads, const std::vector<int> &sampleCounts, int zeros = 0,
           int blackPercent = 0) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> uniform(-1, 1);
  model.plan.maxBatch = maxBatch, model.plan.threads = threads;
  model.plan.labelSmoothing = threads % 2 ? 0 : 0.1f;
  if (const char *fault = findFault(model.plan)) {
    std::printf("%s: %s\n", model.name.c_str(), fault);
    failures++;
    return;
  }
  std::vector<float> parameters(model.plan.numParameters), buffers(model.plan.numBuffers);
  for (float &value : parameters) value = uniform(random) * 0.5f;
  std::fill_n(parameters.begin(), zeros, 0.0f);
  for (float &value : buffers) value = 1 + uniform(random) * 0.5f;
  Network network(model.plan);
  for (int N : sampleCounts) {
    std::vector<uint8_t> images((size_t)N * model.plan.inputSize);
    std::vector<uint16_t> labels(N);
    for (uint8_t &byte : images) byte = random() & 255;
    for (size_t at = 0, end; at < images.size(); at = end) {
      end = std::min(images.size(), at + 1 + random() % 9);
      if ((int)(random() % 100) < blackPercent) std::fill(images.begin() + at, images.begin() + end, 0);
    }
    for (uint16_t &label : labels) label = random() % model.plan.numClasses;
    std::vector<uint8_t> masks((size_t)N * model.plan.numDropoutUnits);
    for (uint8_t &kept : masks) kept = random() % 4 > 0;
    const Batch batch = {images.data(), labels.data(), N, masks.empty() ? nullptr : masks.data()};
    std::vector<float> gradient(model.plan.numParameters, NAN), statistics(model.plan.numBuffers, NAN);
    std::vector<float> outputs((size_t)N * model.plan.numClasses, NAN);
    for (bool training : {true, false}) {
      Reference judge = {model, parameters, buffers, N, training, masks, {}, {}, {}, {}};
      const BatchResult want = judge.run(batch);
      const BatchResult got =
          training ? network.computeGradient(batch, parameters.data(), gradient.data(), statistics.data())
                   : network.evaluate(batch, parameters.data(), buffers.data(), outputs.data());
      const float loss = (float)got.lossSum;
      compare(model, N, threads, training ? "loss" : "evaluation loss", &loss, {want.lossSum});
      if (got.numCorrect != want.numCorrect)
        std::printf("%s: %d correct, expected %d\n", model.name.c_str(), got.numCorrect, want.numCorrect), failures++;
      if (!training && std::any_of(outputs.begin(), outputs.end(), [](float z) { return std::isnan(z); }))
        std::printf("%s: outputs are left out\n", model.name.c_str()), failures++;
      if (!training) continue;
      compare(model, N, threads, "gradient", gradient.data(), judge.gradient);
      compare(model, N, threads, "statistics", statistics.data(), judge.statistics);
    }
  }
}

} // namespace

int main() {
  std::vector<Model> models = {
      Model("dense", 1, 9, 7).dense(120).norm().dense(84).norm().dense(10).norm(),
      Model("conv", 1, 14, 14).conv(6, 5).conv(16, 3).dense(13).norm().dense(10).norm(),
      Model("conv-pool", 1, 20, 20).conv(6, 5).maxPool(2).conv(16, 3).maxPool(2).dense(31).norm().dense(10).norm(),
      Model("one filter, kernel 1", 1, 5, 6).conv(1, 1).dense(2, false),
      Model("pool 3 with leftovers", 2, 11, 13).conv(3, 4).maxPool(3).dense(3, false),
      Model("pool of the image", 3, 7, 5).maxPool(2).dense(5).dense(4),
      Model("pool of a map without ReLU", 1, 9, 9).conv(9, 2, false).maxPool(4).dense(4, false),
      Model("pool upon pool", 1, 17, 17).conv(2, 2).maxPool(2).maxPool(3).dense(4, false),
      Model("norm of maps", 2, 8, 8).norm().conv(7, 3).norm().conv(5, 3, false).norm().maxPool(2).dense(3, false),
      Model("kernel as large as the map", 3, 6, 4).conv(17, 4).conv(4, 1).dense(3, false),
      Model("kernel 7, narrow map", 1, 9, 8).conv(8, 7).conv(8, 2).dense(2),
      Model("wide dense layers", 1, 30, 30).dense(17).dense(33, false).norm().dense(5, false),
      Model("ReLU on the outputs", 1, 4, 4).dense(3),
      Model("no dense layer", 1, 6, 6).conv(4, 3).conv(10, 4, false),
      Model("norm alone", 10, 1, 1).norm().norm(),
      Model("more classes than a byte tells apart", 1, 5, 5).dense(9).dense(300).norm(),
      Model("stride 2", 3, 13, 10).conv(7, 3, true, 2).conv(5, 2, false, 2).dense(3, false),
      Model("stride beyond the kernel, rows that no window meets", 2, 14, 11).conv(9, 3).conv(4, 2, true, 3).dense(3),
      Model("strided above a pool", 1, 20, 20).conv(4, 3).maxPool(2).conv(17, 3, true, 2).maxPool(2).dense(3),
      Model("padded", 2, 7, 6).pad(1, 1, 1, 1).conv(6, 3).pad(0, 1, 1, 2).conv(3, 4).pad(2, 2, 2, 2).conv(3, 5).dense(4),
      Model("pad of a norm", 3, 5, 5).norm().pad(1, 1, 1, 1).conv(4, 3).norm().averagePool(5, 5).norm().dense(3),
      Model("average pools", 2, 13, 17).conv(5, 3).averagePool(2, 2).conv(4, 2, false).averagePool(2, 3).dense(4),
      Model("average of the image", 4, 6, 7).averagePool(6, 7).dense(3, false),
      Model("dropout", 1, 9, 9).conv(5, 2).dropout(0.25f).maxPool(2).dense(12).dropout(0.5f).dense(9).dense(4, false),
      Model("dropout last", 1, 5, 5).dense(6).norm().dense(4).dropout(0.2f),
      Model("residual maps", 3, 8, 9).fork().pad(1, 1, 1, 1).conv(3, 3).join().conv(8, 3).fork().pad(1, 1, 1, 1)
          .conv(5, 3).norm().conv(8, 1, false).pad(2, 2, 2, 2).conv(8, 5, false).join().maxPool(2).dense(3, false),
      Model("residual with norms", 2, 6, 6).conv(5, 3).fork().norm().conv(5, 1).norm().join(false).norm().dense(4),
      Model("residual units", 1, 4, 4).dense(9).fork().dense(7).dense(9, false).join().dense(5).fork().dropout(0.5f)
          .dense(5).join(),
  };
  for (Model &model : models) {
    check(model, 17, 1, {17, 1, 5, 16});
    check(model, 70, 3, {70, 2, 33});
  }
  check(models[2], 300, 2, {300}); // more panels than groups
  // Weights of 0: every pixel of a map is its bias, and a filter's gradient tells which pixel won in a pool.
  Model ties2 = Model("ties in 2x2 pools", 1, 9, 9).conv(3, 2).maxPool(2).dense(3, false);
  Model ties3 = Model("ties in 3x3 pools", 1, 9, 9).conv(3, 2).maxPool(3).dense(3, false);
  for (Model *model : {&ties2, &ties3}) check(*model, 17, 1, {17}, 3 * 2 * 2);
  // Filters without weights, two of them without bias: their maps are 0 in every sample, above them is a large layer.
  Model silent = Model("silent filters", 1, 30, 30).conv(4, 3).dense(50).norm().dense(3, false);
  check(silent, 70, 3, {70, 33}, 4 * 3 * 3 + 2);
  // Images with zeros to skip: widths that fill blocks of outputs and that do not, odd and tiny images.
  std::vector<Model> readers = {
      Model("zeros, one block", 1, 9, 11).dense(120).norm().dense(5, false),
      Model("zeros, whole vectors", 1, 16, 8).dense(128, false),
      Model("zeros, blocks of two sizes", 1, 7, 5).dense(150).dense(3),
      Model("zeros, less than a block", 1, 5, 10).dense(37).norm().dense(2, false),
      Model("zeros, one pixel", 1, 1, 1).dense(100).dense(4, false),
  };
  for (Model &model : readers) {
    check(model, 17, 1, {17, 1, 7}, 0, 60);
    check(model, 200, 3, {200, 2, 133}, 0, 60);
    check(model, 300, 2, {300, 64}, 0, 80);
  }
  check(readers[1], 70, 1, {70}, 0, 100);
  std::printf("%zu models, %d lanes, %d differences\n", models.size() + 3 + readers.size(), LANES, failures);
  return failures ? 1 : 0;
}
