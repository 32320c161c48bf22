"""A contender's process, PyTorch's side: Gloo's all-reduce of so many floats over loopback. See contender.ts for what it
is told and answers. This process is rank 0 and starts the others, which follow it round by round.
"""

import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time

import torch
import torch.distributed as dist


def main():
    job = json.loads(sys.argv[-1])
    torch.set_num_threads(1)
    rank, size = job.get("rank", 0), job["numWorkers"]
    others = []
    if rank == 0:
        job["store"] = tempfile.mktemp(prefix="gloo-")
        for other in range(1, size):
            command = [sys.executable, __file__, json.dumps({**job, "rank": other})]
            others.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", init_method=f"file://{job['store']}", rank=rank, world_size=size)
    vector = torch.ones(job["numFloats"])
    # How many rounds rank 0 wants; 0 ends the others.
    rounds = torch.zeros(1, dtype=torch.int64)
    if rank == 0:
        try:
            lead(vector, rounds, size)
        finally:
            rounds[0] = 0
            dist.broadcast(rounds, 0)
            for other in others:
                other.wait()
            os.unlink(job["store"])
    else:
        while True:
            dist.broadcast(rounds, 0)
            if rounds.item() == 0:
                break
            for _ in range(rounds.item()):
                reduce(vector, size)


def reduce(vector, size):
    dist.all_reduce(vector)
    vector[0] = vector[0] / size  # the average stays 1 there; dividing all of it is left out


def lead(vector, rounds, size):
    say(description=f"Gloo, PyTorch {torch.__version__}")
    for line in sys.stdin:
        repeats = json.loads(line)["repeats"]
        vector.fill_(1)
        rounds[0] = repeats + 1
        dist.broadcast(rounds, 0)
        reduce(vector, size)
        faults_before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        cpu_before = time.process_time()
        start = time.perf_counter()
        for _ in range(repeats):
            reduce(vector, size)
        seconds = time.perf_counter() - start
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults_before
        if not math.isclose(vector[0].item(), 1, rel_tol=1e-3):
            raise ArithmeticError(f"Gloo: the average is {vector[0].item()}, expected 1")
        say(seconds=seconds, cpuSeconds=time.process_time() - cpu_before, minorPageFaults=faults)


def say(**message):
    print(json.dumps(message), flush=True)


main()
