// A step. Layers of the same run follow each other panel by panel, so what one writes the next reads from cache; a
// batch norm in training needs the whole batch and ends a run.
#include "network.h"
#include "cross-entropy.h"
#include "thread-pool.h"
#include "layer-state.h"

const char *instructionSet() { return INSTRUCTION_SET; }

struct Network::State {
  NetworkPlan plan;
  Workspace memory;
  ThreadPool pool;
  std::vector<LayerState> layers;
  std::vector<Scratch> scratch; // of each thread
  vec *images = nullptr;
  LossSum *losses = nullptr; // of each panel
  int maxPanels;

  // The call under way.
  Batch batch = {};
  const float *parameters = nullptr, *buffers = nullptr;
  int panels = 0, groupSize = 1, groups = 0;
  bool skipZeros = false; // of the images, in the dense layer that reads them

  explicit State(const NetworkPlan &given);
  void begin(const Batch &newBatch, const float *newParameters, const float *newBuffers);
  template <class Work> void onPanels(const Work &work);
  template <class Work> void onFeatures(int C, const Work &work);
  int endOfRun(int from, bool training) const;
  void forward(float *statistics);
  void forwardRun(int from, int to, Range share, int thread);
  void forwardLayer(int k, Range some);
  void forwardImages(Range share, int thread);
  void loadImages(Range some);
  BatchResult loss(bool training);
  void copyOutputs(float *outputs) const;
  void backward(float *gradient);
  void backwardRun(int from, int to, Range share, int thread);
  void backwardMap(int k, int panel, int pair, int thread);
  PanelMasks masksOf(const LayerState &l, int panel) const;
  int samplesOf(int panel) const { return std::min(LANES, batch.samples - panel * LANES); }
};

Network::State::State(const NetworkPlan &given)
    : plan(given), pool(given.threads), layers(describeLayers(given)), maxPanels((given.maxBatch + LANES - 1) / LANES) {
  images = memory.allocate<vec>((size_t)maxPanels * plan.inputSize);
  losses = memory.allocate<LossSum>(maxPanels);
  size_t filterSums = 0;
  for (size_t k = 0; k < layers.size(); k++) {
    LayerState &l = layers[k], *below = k > 0 ? &layers[k - 1] : nullptr;
    l.x = below ? below->y : images;
    allocateLayer(l, below, maxPanels, pool.threads(), memory);
    if (l.is(LayerKind::join)) {
      l.forked = layers[l.fork].x;
      layers[l.fork].toFork = l.toFork;
    }
    if (l.is(LayerKind::conv)) filterSums = std::max(filterSums, filterSumVectors(l.conv()));
  }
  for (int thread = 0; thread < pool.threads(); thread++) {
    scratch.push_back({memory.allocate<vec>(filterSums),
                       {memory.allocate<vec>((size_t)maxPanels * DENSE_BLOCK), memory.allocate<int>(maxPanels), 0},
                       memory.allocate<vec>(layers[0].canSkip ? SPARSE_SCRATCH : 0)});
  }
}

void Network::State::begin(const Batch &newBatch, const float *newParameters, const float *newBuffers) {
  batch = newBatch, parameters = newParameters, buffers = newBuffers;
  panels = (batch.samples + LANES - 1) / LANES;
  groupSize = (panels + MAX_GROUPS - 1) / MAX_GROUPS;
  groups = (panels + groupSize - 1) / groupSize;
  const LayerState &reader = layers[0];
  skipZeros = reader.canSkip && hasManyZeros(batch.images, batch.samples, plan.inputSize) &&
              allFinite(parameters + reader.weight, (size_t)reader.inputSize() * reader.outputs);
  for (const LayerState &l : layers) {
    if (!l.is(LayerKind::conv)) continue;
    orderForForward(l.conv(), parameters + l.weight, l.forwardWeights);
    if (!l.first) orderForBackward(l.conv(), parameters + l.weight, l.backwardWeights);
  }
}

// Calls work(panels, thread) for each thread's share of the panels: whole groups.
template <class Work> void Network::State::onPanels(const Work &work) {
  pool.run([&](int thread, int threads) {
    const Range share = rangeOf(groups, thread, threads);
    work(Range{share.first * groupSize, std::min(share.last * groupSize, panels)}, thread);
  });
}

