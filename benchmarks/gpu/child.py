"""What the parts share: options, the file of findings, a description of the machine."""

import argparse
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.speed.contest import machine, without_tf32
from dialogue_ser import __version__
from dialogue_ser.durable import write_atomically

PACKAGES = ("torch", "triton", "numpy", "transformers", "accelerate", "torch-geometric")


class Part:
    """The options of a part, and its findings. Every finding is written to disk at once.

    TF32 is off, for cuBLAS and for cuDNN, so single precision is exact.

    Attributes:
        device: where it runs.
        is_quick: small sizes.
    """

    def __init__(self, description: str | None) -> None:
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("--device", choices=("cuda", "cpu"), required=True)
        parser.add_argument("--quick", action="store_true")
        parser.add_argument("--result", type=Path, required=True)
        args = parser.parse_args()
        if args.device == "cuda" and not torch.cuda.is_available():
            parser.error("--device cuda: torch finds no CUDA device here")
        without_tf32()
        self.device, self.is_quick = torch.device(args.device), bool(args.quick)
        self._path, self._found = args.result, {"about": about(self.device)}

    @property
    def is_cuda(self) -> bool:
        """Whether the part runs on a GPU."""
        return self.device.type == "cuda"

    def found(self, **values: Any) -> None:
        """Add findings, write all of them and print the new ones. A part that is stopped loses nothing."""
        self._found |= values
        write_atomically(self._path, json.dumps(self._found, indent=1, ensure_ascii=False))
        print(json.dumps(values, ensure_ascii=False), flush=True)


def about(device: torch.device) -> dict[str, Any]:
    """Versions, and the machine."""
    found = {
        "machine": machine(device)["line"],
        "versions": {
            "python": platform.python_version(),
            "dialogue-ser": __version__,
            **{name: _version(name) for name in PACKAGES},
            "cuda": torch.version.cuda,
        },
        "tf32": False,
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found["capability"] = f"{properties.major}.{properties.minor}"
        found["memory_gb"] = round(properties.total_memory / 1e9, 1)
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
