"""Probabilities of exported models, by Python's libraries alone.

    python predict.py FOLDER...

Each folder holds `images.npy` (bytes, [N, C, H, W]) and an export in each of `onnx`, `pytorch` and `safetensors`. Of
each there come `onnx.f32`, [N, classes], and `onnx.txt`: what the code of its model card prints.
"""

import contextlib
import importlib.util
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file


def by_onnx(folder, images):
    onnx.checker.check_model(str(folder / "model.onnx"), full_check=True)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    metadata = session.get_modelmeta().custom_metadata_map
    assert len(json.loads(metadata["classes"])) == session.get_outputs()[1].shape[1]
    return session.run(["probabilities"], {"images": images})[0]


def by_pytorch(folder, images):
    spec = importlib.util.spec_from_file_location("exported", folder / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.Model()
    model.load_state_dict(load_file(folder / "model.safetensors"))
    model.eval()
    of_bytes = model(torch.from_numpy(images)).softmax(dim=1)
    of_floats = model(torch.from_numpy(images).float() / 255).softmax(dim=1)
    assert torch.equal(of_bytes, of_floats)
    return of_bytes.numpy()


def by_safetensors(folder, images):
    """As docs/reference/model-file.md and the metadata describe the file: nothing of this project's code is used."""
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        layers = json.loads(file.metadata()["model"])["layers"]
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    x = run(layers, tensors, torch.from_numpy(images).float() / 255, {})
    return x.softmax(dim=1).numpy()


def same_padding(side, kernel, stride):
    missing = max(0, (-(-side // stride) - 1) * stride + kernel - side)
    return missing // 2, missing - missing // 2


def run(layers, tensors, x, seen):
    for layer in layers:
        kind = layer["kind"]
        seen[kind] = seen.get(kind, 0) + 1
        name = {"batchNorm": "norm"}.get(kind, kind) + str(seen[kind])
        if kind == "conv":
            stride = layer.get("stride", 1)
            if layer.get("padding") == "same":
                rows, columns = (same_padding(side, layer["kernel"], stride) for side in x.shape[2:])
                x = F.pad(x, (*columns, *rows))
            x = F.conv2d(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], stride=stride)
        elif kind == "maxPool":
            x = F.max_pool2d(x, layer["size"])
        elif kind == "averagePool":
            x = F.avg_pool2d(x, layer["size"])
        elif kind == "globalAveragePool":
            x = x.mean(dim=(2, 3))
        elif kind == "flatten":
            x = x.flatten(1)
        elif kind == "dense":
            x = x @ tensors[f"{name}.weight"] + tensors[f"{name}.bias"]
        elif kind == "batchNorm":
            parts = [tensors[f"{name}.{part}"] for part in ("mean", "variance", "gamma", "beta")]
            x = F.batch_norm(x, *parts, eps=1e-5)
        elif kind == "residual":
            x = x + run(layer["layers"], tensors, x, seen)
        if layer.get("activation") == "relu":
            x = F.relu(x)
    return x


def run_card(folder):
    """What the card's first block of Python prints, in its folder."""
    code = re.search(r"^```python\n(.*?)^```$", (folder / "README.md").read_text(), re.DOTALL | re.MULTILINE)[1]
    sys.modules.pop("model", None)
    with open(folder.with_suffix(".txt"), "w") as output, contextlib.redirect_stdout(output):
        os.chdir(folder)
        exec(code, {})


sys.path.insert(0, "")
for argument in sys.argv[1:]:
    folder = Path(argument).resolve()
    images = np.load(folder / "images.npy")
    for name, predict in (("onnx", by_onnx), ("pytorch", by_pytorch), ("safetensors", by_safetensors)):
        with torch.inference_mode():
            predict(folder / name, images).astype(np.float32).tofile(folder / f"{name}.f32")
        run_card(folder / name)
