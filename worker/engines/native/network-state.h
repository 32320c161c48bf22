// What a network keeps, and how its work is shared among threads.
#pragma once
#include "cross-entropy.h"
#include "layer-state.h"
#include "network.h"
#include "thread-pool.h"

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
  void backward(float *gradient, const OnFinal &onFinal);
  void backwardRun(int from, int to, Range share, int thread, bool isTransposed);
  void backwardMap(int k, int panel, int pair, int thread);
  void weightGradient(const LayerState &l, float *gradient, const OnFinal &onFinal);
  int samplesOf(int panel) const { return std::min(LANES, batch.samples - panel * LANES); }
};

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
