// The backward pass of a network, the part of network.cpp that comes after the loss.
#pragma once
#include "network-state.h"

// Weights that are made before the next word of what is final, about: as many as a bucket of `buckets.ts` has.
constexpr size_t SECTION_VALUES = 128 << 10;

// A gradient that somebody waits for gets its weights as soon as they can be had: those of a dense layer below a batch
// norm before anything goes down through it. One that nobody waits for gets all of them at the end, at once.
void Network::State::backward(float *gradient, const OnFinal &onFinal) {
  for (int to = (int)layers.size(); to > 0;) {
    if (layers[to - 1].is(LayerKind::batchNorm)) {
      const LayerState &norm = layers[--to];
      vec *dx = norm.first ? nullptr : layers[to - 1].dy;
      onFeatures(norm.C, [&](int block) { backwardFeatures(norm, dx, block, batch.samples, parameters, gradient); });
      continue;
    }
    int from = to;
    while (from > 0 && !layers[from - 1].is(LayerKind::batchNorm)) from--;
    const LayerState &top = layers[to - 1];
    const bool isEarly = onFinal && top.is(LayerKind::dense);
    if (isEarly) {
      onPanels([&](Range share, int thread) {
        const int first = share.first;
        transposePanels(top, first, share.last - first, maxPanels * LANES, top.gradient(first, first, thread));
      });
      weightGradient(top, gradient, onFinal);
    }
    onPanels([&](Range share, int thread) { backwardRun(from, to, share, thread, isEarly); });
    for (int k = isEarly ? to - 2 : to - 1; onFinal && k >= from; k--) weightGradient(layers[k], gradient, onFinal);
    to = from;
  }
  if (onFinal) return;
  pool.run([&](int thread, int threads) {
    for (const LayerState &l : layers) {
      if (l.is(LayerKind::conv)) convGradientShare(l, groups, thread, threads, gradient);
      if (!l.is(LayerKind::dense)) continue;
      denseGradientShare(l, {0, l.inputSize()}, batch.samples, maxPanels * LANES, thread, threads, l.first && skipZeros,
                         scratch[thread], gradient);
    }
  });
}

// Down through the layers to - 1 to from, two panels at a time through dense layers, which feed each weight to both,
// and one at a time through maps, whose gradients then stay in cache. isTransposed: the gradient of layer to - 1 is.
void Network::State::backwardRun(int from, int to, Range share, int thread, bool isTransposed) {
  for (int pair = share.first; pair < share.last; pair += 2) {
    const int end = std::min(pair + 2, share.last);
    int k = to - 1;
    for (; k >= from && layers[k].is(LayerKind::dense); k--) {
      const LayerState &l = layers[k];
      const vec *dy = l.gradient(pair, pair, thread);
      if (k < to - 1 || !isTransposed) transposePanels(l, pair, end - pair, maxPanels * LANES, dy);
      if (!l.first) backwardDense(l, pair, end - pair, parameters, dy, layers[k - 1].gradient(pair, pair, thread));
    }
    for (int panel = pair; panel < end; panel++) {
      for (int map = k; map >= from; map--) backwardMap(map, panel, pair, thread);
    }
  }
}

void Network::State::backwardMap(int k, int panel, int pair, int thread) {
  const LayerState &l = layers[k];
  const vec *dy = l.gradient(panel, pair, thread);
  vec *dx = l.first ? nullptr : layers[k - 1].gradient(panel, pair, thread);
  if (l.is(LayerKind::conv)) backwardConv(l, panel, panel / groupSize, panel % groupSize != 0, scratch[thread], dy, dx);
  if (l.is(LayerKind::maxPool) && dx) poolGradient(l.pool(), l.winner + (size_t)panel * l.outputSize(), dy, dx);
}

// A layer's weight gradient, by all threads; onFinal is told of it, and of a dense layer's section by section.
void Network::State::weightGradient(const LayerState &l, float *gradient, const OnFinal &onFinal) {
  const int rows = maxPanels * LANES;
  if (l.is(LayerKind::conv)) {
    pool.run([&](int thread, int threads) { convGradientShare(l, groups, thread, threads, gradient); });
    onFinal(l.weight);
  }
  if (!l.is(LayerKind::dense)) return;
  const int step = std::max(1, (int)(SECTION_VALUES / l.outputs / DENSE_BLOCK)) * DENSE_BLOCK;
  for (int first = (l.inputSize() - 1) / step * step; first >= 0; first -= step) {
    const Range inputs = {first, std::min(first + step, l.inputSize())};
    pool.run([&](int thread, int threads) {
      denseGradientShare(l, inputs, batch.samples, rows, thread, threads, l.first && skipZeros, scratch[thread],
                         gradient);
    });
    onFinal(l.weight + (size_t)first * l.outputs);
  }
}
