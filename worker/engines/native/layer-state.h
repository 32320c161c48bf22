// A layer's buffers, and what it does to one panel or one feature: kernels applied to the right memory.
#pragma once
#include <algorithm>
#include "average-pool.h"
#include "batch-norm.h"
#include "conv-gradient.h"
#include "dense-sparse.h"
#include "max-pool.h"
#include "network.h"
#include "pass-through.h"
#include "thread-pool.h"
#include "workspace.h"

// Panels are cut into at most this many groups. A group's sum of a filter gradient is made by one thread, panel by
// panel, and the groups' sums are added in order: so the result is the same for any number of threads.
constexpr int MAX_GROUPS = 16;

struct LayerState : LayerPlan {
  // A ReLU is applied to this layer's output; to the output of the layer below, which is no pool. Before a pool, it is
  // the pool's.
  bool withRelu = false, reluBelow = false;
  bool zerosBelow = false;   // a ReLU made the input, before a pool or not
  bool first = false;        // nobody asks for the gradient of its input: the images, or these with zeros around them
  bool runsIntoPool = false; // conv below a 2x2 pool: the two run as one, into the pool's y and winner
  bool isDoneBelow = false;  // that pool
  const vec *x = nullptr;
  vec *y = nullptr;
  intVec *winner = nullptr; // pool: whose gradient y's is
  // Gradient of y: of all panels where batch norm needs them at once, else of what a thread works on: two panels of a
  // dense layer and below one, which makes their gradients together, else one.
  vec *dy = nullptr;
  bool keepsGradient = false, inPairs = false;
  size_t gradientStride = 0; // from a thread's panels to the next thread's

  float *forwardWeights = nullptr, *backwardWeights = nullptr; // conv: the weights as its kernels want them
  float *filterTotalsOfGroups = nullptr;                       // conv: [groups][filterTotals(conv())]
  vec *transposedGradient = nullptr;                           // dense: dy with the outputs in the lanes
  bool canSkip = false;                                        // dense, reads images: may skip their zeros
  PixelMasks masks = {nullptr, 0};                             //   where they are not 0
  vec *weightSums_IV = nullptr;                                //   scratch of its weight gradient
  vec *mean_C = nullptr, *variance_C = nullptr;                // batch norm: of this batch, a lane a feature

  const vec *forked = nullptr; // join: the input of its fork
  vec *toFork = nullptr;       // join and its fork: the gradient of all panels that goes from one to the other

  ConvShape conv() const { return {C, H, W, outputs, size, stride}; }
  AverageShape average() const { return {C, H, W, rows, columns}; }
  PadShape padding() const { return {C, H, W, rows, columns, top, left}; }
  PoolShape pool() const { return {C, H, W, size}; }
  DenseShape dense() const { return {inputSize(), outputs}; }
  bool is(LayerKind k) const { return kind == k; }
  int taps() const { return C * size * size; }
  const vec *input(int panel) const { return x + (size_t)panel * inputSize(); }
  vec *output(int panel) const { return y + (size_t)panel * outputSize(); }
  // Where the gradient of `panel` lies, for the thread whose pair of panels begins at `pair`.
  vec *gradient(int panel, int pair, int thread) const {
    return dy + (keepsGradient ? (size_t)panel * outputSize()
                               : thread * gradientStride + (inPairs ? panel - pair : 0) * (size_t)outputSize());
  }
  // Where the layer must cut its gradient for the ReLU below; null where there is none.
  const vec *cutBy(int panel) const { return reluBelow ? input(panel) : nullptr; }
  Features features(int samples) const { return {samples, H * W, (size_t)inputSize()}; }
};

