"""What W&B gets of a run: its settings, the lines of metrics.jsonl, and the summary. W&B itself is not needed here."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dialogue_ser.foreign_text.yaml_text import parse_yaml
from dialogue_ser.runs.run_files import read_json
from dialogue_ser.training.config.files import config_to_dict
from dialogue_ser.training.config.run_config import RunConfig

#: Parts of environment.json that stay here: a command line may hold anything, and the others say nothing to a reader.
_KEPT_BACK = ("command", "sha256", "run_id", "config_hash", "settings_sha256")


def flat(values: Mapping[str, Any], joint: str = "/") -> dict[str, Any]:
    """Return nested mappings as one mapping whose names are joined.

    >>> flat({"dev": {"uar": 0.5}, "step": 3})
    {'dev/uar': 0.5, 'step': 3}
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= {f"{name}{joint}{inner}": one for inner, one in flat(value, joint).items()}
        else:
            found[name] = value
    return found


def history_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what W&B's history gets of one line of metrics.jsonl.

    ``step`` and ``epoch`` are the axes. A step has the names ``train/…``, an epoch ``dev/…`` (and ``test/…``, if the
    protocol looks at test) for what was measured there, and ``epoch/…`` for the rest.

    >>> history_of({"kind": "step", "epoch": 1, "step": 7, "loss": 0.5})
    {'epoch': 1, 'step': 7, 'train/loss': 0.5}
    >>> history_of({"kind": "epoch", "epoch": 1, "step": 9, "dev_loss": 0.4, "dev": {"uar": 0.6}, "train_loss": 0.5})
    {'epoch': 1, 'step': 9, 'dev/loss': 0.4, 'dev/uar': 0.6, 'epoch/train_loss': 0.5}
    """
    prefix = "train" if row["kind"] == "step" else "epoch"
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name == "kind":
            continue
        if name in ("step", "epoch"):
            found[name] = value
        elif name in ("dev_loss", "test_loss"):
            found[f"{name.removesuffix('_loss')}/loss"] = value
        elif name in ("dev", "test") and isinstance(value, Mapping):
            found |= flat({name: value})
        else:
            found |= flat({prefix: {name: value}})
    return found


def best_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the summary after an epoch that is the best one so far: its numbers, and which epoch it is.

    >>> best_of({"kind": "epoch", "epoch": 2, "step": 9, "dev": {"uar": 0.6}, "is_best": True})
    {'best_epoch': 2, 'dev/uar': 0.6, 'epoch/is_best': True}
    """
    values = history_of(row)
    return {"best_epoch": values.pop("epoch"), **{name: value for name, value in values.items() if name != "step"}}


def summary_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return W&B's summary from the summary line: ``SPLIT/METRIC`` by the chosen epoch, and all else under its name.

    >>> summary_of({"kind": "summary", "best_epoch": 2, "scores": {"test": {"uar": 0.6}}, "masked": {"text": 0}})
    {'best_epoch': 2, 'masked/text': 0, 'test/uar': 0.6}
    """
    others = {name: value for name, value in row.items() if name not in ("kind", "scores")}
    return flat(others) | flat(row.get("scores", {}))


def config_of(config: RunConfig, run_dir: Path) -> dict[str, Any]:
    """Return the settings for W&B: all of the run, and in ``environment`` the machine and the versions.

    Each setting is there once. In a sweep it has the name that the sweep gives it.
    """
    environment = read_json(run_dir / "environment.json")
    kept = {name: value for name, value in environment.items() if name not in _KEPT_BACK}
    return {**without_doubles(config_to_dict(config), sweep_parameters(os.environ)), "environment": kept}


def sweep_parameters(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what the sweep has set for this run: name as in the sweep → value; nothing outside a sweep."""
    path = Path(environment.get("WANDB_SWEEP_PARAM_PATH") or os.devnull)
    if not path.is_file():
        return {}
    found = parse_yaml(path.read_text(encoding="utf-8"))
    entries = found.items() if isinstance(found, Mapping) else ()
    return {name: entry["value"] for name, entry in entries if isinstance(entry, Mapping) and "value" in entry}


def without_doubles(settings: Mapping[str, Any], sweep: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of the settings what the sweep has set, because W&B adds the values of the sweep itself.

    W&B replaces a whole section if the sweep has a mapping of its name. The other settings of this section therefore
    get names with dots.

    >>> settings = {"optimizer": {"name": "adam", "learning_rate": 0.1}, "seed": 1}
    >>> without_doubles(settings, {"optimizer.learning_rate": 0.1})
    {'optimizer': {'name': 'adam'}, 'seed': 1}
    >>> without_doubles(settings, {"optimizer": {"learning_rate": 0.1}, "seed": 1})
    {'optimizer.name': 'adam'}
    """
    kept = _copy(settings)
    for name, value in sweep.items():
        found, path = _take(kept, name)
        if isinstance(found, Mapping) and isinstance(value, Mapping):
            set_by_sweep = {key.replace("-", "_") for key in flat(value, ".")}
            rest = {key: one for key, one in flat(found, ".").items() if key.replace("-", "_") not in set_by_sweep}
            kept |= {f"{path}.{key}": one for key, one in rest.items()}
    return kept


def _take(settings: dict[str, Any], name: str) -> tuple[Any, str]:
    """Remove a setting with dots from nested settings; return it and its name as the settings have it."""
    for path in dict.fromkeys((name, name.replace("-", "_"))):
        *sections, last = path.split(".")
        chain = [settings]
        for section in sections:
            inner = chain[-1].get(section)
            if not isinstance(inner, dict):
                break
            chain.append(inner)
        if len(chain) == len(sections) + 1 and last in chain[-1]:
            found = chain[-1].pop(last)
            for outer, section in reversed(list(zip(chain, sections, strict=False))):
                if not outer[section]:
                    del outer[section]
            return found, path
    return None, name


def _copy(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _copy(value) if isinstance(value, Mapping) else value for name, value in settings.items()}