// Calls work(block) for each block of LANES features.
template <class Work> void Network::State::onFeatures(int C, const Work &work) {
  pool.run([&](int thread, int threads) {
    const Range share = rangeOf(featureBlocks(C), thread, threads);
    for (int block = share.first; block < share.last; block++) work(block);
  });
}

int Network::State::endOfRun(int from, bool training) const {
  while (from < (int)layers.size() && !(training && layers[from].is(LayerKind::batchNorm))) from++;
  return from;
}

// statistics: null in evaluation.
void Network::State::forward(float *statistics) {
  for (int from = 0;;) {
    const int to = endOfRun(from, statistics != nullptr);
    onPanels([&](Range share, int thread) { forwardRun(from, to, share, thread); });
    if (to == (int)layers.size()) return;
    const LayerState &norm = layers[to];
    onFeatures(norm.C, [&](int block) { forwardFeatures(norm, block, batch.samples, parameters, statistics); });
    from = to + 1;
  }
}

// Panels go through the layers two at a time, so that each layer finds its input in cache; but all together through a
// dense layer whose weights are too large for that cache: then a piece of them serves all panels.
void Network::State::forwardRun(int from, int to, Range share, int thread) {
  constexpr size_t LARGE_WEIGHTS = 512 << 10;
  const auto isLarge = [](const LayerState &l) {
    return l.is(LayerKind::dense) && (size_t)l.inputSize() * l.outputs * sizeof(float) > LARGE_WEIGHTS;
  };
  if (from == 0 && skipZeros) forwardImages(share, thread), from = 1;
  for (int k = from; k <= to; k++) {
    const int start = k;
    while (k < to && !isLarge(layers[k])) k++;
    for (int first = share.first; first < share.last; first += 2) {
      const Range pair = {first, std::min(first + 2, share.last)};
      if (start == 0) loadImages(pair);
      for (int layer = start; layer < k; layer++) forwardLayer(layer, pair);
    }
    if (k < to) forwardLayer(k, share);
  }
}

void Network::State::forwardLayer(int k, Range some) {
  const LayerState &l = layers[k], *above = k + 1 < (int)layers.size() ? &layers[k + 1] : nullptr;
  if (l.is(LayerKind::dense)) {
    denseForward(l.dense(), l.input(some.first), some.last - some.first, parameters + l.weight, parameters + l.bias,
                 l.zerosBelow, l.withRelu, l.output(some.first));
    return;
  }
  for (int panel = some.first; panel < some.last; panel++) {
    const PanelMasks masks = masksOf(l, panel);
    forwardPanel(l, above, panel, parameters, buffers, batch.masks ? &masks : nullptr);
  }
}

PanelMasks Network::State::masksOf(const LayerState &l, int panel) const {
  const size_t units = plan.numDropoutUnits;
  if (!batch.masks) return {};
  return {batch.masks + panel * LANES * units + l.firstUnit, units, samplesOf(panel), l.scale};
}

// The first layer, dense, without the products by 0: as many panels at a time as a word has bits for.
void Network::State::forwardImages(Range share, int thread) {
  const LayerState &l = layers[0];
  for (int panel = share.first; panel < share.last; panel += WORD_PANELS) {
    const int end = std::min(panel + WORD_PANELS, share.last);
    loadImages({panel, end});
    sparseForward(l.dense(), l.input(panel), l.masks, panel, end - panel, parameters + l.weight, parameters + l.bias,
                  l.withRelu, scratch[thread].sparse, l.output(panel));
  }
}

void Network::State::loadImages(Range some) {
  const int size = plan.inputSize;
  const PixelMasks &masks = layers[0].masks;
  for (int panel = some.first; panel < some.last; panel++) {
    scaleBytes(batch.images + (size_t)panel * LANES * size, samplesOf(panel), size, images + (size_t)panel * size,
               skipZeros ? masks.of_IP + panel : nullptr, masks.stride);
  }
}

