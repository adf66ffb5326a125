"""What a run was made with, and what differs when it is continued with something else."""

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from dialogue_ser import __version__
from dialogue_ser.training.config.files import config_to_dict
from dialogue_ser.training.config.run_config import RunConfig

PACKAGES = ("dialogue-ser", "torch", "numpy", "accelerate", "transformers", "opensmile", "scikit-learn", "safetensors")
NUMERIC_PACKAGES = ("dialogue-ser", "torch", "numpy")
"""Packages whose version may change a run's numbers once its features are made (those have their own fingerprint)."""

FREE_SETTINGS = (
    "name",
    "wandb",
    "save_attention",
    "training.workers",
    "training.keep_checkpoints",
    "training.checkpoint_every_steps",
)
"""Settings that change no number of a run, and so may differ when it is continued."""


def describe_environment(
    config: RunConfig, corpus_fingerprint: str, feature_fingerprints: Mapping[str, Any], n_ranks: int
) -> dict[str, Any]:
    """JSON-able content of environment.json.

    Args:
        config: the run's configuration.
        corpus_fingerprint: of every utterance of every split.
        feature_fingerprints: modality → fingerprint of its encoder.
        n_ranks: processes.
    """
    is_cuda = torch.cuda.is_available() and config.training.device != "cpu"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if is_cuda else "cpu",
        "n_ranks": n_ranks,
        "packages": {name: _version(name) for name in PACKAGES},
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "git_revision": _git_revision(),
        "corpus_fingerprint": corpus_fingerprint,
        "feature_fingerprints": dict(feature_fingerprints),
        "config_hash": config_hash(config),
    }


def config_hash(config: RunConfig) -> str:
    """SHA-256 of a configuration's values."""
    return hashlib.sha256(json.dumps(config_to_dict(config), sort_keys=True).encode()).hexdigest()


def config_differences(before: RunConfig, now: RunConfig) -> list[str]:
    """One sentence per setting that differs and may change a number."""
    then, after = _flat(config_to_dict(before)), _flat(config_to_dict(now))
    names = [name for name in (then | after) if not name.startswith(tuple(f"{free}." for free in FREE_SETTINGS))]
    names = [name for name in names if name not in FREE_SETTINGS and then.get(name) != after.get(name)]
    return [f"{name}: the run has {then.get(name)!r}, now {after.get(name)!r}" for name in names]


def environment_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """One sentence per version, datum or number of processes that differs from environment.json."""

    def relevant(environment: Mapping[str, Any]) -> dict[str, Any]:
        packages = environment.get("packages", {})
        return {
            **{f"version of {name}": packages.get(name) for name in NUMERIC_PACKAGES},
            "corpus (fingerprint)": environment.get("corpus_fingerprint"),
            "number of processes": environment.get("n_ranks"),
            "device": environment.get("device"),
            **_flat({"features": environment.get("feature_fingerprints", {})}),
        }

    then, after = relevant(before), relevant(json.loads(json.dumps(now)))
    names = [name for name in then | after if then.get(name) != after.get(name)]
    return [f"{name}: the run has {then.get(name)!r}, now {after.get(name)!r}" for name in names]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        is_inner = isinstance(value, Mapping) and value
        flat |= _flat(value, f"{prefix}{name}.") if is_inner else {f"{prefix}{name}": value}
    return flat


def _version(package: str) -> str | None:
    if package == "dialogue-ser":  # a checkout on the path is not an installed package
        return __version__
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _git_revision() -> str | None:
    """Revision of the source tree this package lies in; None for an installed wheel."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
