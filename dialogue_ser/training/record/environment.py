"""Describe the versions, data and machine of a run, and list what is different when it is resumed."""

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import torch

from dialogue_ser import __version__
from dialogue_ser.runs.checksums import digest_of_values
from dialogue_ser.training.config.files import config_to_dict
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.versions import installed_version

PACKAGES = ("dialogue-ser", "torch", "numpy", "accelerate", "transformers", "opensmile", "scikit-learn", "safetensors")
NUMERIC_PACKAGES = ("dialogue-ser", "torch", "numpy")
"""Packages whose version may change a run's results. Features are not meant: they have their own fingerprint."""

FREE_SETTINGS = (
    "name",
    "wandb",
    "save_attention",
    "attention_turns",
    "training.workers",
    "training.keep_checkpoints",
    "training.checkpoint_every_steps",
)
"""Settings that do not change a run's results, so they may be different when it is resumed."""


def describe_environment(
    config: RunConfig, corpus_fingerprint: str, feature_fingerprints: Mapping[str, Any], n_ranks: int
) -> dict[str, Any]:
    """Return the content of environment.json.

    Args:
        config: configuration of the run.
        corpus_fingerprint: fingerprint of all utterances of all splits.
        feature_fingerprints: modality → fingerprint of its encoder and of what was fitted.
        n_ranks: number of processes.
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
        "settings_sha256": settings_checksum(config),
    }


def config_hash(config: RunConfig) -> str:
    """Return the SHA-256 of all settings of a configuration."""
    return hashlib.sha256(json.dumps(config_to_dict(config), sort_keys=True).encode()).hexdigest()


def settings_checksum(config: RunConfig) -> str:
    """Return the SHA-256 of the settings that may change results.

    Settings that have their default do not count, so that a later version with more settings gives the same checksum.
    """
    settings, defaults = _flatten(config_to_dict(config)), _flatten(config_to_dict(RunConfig()))
    given = {name: value for name, value in settings.items() if value != defaults.get(name, ...)}
    return digest_of_values({name: value for name, value in given.items() if not _is_free(name)})


def config_differences(before: RunConfig, now: RunConfig) -> list[str]:
    """Return one sentence for each setting that is different and may change results."""
    old, new = _flatten(config_to_dict(before)), _flatten(config_to_dict(now))
    return _differences([name for name in (old | new) if not _is_free(name)], old, new)


def environment_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each part of environment.json that is different and may change results.

    These parts are the versions, the fingerprints of the data, the device and the number of processes.
    """

    def relevant(environment: Mapping[str, Any]) -> dict[str, Any]:
        packages = environment.get("packages", {})
        return {
            **{f"version of {name}": packages.get(name) for name in NUMERIC_PACKAGES},
            "corpus (fingerprint)": environment.get("corpus_fingerprint"),
            "number of processes": environment.get("n_ranks"),
            "device": environment.get("device"),
            **_flatten({"features": environment.get("feature_fingerprints", {})}),
        }

    old, new = relevant(before), relevant(json.loads(json.dumps(now)))
    return _differences(old | new, old, new)


def record_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each part of environment.json that is different, also for those that change no result.

    These are all versions, the revision of the code, the data, the features, the machine and the number of threads.
    """

    def parts(environment: Mapping[str, Any]) -> dict[str, Any]:
        packages = environment.get("packages") or {}
        return {
            "version of python": environment.get("python"),
            **{f"version of {name}": packages.get(name) for name in PACKAGES},
            "revision of the code": environment.get("git_revision"),
            "corpus (fingerprint)": environment.get("corpus_fingerprint"),
            **_flatten({"features": environment.get("feature_fingerprints") or {}}),
            "platform": environment.get("platform"),
            "processor": environment.get("cpu"),
            "number of cores": environment.get("cpu_count"),
            "number of threads": environment.get("threads"),
            "number of processes": environment.get("n_ranks"),
            "device": environment.get("device"),
        }

    old, new = parts(before), parts(json.loads(json.dumps(now)))
    return _differences(old | new, old, new) if before else []


def _differences(names: Iterable[str], old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each name whose values are different."""
    return [
        f"{name}: the run has {old.get(name)!r}, now {new.get(name)!r}"
        for name in names
        if old.get(name) != new.get(name)
    ]


def _is_free(name: str) -> bool:
    """Return whether a setting changes no result."""
    return name in FREE_SETTINGS or name.startswith(tuple(f"{free}." for free in FREE_SETTINGS))


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one mapping whose names are joined by dots."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        is_nested = isinstance(value, Mapping) and value
        flat |= _flatten(value, f"{prefix}{name}.") if is_nested else {f"{prefix}{name}": value}
    return flat


def _version(package: str) -> str | None:
    """Return the version of a package; None if it is not installed."""
    if package == "dialogue-ser":  # it may run from its source folder without being installed
        return __version__
    try:
        return installed_version(package)
    except PackageNotFoundError:
        return None


def _cpu_name() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _git_revision() -> str | None:
    """Return the git revision of the source code that runs; None for an installed package."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