BatchResult Network::State::loss(bool training) {
  const LayerState &last = layers.back();
  onPanels([&](Range share, int thread) {
    for (int panel = share.first; panel < share.last; panel++) {
      vec *dz = training ? last.gradient(panel, panel, thread) : nullptr;
      losses[panel] = crossEntropy(plan.numClasses, last.output(panel), batch.labels + panel * LANES, samplesOf(panel),
                                   last.withRelu, training ? plan.labelSmoothing : 0, dz);
    }
  });
  BatchResult result = {0, 0};
  for (int panel = 0; panel < panels; panel++) {
    result.lossSum += losses[panel].loss;
    result.numCorrect += losses[panel].correct;
  }
  return result;
}

// From panels, whose lanes are samples, to a row a sample.
void Network::State::copyOutputs(float *outputs) const {
  for (int panel = 0; panel < panels; panel++) {
    const vec *z = layers.back().output(panel);
    for (int lane = 0; lane < samplesOf(panel); lane++) {
      for (int j = 0; j < plan.numClasses; j++) *outputs++ = z[j][lane];
    }
  }
}

void Network::State::backward(float *gradient) {
  for (int to = (int)layers.size(); to > 0;) {
    if (layers[to - 1].is(LayerKind::batchNorm)) {
      const LayerState &norm = layers[--to];
      vec *dx = norm.first ? nullptr : layers[to - 1].dy;
      onFeatures(norm.C, [&](int block) { backwardFeatures(norm, dx, block, batch.samples, parameters, gradient); });
      continue;
    }
    int from = to;
    while (from > 0 && !layers[from - 1].is(LayerKind::batchNorm)) from--;
    onPanels([&](Range share, int thread) { backwardRun(from, to, share, thread); });
    to = from;
  }
  pool.run([&](int thread, int threads) {
    for (const LayerState &l : layers) {
      weightGradientShare(l, batch.samples, maxPanels * LANES, groups, thread, threads, l.first && skipZeros,
                          scratch[thread], gradient);
    }
  });
}

// Down through the layers to - 1 to from, two panels at a time through dense layers, which feed each weight to both,
// and one at a time through others, whose gradients then stay in cache.
void Network::State::backwardRun(int from, int to, Range share, int thread) {
  for (int pair = share.first; pair < share.last; pair += 2) {
    const int end = std::min(pair + 2, share.last);
    for (int k = to - 1; k >= from;) {
      for (; k >= from && layers[k].is(LayerKind::dense); k--) {
        const LayerState &l = layers[k];
        vec *dx = l.first ? nullptr : layers[k - 1].gradient(pair, pair, thread);
        backwardDense(l, pair, end - pair, maxPanels * LANES, parameters, l.gradient(pair, pair, thread), dx);
      }
      const int top = k;
      while (k >= from && !layers[k].is(LayerKind::dense)) k--;
      for (int panel = pair; panel < end; panel++) {
        for (int map = top; map > k; map--) backwardMap(map, panel, pair, thread);
      }
    }
  }
}

void Network::State::backwardMap(int k, int panel, int pair, int thread) {
  const LayerState &l = layers[k];
  const vec *dy = l.gradient(panel, pair, thread);
  vec *dx = l.first ? nullptr : layers[k - 1].gradient(panel, pair, thread);
  if (l.is(LayerKind::conv)) {
    backwardConv(l, panel, panel / groupSize, panel % groupSize != 0, scratch[thread], dy, dx);
  } else if (dx) {
    const PanelMasks masks = masksOf(l, panel);
    backwardPanel(l, panel, &masks, dy, dx);
  }
}

Network::Network(const NetworkPlan &plan) : state_(new State(plan)) {}
Network::~Network() { delete state_; }
const NetworkPlan &Network::plan() const { return state_->plan; }

BatchResult Network::computeGradient(const Batch &batch, const float *parameters, float *gradient, float *statistics) {
  state_->begin(batch, parameters, nullptr);
  float none;
  state_->forward(statistics ? statistics : &none);
  const BatchResult result = state_->loss(true);
  state_->backward(gradient);
  return result;
}

BatchResult Network::evaluate(const Batch &batch, const float *parameters, const float *buffers, float *outputs) {
  Batch withoutMasks = batch;
  withoutMasks.masks = nullptr;
  state_->begin(withoutMasks, parameters, buffers);
  state_->forward(nullptr);
  if (outputs) state_->copyOutputs(outputs);
  return state_->loss(false);
}
