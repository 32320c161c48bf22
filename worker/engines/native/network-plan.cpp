// Checks a plan at the border: what passes here is trusted by the kernels.
#include <climits>
#include "network.h"

int LayerPlan::outputSize() const {
  switch (kind) {
  case LayerKind::conv: return outputs * ((H - size) / stride + 1) * ((W - size) / stride + 1);
  case LayerKind::maxPool: return C * (H / size) * (W / size);
  case LayerKind::dense: return outputs;
  case LayerKind::averagePool: return C * (H / rows) * (W / columns);
  case LayerKind::pad: return C * rows * columns;
  case LayerKind::batchNorm:
  case LayerKind::dropout:
  case LayerKind::fork:
  case LayerKind::join: return inputSize();
  }
  return 0;
}

namespace {

// Sizes are products of at most three factors of at most a million; a map or weight beyond INT_MAX floats is refused.
bool fits(double count) { return count >= 1 && count <= INT_MAX / 64; }

const char *findLayerFault(const LayerPlan &l, const NetworkPlan &plan) {
  const auto within = [](size_t offset, double size, size_t total) { return (double)offset + size <= (double)total; };
  if (l.C < 1 || l.H < 1 || l.W < 1 || !fits((double)l.C * l.H * l.W)) return "a layer's input shape is out of range";
  if (l.kind == LayerKind::conv || l.kind == LayerKind::maxPool) {
    if (l.size < 1 || l.size > l.H || l.size > l.W) return "a kernel or window does not fit its map";
  }
  if (l.kind == LayerKind::conv && l.stride < 1) return "a stride is less than 1";
  if (l.kind == LayerKind::averagePool && (l.rows < 1 || l.columns < 1 || l.rows > l.H || l.columns > l.W))
    return "a window does not fit its map";
  if (l.kind == LayerKind::pad) {
    if (l.top < 0 || l.left < 0 || (double)l.top + l.H > l.rows || (double)l.left + l.W > l.columns)
      return "a map does not fit its padding";
    if (!fits((double)l.C * l.rows * l.columns)) return "a padded map is out of range";
  }
  if (l.kind == LayerKind::dropout &&
      (l.firstUnit < 0 || (double)l.firstUnit + l.inputSize() > plan.numDropoutUnits || !(l.scale >= 1)))
    return "a dropout lies outside the masks, or multiplies by less than 1";
  if (l.kind == LayerKind::conv || l.kind == LayerKind::dense) {
    const double area = l.kind == LayerKind::conv ? (double)l.size * l.size : 1,
                 inputs = l.kind == LayerKind::conv ? l.C : l.inputSize();
    if (l.outputs < 1 || !fits((double)l.outputs * l.H * l.W) || !fits(inputs * area * l.outputs))
      return "a layer's outputs are out of range";
    if (l.kind == LayerKind::dense && (l.H != 1 || l.W != 1)) return "a dense layer's input must be flat";
    if (!within(l.weight, inputs * area * l.outputs, plan.numParameters)) return "a weight lies outside the parameters";
    if (!within(l.bias, l.outputs, plan.numParameters)) return "a bias lies outside the parameters";
  }
  if (l.kind == LayerKind::batchNorm) {
    if (!within(l.weight, l.C, plan.numParameters) || !within(l.bias, l.C, plan.numParameters))
      return "a gamma or beta lies outside the parameters";
    if (!within(l.mean, l.C, plan.numBuffers) || !within(l.variance, l.C, plan.numBuffers))
      return "a mean or variance lies outside the buffers";
  }
  return nullptr;
}

} // namespace

const char *findFault(const NetworkPlan &plan) {
  if (plan.layers.empty()) return "there are no layers";
  if (plan.maxBatch < 1 || plan.maxBatch > 1 << 20) return "maxBatch must be 1 to 1048576";
  if (plan.threads < 1 || plan.threads > 1024) return "threads must be 1 to 1024";
  int size = plan.inputSize;
  std::vector<int> open; // forks without their joins yet
  for (int k = 0; k < (int)plan.layers.size(); k++) {
    const LayerPlan &layer = plan.layers[k];
    if (const char *fault = findLayerFault(layer, plan)) return fault;
    if (layer.inputSize() != size) return "a layer's input is not the output of the layer before it";
    size = layer.outputSize();
    if (layer.kind == LayerKind::fork) open.push_back(k);
    if (layer.kind != LayerKind::join) continue;
    if (open.empty() || open.back() != layer.fork) return "a join does not close the innermost open fork";
    if (plan.layers[layer.fork].inputSize() != size) return "a join's two inputs differ in size";
    open.pop_back();
  }
  if (!open.empty()) return "a fork has no join";
  if (size != plan.numClasses || plan.numClasses > MAX_CLASSES)
    return "the last layer must have one output a class, at most 65536";
  return nullptr;
}
