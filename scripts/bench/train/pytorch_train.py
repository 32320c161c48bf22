"""A contender's process, PyTorch's side of training with workers: DistributedDataParallel over Gloo, one process a
rank, one thread each. See contender.ts for what it is told and answers. This process is rank 0 and starts the others,
which follow it step by step and end with it.

What a rank computes, and how it is tuned, is pytorch_step.py's. On top of it are tried: DDP's default buckets or one
bucket for all gradients, and gradients dropped or zeroed between steps. Gradients are views of the buckets, the graph
is declared static, and running statistics stay each rank's own (broadcast_buffers=False): one vector less to send.
"""

import ctypes
import datetime
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import time

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.dont_write_bytecode = True  # A benchmark leaves nothing among the sources.
import pytorch_step  # noqa: E402

# Steps for each way to train, in each of so many rounds. The median decides, by the clock: waiting for others counts.
TUNING_ROUNDS = 3
TUNING_STEPS = 4
# Longer than a benchmark: ranks wait in a broadcast while others are measured.
TIMEOUT = datetime.timedelta(hours=12)
DEFAULT_BUCKETS, ONE_BUCKET = "default buckets", "one bucket"
# MiB of the first bucket and of the others. The first one's is no argument of DDP's: it is read when a module is made.
BUCKETS_MIB = {DEFAULT_BUCKETS: (1, 25), ONE_BUCKET: (1024, 1024)}
PR_SET_PDEATHSIG = 1


def main():
    job = json.loads(sys.argv[-1])
    pytorch_step.tune_process()
    rank, size = job.get("rank", 0), job["numWorkers"]
    if rank > 0:
        end_with_parent(job["leader"])
    store = dist.TCPStore("127.0.0.1", job.get("port", 0), size, rank == 0, TIMEOUT, wait_for_workers=False)
    for other in range(1, size) if rank == 0 else ():
        other_job = {**job, "rank": other, "port": store.port, "leader": os.getpid()}
        subprocess.Popen([sys.executable, __file__, json.dumps(other_job)], stdin=subprocess.DEVNULL)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=TIMEOUT)
    step, details = fastest_step(job, pytorch_step.load_samples(job["images"], job["labels"]))
    if rank == 0:
        lead(step, details)
    else:
        follow(step)


def end_with_parent(parent):
    """Has the system kill this process when its parent ends, however that ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)  # It ended before that was said.


def lead(step, details):
    pytorch_step.say(description=f"PyTorch {torch.__version__}, DDP over Gloo", details=details)
    for line in sys.stdin:
        repeats = json.loads(line)["repeats"]
        tell_steps(repeats + 1)  # One does not count.
        pytorch_step.say(**pytorch_step.measure(step, repeats))
    tell_steps(0)


def tell_steps(steps):
    dist.broadcast(torch.tensor([steps]), 0)


def follow(step):
    steps = torch.zeros(1, dtype=torch.int64)
    while True:
        dist.broadcast(steps, 0)
        if steps.item() == 0:
            break
        for _ in range(steps.item()):
            step()


def fastest_step(job, samples):
    """First the ways that one process has, then those that DDP adds, on the fastest of the first."""
    has_maps = any(layer["kind"] == "conv" for layer in job["model"]["layers"])
    formats = [torch.contiguous_format, torch.channels_last] if has_maps else [torch.contiguous_format]
    own_ways = itertools.product(formats, [False, True], [False, True], [DEFAULT_BUCKETS], [False])
    (*own_way, _, _), _ = fastest(job, samples, own_ways)
    ddp_ways = ((*own_way, *ddp_way) for ddp_way in itertools.product([DEFAULT_BUCKETS, ONE_BUCKET], [False, True]))
    way, step = fastest(job, samples, ddp_ways)
    memory_format, is_foreach, is_scripted, buckets, zeroes = way
    loop = "foreach" if is_foreach else "single-tensor"
    gradients = "gradients zeroed" if zeroes else "gradients dropped"
    scripted = ["scripted"] * is_scripted
    return step, ", ".join([str(memory_format).removeprefix("torch."), loop, *scripted, buckets, gradients])


def fastest(job, samples, ways):
    """All ranks try the same ways at the same time; rank 0's clock decides."""
    ways = list(ways)
    steps = [create_step(job, samples, *way) for way in ways]
    seconds = [[] for _ in ways]
    for _ in range(TUNING_ROUNDS):
        for step, times in zip(steps, seconds):
            step()
            for _ in range(TUNING_STEPS):
                start = time.perf_counter()
                step()
                times.append(time.perf_counter() - start)
    medians = [statistics.median(times) for times in seconds]
    choice = torch.tensor([medians.index(min(medians))])
    dist.broadcast(choice, 0)
    return ways[choice.item()], steps[choice.item()]


def create_step(job, samples, memory_format, is_foreach, is_scripted, buckets, zeroes):
    first_mib, other_mib = BUCKETS_MIB[buckets]

    def wrap(network):
        dist._DEFAULT_FIRST_BUCKET_BYTES = first_mib * 2**20
        return DistributedDataParallel(
            network,
            broadcast_buffers=False,
            bucket_cap_mb=other_mib,
            gradient_as_bucket_view=True,
            static_graph=True,
        )

    return pytorch_step.create_step(job, samples, memory_format, is_foreach, is_scripted, wrap, zeroes)


if __name__ == "__main__":
    main()