// What each layer does, and what it leaves to its neighbours.
static std::vector<LayerState> describeLayers(const NetworkPlan &plan) {
  std::vector<LayerState> layers;
  for (size_t k = 0; k < plan.layers.size(); k++) {
    LayerState l;
    static_cast<LayerPlan &>(l) = plan.layers[k];
    const LayerPlan *above = k + 1 < plan.layers.size() ? &plan.layers[k + 1] : nullptr;
    const LayerState *below = k > 0 ? &layers.back() : nullptr;
    const bool poolAbove = above && above->kind == LayerKind::maxPool;
    const auto mayHaveRelu = [](const LayerState &layer) {
      return layer.is(LayerKind::conv) || layer.is(LayerKind::dense) || layer.is(LayerKind::join);
    };
    l.first = !below || (below->first && below->is(LayerKind::pad));
    l.withRelu = l.is(LayerKind::maxPool) ? below && mayHaveRelu(*below) && below->relu
                                          : mayHaveRelu(l) && l.relu && !poolAbove;
    l.zerosBelow = below && below->withRelu;
    l.reluBelow = l.zerosBelow && !below->is(LayerKind::maxPool);
    l.runsIntoPool = l.is(LayerKind::conv) && l.stride == 1 && poolAbove && above->size == 2;
    l.isDoneBelow = below && below->runsIntoPool;
    l.keepsGradient = !above || l.is(LayerKind::batchNorm) || above->kind == LayerKind::batchNorm;
    l.inPairs = l.is(LayerKind::dense) || (above && above->kind == LayerKind::dense);
    layers.push_back(l);
  }
  return layers;
}

static inline int featureBlocks(int C) { return (C + LANES - 1) / LANES; }

// below: the layer below, null for the first. l.withRelu and so on are set; y stays null where a pool takes its place.
static void allocateLayer(LayerState &l, const LayerState *below, int panels, int threads, Workspace &memory) {
  const size_t size = l.outputSize();
  if (l.is(LayerKind::fork)) l.y = const_cast<vec *>(l.x);
  else if (!l.runsIntoPool) l.y = memory.allocate<vec>(panels * size);
  if (l.is(LayerKind::join)) l.toFork = memory.allocate<vec>(panels * size);
  if (l.is(LayerKind::maxPool)) l.winner = memory.allocate<intVec>(panels * size);
  // The filter gradient reads whole blocks of filters: planes of padding after the last.
  const size_t padding = l.is(LayerKind::conv) ? size / l.outputs * (paddedToBlock(l.outputs) - l.outputs) : 0;
  l.gradientStride = (l.inPairs ? 2 : 1) * size + padding;
  // Batch norm turns the gradient of its output into that of its input in place.
  if (l.is(LayerKind::batchNorm) && below) l.dy = below->dy;
  else l.dy = memory.allocate<vec>(l.keepsGradient ? panels * size + padding : threads * l.gradientStride);
  if (l.is(LayerKind::conv)) {
    l.forwardWeights = memory.allocate<float>((size_t)l.taps() * paddedToBlock(l.outputs));
    l.backwardWeights = memory.allocate<float>((size_t)l.outputs * l.size * l.size * paddedToBlock(l.C));
    l.filterTotalsOfGroups = memory.allocate<float>(std::min(panels, MAX_GROUPS) * filterTotals(l.conv()));
  }
  if (l.is(LayerKind::dense)) {
    l.transposedGradient = memory.allocate<vec>((size_t)outputPairs(l.outputs) * 2 * panels * LANES);
    l.canSkip = l.first && canSkipZeros(l.outputs);
    if (l.canSkip) {
      l.masks = {memory.allocate<Mask>((size_t)l.inputSize() * panels), (size_t)panels};
      l.weightSums_IV = memory.allocate<vec>((size_t)l.inputSize() * GRADIENT_PAIRS * 2);
    }
  }
  if (l.is(LayerKind::batchNorm)) {
    l.mean_C = memory.allocate<vec>(featureBlocks(l.C));
    l.variance_C = memory.allocate<vec>(featureBlocks(l.C));
  }
}

// Scratch of one thread.
struct Scratch {
  vec *filterSums; // of the largest convolution
  PackedInputs packed;
  vec *sparse;     // SPARSE_SCRATCH vectors
};

// The features of block `block` in a flat vector of C floats, a lane a feature; 0 past the last.
static vec loadFeatures(const float *from_C, int block, int C) {
  vec v = {};
  for (int f = block * LANES; f < std::min(block * LANES + LANES, C); f++) v[f - block * LANES] = from_C[f];
  return v;
}
static void storeFeatures(float *to_C, vec v, int block, int C) {
  storeSome(to_C + block * LANES, v, C - block * LANES);
}

