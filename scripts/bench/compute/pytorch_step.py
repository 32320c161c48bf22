"""A contender's process, PyTorch's side: see contender.ts for what it is told and answers.

Tuned as PyTorch's performance tuning guide says: one thread, no gradients kept to be zeroed, denormals flushed, samples
gathered from one tensor that was made before, and the memory format, the optimizer loop, and TorchScript or not, that
are fastest for the model.
Losses are summed without leaving the tensor, and answers are not counted: both cost our side a little.
"""

import gc
import gzip
import itertools
import json
import math
import resource
import sys
import time

import torch
from torch import nn
from torch.nn import functional

# Steps for each way to run the model, in each of so many rounds. The fastest single step decides, by the time that this
# process ran: what others take of the core must not.
TUNING_ROUNDS = 4
TUNING_STEPS = 4


def main():
    job = json.loads(sys.argv[-1])
    tune_process()
    work, details = matrix_product(job) if job["task"] == "matrix-product" else training_step(job)
    say(description=f"PyTorch {torch.__version__}", details=details)
    for line in sys.stdin:
        say(**measure(work, json.loads(line)["repeats"]))


def tune_process():
    """One thread, no collector, no denormals: for every process of PyTorch's."""
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(1)
    gc.disable()  # Graphs of a step are freed by their counts.


def measure(work, repeats):
    work()  # The other contenders have had the caches since.
    loss_sum = torch.zeros(())
    faults_before = page_faults()
    cpu_before = time.process_time()
    start = time.perf_counter()
    for _ in range(repeats):
        loss_sum += work()
    seconds = time.perf_counter() - start
    cpu_seconds = time.process_time() - cpu_before
    faults = page_faults() - faults_before
    loss = loss_sum.item() / repeats
    if not math.isfinite(loss):
        raise ArithmeticError(f"PyTorch: its loss is {loss}: this is no training")
    return {"seconds": seconds, "cpuSeconds": cpu_seconds, "minorPageFaults": faults, "loss": loss}


def matrix_product(job):
    """One product of two square matrices, into memory that is there."""
    size = job["size"]
    left, right, result = (torch.randn(size, size) for _ in range(3))
    zero = torch.zeros(())

    def work():
        torch.matmul(left, right, out=result)
        return zero

    return work, ""


def training_step(job):
    """A step of the model, run in the fastest of the ways that are tried."""
    samples = load_samples(job["images"], job["labels"])
    has_maps = any(layer["kind"] == "conv" for layer in job["model"]["layers"])
    formats = [torch.contiguous_format, torch.channels_last] if has_maps else [torch.contiguous_format]
    ways = list(itertools.product(formats, [False, True], [False, True]))
    candidates = [create_step(job, samples, *way) for way in ways]
    best = [float("inf")] * len(candidates)
    for _ in range(TUNING_ROUNDS):
        for index, step in enumerate(candidates):
            for _ in range(TUNING_STEPS):
                start = time.process_time()
                step()
                best[index] = min(best[index], time.process_time() - start)
    fastest = best.index(min(best))
    memory_format, is_foreach, is_scripted = ways[fastest]
    loop = "foreach" if is_foreach else "single-tensor"
    return candidates[fastest], f"{str(memory_format).removeprefix('torch.')}, {loop}" + ", scripted" * is_scripted


def create_step(job, samples, memory_format, is_foreach, is_scripted, wrap=lambda network: network, zeroes=False):
    """One of several ranks takes its part of each batch. `wrap` makes of the network what the loss is computed with;
    `zeroes` keeps the memory of gradients from step to step."""
    images, labels = samples
    batch, rank, size = job["globalBatch"], job.get("rank", 0), job.get("numWorkers", 1)
    own = slice(batch * rank // size, batch * (rank + 1) // size)
    network = create_network(job["model"]).to(memory_format=memory_format)
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=job["learningRate"],
        momentum=job["momentum"],
        weight_decay=job["weightDecay"],
        foreach=is_foreach,
    )
    forward = wrap(torch.jit.script(network) if is_scripted else network)
    batches = shuffled_batches(len(labels), batch)

    def step():
        indices = next(batches)[own]
        inputs = images.index_select(0, indices).contiguous(memory_format=memory_format)
        loss = functional.cross_entropy(forward(inputs), labels.index_select(0, indices))
        optimizer.zero_grad(set_to_none=not zeroes)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def create_network(model):
    """A ModelSpec as PyTorch's layers. Batch norm's momentum is the new value's part: 0.1 for our 0.9 of the old."""
    channels, height, width = model["input"]
    features = 0
    layers = []
    for layer in model["layers"]:
        kind = layer["kind"]
        if kind == "conv":
            kernel, stride, is_same = layer["kernel"], layer.get("stride", 1), layer.get("padding") == "same"
            if is_same and stride > 1:
                raise ValueError(f"conv with padding same and stride {stride}: PyTorch has no such layer")
            padding = "same" if is_same else 0
            layers.append(nn.Conv2d(channels, layer["filters"], kernel, stride=stride, padding=padding))
            channels = layer["filters"]
            lost = 0 if is_same else kernel - 1
            height, width = [(side - lost - 1) // stride + 1 for side in (height, width)]
        elif kind == "maxPool":
            layers.append(nn.MaxPool2d(layer["size"]))
            height, width = height // layer["size"], width // layer["size"]
        elif kind == "averagePool":
            layers.append(nn.AvgPool2d(layer["size"]))
            height, width = height // layer["size"], width // layer["size"]
        elif kind == "globalAveragePool":
            layers.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten()])
            features = channels
        elif kind == "flatten":
            layers.append(nn.Flatten())
            features = features or channels * height * width
        elif kind == "dense":
            layers.append(nn.Linear(features, layer["units"]))
            features = layer["units"]
        elif kind == "batchNorm":
            norm = nn.BatchNorm1d(features) if features else nn.BatchNorm2d(channels)
            norm.eps, norm.momentum = 1e-5, 0.1
            layers.append(norm)
        else:
            raise ValueError(f"layer {kind}: not known to the benchmark")
        if layer.get("activation") == "relu":
            layers.append(nn.ReLU(inplace=True))
    network = nn.Sequential(*layers)
    for module in network:
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    return network


def load_samples(images_path, labels_path):
    """[N, 1, 28, 28] float32 in [0, 1], and [N] int64; made once."""
    images = read_idx(images_path, 16).to(torch.float32).div_(255).reshape(-1, 1, 28, 28)
    return images, read_idx(labels_path, 8).to(torch.int64)


def read_idx(path, header_bytes):
    opened = gzip.open(path) if path.endswith(".gz") else open(path, "rb")
    with opened as file:
        return torch.frombuffer(bytearray(file.read()[header_bytes:]), dtype=torch.uint8)


def shuffled_batches(num_samples, batch):
    """Indices of whole batches, epoch after epoch."""
    while True:
        order = torch.randperm(num_samples)
        for start in range(0, num_samples - batch + 1, batch):
            yield order[start : start + batch]


def page_faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def say(**message):
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()
