// A network's layers run over a batch: forward, loss, backward. Owns every buffer of a step; a step allocates nothing.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

// A fork hands its input on, and to its join too, which adds it to its own: a residual block. A pad puts zeros around a
// map, for the convolution above it.
enum class LayerKind {
  conv = 0,
  maxPool = 1,
  dense = 2,
  batchNorm = 3,
  averagePool = 4,
  dropout = 5,
  fork = 6,
  join = 7,
  pad = 8
};

// One layer of the plan (flatten needs none: panels hold a map in its flattened order). Offsets are in floats, into the
// flat vectors: weight and bias of a convolution or dense layer, gamma and beta of a batch norm.
struct LayerPlan {
  LayerKind kind;
  bool relu;
  int C, H, W; // the input; a flat sample is [C] with H = W = 1
  int size;    // kernel or window
  int outputs; // filters or units
  size_t weight, bias, mean, variance;
  int stride = 1;            // of a convolution
  int rows = 0, columns = 0; // average pool: its window; pad: the map with its zeros
  int top = 0, left = 0;     // pad: rows and columns of zeros before the map
  int fork = 0;              // join: the index of its fork
  int firstUnit = 0;         // dropout: its first unit in a sample's mask
  float scale = 1;           // dropout: what kept values are multiplied by

  int inputSize() const { return C * H * W; }
  int outputSize() const;
};

struct NetworkPlan {
  std::vector<LayerPlan> layers;
  int inputSize, numClasses, maxBatch, threads;
  size_t numParameters, numBuffers;
  int numDropoutUnits; // of one sample, over all dropout layers
  float labelSmoothing; // 0 for none; in training only
};

// A label has at most two bytes.
constexpr int MAX_CLASSES = 65536;

// Null when the plan holds together (shapes chain, offsets fit), else what is wrong.
const char *findFault(const NetworkPlan &plan);

// What the kernels of this build are compiled for.
const char *instructionSet();

struct Batch {
  const uint8_t *images;  // [samples][inputSize]
  const uint16_t *labels; // [samples], each below numClasses
  int samples;            // 1..maxBatch
  // [samples][numDropoutUnits], 1 for what is kept; not read in evaluation
  const uint8_t *masks = nullptr;
};

struct BatchResult {
  double lossSum;
  int numCorrect;
};

class Network {
public:
  // Throws std::bad_alloc, or std::system_error when a thread cannot be started.
  explicit Network(const NetworkPlan &plan);
  ~Network();
  Network(const Network &) = delete;
  const NetworkPlan &plan() const;

  // gradient: the sum over the samples; statistics: mean and variance at each batch norm. Both are overwritten.
  BatchResult computeGradient(const Batch &batch, const float *parameters, float *gradient, float *statistics);
  // outputs: [samples][numClasses], what the last layer gives; null to leave them out.
  BatchResult evaluate(const Batch &batch, const float *parameters, const float *buffers, float *outputs = nullptr);

private:
  struct State;
  State *state_;
};