// One panel forward, of every layer but dense and a batch norm in training. above: the next layer, if there is one.
// masks: dropout's of this panel, in training.
static void forwardPanel(const LayerState &l, const LayerState *above, int panel, const float *parameters,
                         const float *buffers, const PanelMasks *masks) {
  const size_t size = l.outputSize();
  if (l.runsIntoPool) {
    convPoolForward(l.conv(), l.input(panel), l.forwardWeights, parameters + l.bias, l.relu, above->output(panel),
                    above->winner + (size_t)panel * above->outputSize());
  } else if (l.is(LayerKind::conv)) {
    convForward(l.conv(), l.input(panel), l.forwardWeights, parameters + l.bias, l.withRelu, l.output(panel));
  } else if (l.is(LayerKind::maxPool) && !l.isDoneBelow) {
    poolForward(l.pool(), l.input(panel), l.withRelu, l.output(panel), l.winner + (size_t)panel * l.outputSize());
  } else if (l.is(LayerKind::averagePool)) {
    averageForward(l.average(), l.input(panel), l.output(panel));
  } else if (l.is(LayerKind::pad)) {
    padForward(l.padding(), l.input(panel), l.output(panel));
  } else if (l.is(LayerKind::dropout) && masks) {
    dropoutForward(size, *masks, l.input(panel), l.output(panel));
  } else if (l.is(LayerKind::dropout)) {
    copyPanel(size, l.input(panel), l.output(panel));
  } else if (l.is(LayerKind::join)) {
    joinForward(size, l.input(panel), l.forked + panel * size, l.withRelu, l.output(panel));
  } else if (l.is(LayerKind::batchNorm)) {
    for (int block = 0; block < featureBlocks(l.C); block++) {
      const size_t at = (size_t)block * LANES * l.H * l.W;
      const auto load = [&](const float *from) { return loadFeatures(from, block, l.C); };
      forPixels(l.features(0), [&](Features features) {
        normalise(features, std::min(LANES, l.C - block * LANES), panel, panel + 1, l.x + at, load(buffers + l.mean),
                  load(buffers + l.variance), load(parameters + l.weight), load(parameters + l.bias), l.y + at);
      });
    }
  }
}

// A block of features of a batch norm in training, over the whole batch.
static void forwardFeatures(const LayerState &l, int block, int samples, const float *parameters, float *statistics) {
  const size_t at = (size_t)block * LANES * l.H * l.W;
  const int count = std::min(LANES, l.C - block * LANES), panels = (samples + LANES - 1) / LANES;
  forPixels(l.features(samples), [&](Features features) {
    vec mean, variance;
    meanAndVariance(features, count, l.x + at, &mean, &variance);
    normalise(features, count, 0, panels, l.x + at, mean, variance, loadFeatures(parameters + l.weight, block, l.C),
              loadFeatures(parameters + l.bias, block, l.C), l.y + at);
    storeFeatures(statistics + l.mean, l.mean_C[block] = mean, block, l.C);
    storeFeatures(statistics + l.variance, l.variance_C[block] = variance, block, l.C);
  });
}

// dx: null in the first layer.
static void backwardFeatures(const LayerState &l, vec *dx, int block, int samples, const float *parameters,
                             float *gradient) {
  const size_t at = (size_t)block * LANES * l.H * l.W;
  forPixels(l.features(samples), [&](Features features) {
    vec dgamma, dbeta;
    normGradient(features, std::min(LANES, l.C - block * LANES), l.x + at, l.dy + at, l.mean_C[block],
                 l.variance_C[block], loadFeatures(parameters + l.weight, block, l.C), l.reluBelow,
                 dx ? dx + at : nullptr, &dgamma, &dbeta);
    storeFeatures(gradient + l.weight, dgamma, block, l.C);
    storeFeatures(gradient + l.bias, dbeta, block, l.C);
  });
}

