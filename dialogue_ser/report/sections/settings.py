"""The most important settings of a run, as short texts."""

from collections.abc import Mapping, Sequence
from typing import Any


def summary_pairs(config: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Return the most important settings as (name, text)."""
    if not config:
        return []
    data, model = config.get("data") or {}, config.get("model") or {}
    features = [
        f"{modality}: {(value or {}).get('encoder')}" + _options((value or {}).get("options"))
        for modality, value in (config.get("features") or {}).items()
    ]
    optimizer, training = config.get("optimizer") or {}, config.get("training") or {}
    crossval = config.get("crossval") or {}
    is_estimator = crossval.get("estimator", "none") != "none"
    is_ensemble = model.get("name") == "ensemble"
    # An estimator uses neither model nor optimizer nor training. The runs of an ensemble may have different ones.
    if is_estimator or is_ensemble:
        optimizer, training = {}, {}
    settings = {name: crossval.get(name) for name in ("inverse_regularisation", "class_weight", "refit")}
    return [
        ("estimator", crossval["estimator"] + _options(settings) if is_estimator else ""),
        ("model", "" if is_estimator else f"{model.get('name', '')}{_options(model.get('options'))}"),
        ("features", "; ".join(features)),
        (
            "corpus",
            f"{data.get('reader', '')} ({data.get('labels', '')}); trained on {data.get('train')}, "
            f"chosen on {data.get('dev')}",
        ),
        ("cut", _cut(data.get("cut") or {})),
        ("seed", None if is_ensemble else config.get("seed")),
        ("optimizer", _named(optimizer, ("name", "learning_rate", "weight_decay", "schedule"))),
        ("training", _named(training, ("epochs", "batch_size", "select", "patience", *_changed_settings(training)))),
    ]


def subtitle(config: Mapping[str, Any]) -> str:
    """Return the line under the run's name: model, features, corpus and seed."""
    if not config:
        return ""
    modalities = " + ".join(
        f"{name} ({(v or {}).get('encoder')})" for name, v in (config.get("features") or {}).items()
    )
    data = config.get("data") or {}
    predicted = ", ".join(data.get("targets") or ()) if config.get("task") == "regression" else data.get("labels", "")
    corpus = f"{data.get('reader', '')} {predicted}".strip()
    model = (config.get("model") or {}).get("name")
    seed = "" if model == "ensemble" else f"seed {config.get('seed')}"
    parts = [model, modalities, corpus, seed]
    return " · ".join(str(part) for part in parts if part)


def flattened(value: Any, prefix: str = "") -> list[tuple[str, object]]:
    """Return the innermost values of nested mappings as ("a.b", value); lists are joined by commas.

    >>> flattened({"versions": {"torch": "2.13"}, "gpus": ["a", "b"]})
    [('versions.torch', '2.13'), ('gpus', 'a, b')]
    """
    if isinstance(value, Mapping):
        return [
            leaf for key, inner in value.items() for leaf in flattened(inner, f"{prefix}.{key}" if prefix else str(key))
        ]
    if isinstance(value, (list, tuple)):
        return [(prefix, ", ".join(map(str, value)))]
    return [(prefix, value)]


def _cut(cut: Mapping[str, Any]) -> str:
    """Return protocol and fold of a corpus that is cut, or "" if it is not."""
    if cut.get("protocol", "none") == "none":
        return ""
    return f"{cut['protocol']}, fold {cut['fold']}" if cut.get("fold") else str(cut["protocol"])


def _changed_settings(training: Mapping[str, Any]) -> list[str]:
    """Return the names of the rarely used settings that differ from their defaults."""
    return [name for name, default in (("balance", "none"), ("ensemble", 1)) if training.get(name, default) != default]


def _options(options: object) -> str:
    if not isinstance(options, Mapping) or not options:
        return ""
    return " (" + ", ".join(f"{name} {value}" for name, value in options.items()) + ")"


def _named(values: Mapping[str, Any], names: Sequence[str]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {values[name]}" for name in names if values.get(name) is not None)