// One panel of a layer without parameters. dx: not null.
static void backwardPanel(const LayerState &l, int panel, const PanelMasks *masks, const vec *dy, vec *dx) {
  const size_t size = l.outputSize();
  const vec *cutBy = l.cutBy(panel);
  if (l.is(LayerKind::maxPool)) poolGradient(l.pool(), l.winner + panel * size, dy, dx);
  if (l.is(LayerKind::averagePool)) averageGradient(l.average(), dy, cutBy, dx);
  if (l.is(LayerKind::pad)) padGradient(l.padding(), dy, cutBy, dx);
  if (l.is(LayerKind::dropout)) dropoutGradient(size, *masks, dy, cutBy, dx);
  if (l.is(LayerKind::fork)) forkGradient(size, dy, l.toFork + panel * size, cutBy, dx);
  if (l.is(LayerKind::join)) joinGradient(size, dy, cutBy, dx, l.toFork + panel * size);
}

// One panel of a convolution: its part of the group's filter gradient, then dx (null in the first layer).
static void backwardConv(const LayerState &l, int panel, int group, bool add, const Scratch &scratch, const vec *dy,
                         vec *dx) {
  filterGradient(l.conv(), l.input(panel), dy, add, scratch.filterSums,
                 l.filterTotalsOfGroups + group * filterTotals(l.conv()));
  if (dx) convInputGradient(l.conv(), dy, l.backwardWeights, l.cutBy(panel), dx);
}

// One or two panels of a dense layer: dy with the outputs in the lanes, for later; then dx (null in the first layer).
// rows: samples that transposedGradient has room for.
static void backwardDense(const LayerState &l, int panel, int panels, int rows, const float *parameters, const vec *dy,
                          vec *dx) {
  for (int p = 0; p < panels; p++) {
    transposeGradient(l.outputs, dy + (size_t)p * l.outputs, rows, (panel + p) * LANES, l.transposedGradient);
  }
  if (dx) {
    denseInputGradient(l.dense(), dy, panels, parameters + l.weight, l.cutBy(panel), dx);
  }
}

static bool isGradientFinite(const LayerState &l, int samples, int rows) {
  for (int pair = 0; pair < outputPairs(l.outputs); pair++) {
    const vec *dy_N2 = l.transposedGradient + (size_t)pair * rows * 2;
    if (!allFinite((const float *)dy_N2, (size_t)samples * 2 * LANES)) return false;
  }
  return true;
}

// This thread's share of a layer's weight gradient, once every panel has been through the above. skip: the images'
// zeros may be skipped.
static void weightGradientShare(const LayerState &l, int samples, int rows, int groups, int thread, int threads,
                                bool skip, const Scratch &scratch, float *gradient) {
  float *weight = gradient + l.weight, *bias = gradient + l.bias;
  if (l.is(LayerKind::dense) && skip && isGradientFinite(l, samples, rows)) {
    const Range pairs = rangeOf((l.inputSize() + 1) / 2, thread, threads);
    sparseWeightGradient(l.dense(), l.x, l.masks, samples, l.transposedGradient, rows, pairs.first * 2,
                         std::min(pairs.last * 2, l.inputSize()), scratch.sparse, l.weightSums_IV, weight);
    if (thread == 0) denseBiasGradient(l.outputs, samples, l.transposedGradient, rows, bias);
  } else if (l.is(LayerKind::dense)) {
    const Range inputs = rangeOf(l.inputSize(), thread, threads);
    const bool skipZeros = l.zerosBelow && isGradientFinite(l, samples, rows);
    denseWeightGradient(l.dense(), l.x, samples, skipZeros, l.transposedGradient, rows, inputs.first, inputs.last,
                        scratch.packed, weight);
    if (thread == 0) denseBiasGradient(l.outputs, samples, l.transposedGradient, rows, bias);
  }
  if (l.is(LayerKind::conv)) {
    const Range taps = rangeOf(l.taps() + 1, thread, threads);
    sumFilterGradients(l.conv(), l.filterTotalsOfGroups, groups, taps.first, taps.last, weight, bias);
  }
}
