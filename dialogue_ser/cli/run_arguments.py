"""The flags of ``dialogue-ser train``: every field of RunConfig, dotted, over a preset or a file.

RunConfig's ``features`` and ``model.options`` have no fixed fields, so the parser is built for the run at hand: the
tokens are first scanned for what decides its shape (preset, config files, model name, modalities); then each modality
gets one typed group ``features.MODALITY``, and the chosen system's Config gives the flags under ``model.options``.
Both ``--a.b value`` and ``--a.b=value`` (what W&B sweeps emit) work, hyphens are as good as underscores, and a switch
needs no value. Later layers win: preset, then ``--config`` files
in order, then flags. Choosing another reader, encoder or model drops what the layer below set for the former one;
``--features.MODALITY null`` leaves a modality out.
"""

import dataclasses
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from jsonargparse import ArgumentParser

from dialogue_ser.cli.arguments import new_parser, parse, underscored
from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.options import unknown_options
from dialogue_ser.training.config.files import config_from_dict, config_to_dict, load_config
from dialogue_ser.training.config.overrides import merge, without_modality
from dialogue_ser.training.config.presets import load_preset, preset_names
from dialogue_ser.training.config.run_config import FeatureConfig, ModelConfig, RunConfig
from dialogue_ser.training.config.upgrade import upgraded

#: Flags that have moved: old name → new one. Announced in 0.1.0, removed in 0.2.0.
_MOVED = {"--crossval.protocol": "--data.cut.protocol", "--crossval.seed": "--data.cut.seed"}
_ALIASES = {"--on_bad": "--data.on_bad", "--print_config": "--print-config", "--allow_mismatch": "--allow-mismatch"}
#: Flags that are no settings of the run.
_CONTROL = {
    "preset": str, "config": str, "resume": str, "out": str, "allow_mismatch": bool, "print_config": bool, "smoke": bool
}  # fmt: skip
_USAGE = """dialogue-ser {command} --preset NAME [--a.b VALUE | --a.b=VALUE ...] [--config FILE.yaml] [--out DIR]
                          [--seed N] [--on-bad error|mask] [--resume DIR [--allow-mismatch]] [--smoke]
                          [--print_config]"""
_MODALITY = re.compile(r"--features\.([^.=]+)(\..*)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRequest:
    """What ``dialogue-ser train`` was asked for.

    Args:
        config: fully resolved configuration.
        out: run directory, or None for runs/NAME.
        resume: continue the run in ``out``.
        allow_mismatch: continue although configuration, data or versions differ.
        print_config: only print the configuration.
        smoke: run at reduced size on the bundled sample.
    """

    config: RunConfig
    out: Path | None = None
    resume: bool = False
    allow_mismatch: bool = False
    print_config: bool = False
    smoke: bool = False


def parse_train(tokens: Sequence[str], command: str = "train") -> TrainRequest:
    """The request that a ``train`` command line stands for; touches no data and writes nothing.

    Args:
        tokens: what follows the command.
        command: its name, for messages; ``crossval`` takes the same flags.

    Raises:
        ConfigError: unknown flags, presets, models or settings, values of a wrong type, or nothing to start from.
        SystemExit: after ``--help``.
    """
    tokens = _split_aliases(underscored(tokens, {**get_type_hints(RunConfig), **_CONTROL, "on_bad": str}))
    is_help = any(token in ("-h", "--help") for token in tokens)
    layers = _layers(tokens)
    if not layers and not is_help:
        presets = ", ".join(preset_names())
        raise ConfigError(
            f"{command}: nothing to train; give --preset NAME ({presets}), --config FILE.yaml or --resume DIR"
        )
    base: dict[str, Any] = {}
    for _, layer in layers:
        base = merge(base, layer)
    tokens, removed = _removed_modalities(tokens)
    for modality in removed:
        base = without_modality(base, modality)
    base = merge(base, _shape_of(tokens, base))
    where = " + ".join(source for source, _ in layers) or "defaults"
    filled = config_to_dict(config_from_dict(base, where=where))
    parser = train_parser(filled, where=where, command=command)
    values = parse(parser, tokens).as_dict()
    control = {name: values.pop(name, None) for name in _CONTROL}
    if control["out"] == "":
        raise ConfigError("--out: found '', expected a folder; leave it away for runs/NAME")
    # The parser writes hyphens of a modality's name as underscores.
    own_names = {name.replace("-", "_"): name for name in filled["features"]}
    values["features"] = {own_names[name]: feature for name, feature in values.get("features", {}).items()}
    options = dict(values["model"].get("options") or {})
    if control["resume"]:  # a run begun from Python may have left options at their defaults: they are no difference
        options = {
            key: value for key, value in options.items() if key in filled["model"]["options"] or _is_set(key, tokens)
        }
    values["model"] = {**values["model"], "options": options}
    config = config_from_dict(values, where="command line")
    resume = control["resume"]
    if resume and control["out"] and Path(resume) != Path(control["out"]):
        raise ConfigError(f"{command}: --resume DIR continues in DIR; leave --out away")
    return TrainRequest(
        config=config,
        out=Path(resume or control["out"]) if resume or control["out"] else None,
        resume=bool(resume),
        allow_mismatch=bool(control["allow_mismatch"]),
        print_config=bool(control["print_config"]),
        smoke=bool(control["smoke"]),
    )


def train_parser(base: Mapping[str, Any], where: str = "defaults", command: str = "train") -> ArgumentParser:
    """Parser whose defaults are a resolved configuration.

    Args:
        base: RunConfig as a mapping; decides which modalities and model options have flags.
        where: sources of ``base``, named in errors.
        command: train or crossval.

    Raises:
        ConfigError: an unknown model, or options that its Config does not have.
    """
    parser = new_parser(
        f"dialogue-ser {command}", "Train, evaluate and report. Flags win over --config files, those over --preset."
    )
    parser.usage = _USAGE.format(command=command)
    parser.add_argument("--preset", type=str | None, help=f"where to start from: {', '.join(preset_names())}")
    parser.add_argument(
        "--config", action="append", help="YAML file of settings, laid over the preset (may be repeated)"
    )
    parser.add_argument("--out", type=str | None, help="run directory; runs/NAME if left out")
    parser.add_argument("--resume", type=str | None, help="continue the run in this directory")
    for name, line in (
        ("allow-mismatch", "resume although config, data or versions differ"),
        ("smoke", "one epoch at reduced size on the bundled sample, and what the run costs at full size"),
        ("print-config", "print the resolved configuration and stop"),
    ):
        parser.add_argument(f"--{name}", type=bool, default=False, help=line)
    defaults: dict[str, Any] = {}
    parts = {field.name: type(field.default) for field in dataclasses.fields(RunConfig)}
    groups = {name: kind for name, kind in parts.items() if dataclasses.is_dataclass(kind) and kind is not ModelConfig}
    parser.add_class_arguments(RunConfig, skip={*groups, "features", "model"})
    for name, kind in groups.items():
        parser.add_class_arguments(kind, name)
        defaults |= {f"{name}.{key}": value for key, value in base[name].items()}
    defaults |= {key: base[key] for key in parts if key not in groups and key not in ("features", "model")}
    for modality, feature in base["features"].items():
        parser.add_class_arguments(FeatureConfig, f"features.{modality}")
        defaults |= {f"features.{modality}.{key}": value for key, value in feature.items()}
    parser.add_class_arguments(ModelConfig, "model", skip={"options"})
    defaults["model.name"] = base["model"]["name"]
    defaults |= _add_model_options(parser, base["model"], where)
    parser.set_defaults({key: tuple(value) if isinstance(value, list) else value for key, value in defaults.items()})
    return parser


def _add_model_options(parser: ArgumentParser, model: Mapping[str, Any], where: str) -> dict[str, Any]:
    from dialogue_ser.models import find_model  # imports torch: only once a run is really described

    config_type = find_model(model["name"]).Config
    problems = unknown_options(f"{where}: model.options: model {model['name']}", config_type, model["options"])
    if problems:
        raise ConfigError(*problems)
    if dataclasses.fields(config_type):
        parser.add_class_arguments(config_type, "model.options")
    return {f"model.options.{key}": value for key, value in model["options"].items()}


def _split_aliases(tokens: Sequence[str]) -> list[str]:
    """Tokens with friendly names replaced by the fields they stand for, and W&B's None by null."""
    parts = [token.partition("=") for token in tokens]
    for old in dict.fromkeys(head for head, _, _ in parts if head in _MOVED):
        print(f"note: {old} is called {_MOVED[old]} since 0.1.0; the old name goes with 0.2.0", file=sys.stderr)
    names = {**_ALIASES, **_MOVED}
    return [
        names.get(head, head) + equals + ("null" if equals and value == "None" else value)
        for head, equals, value in parts
    ]


def _values_of(tokens: Sequence[str], flag: str) -> Iterator[str]:
    """Values a flag is given, as ``--flag value`` or ``--flag=value``."""
    for index, token in enumerate(tokens):
        if token == flag and index + 1 < len(tokens):
            yield tokens[index + 1]
        elif token.startswith(f"{flag}="):
            yield token.partition("=")[2]


def _is_set(option: str, tokens: Sequence[str]) -> bool:
    flag = f"--model.options.{option}"
    return any(token.partition("=")[0] == flag or token.startswith(f"{flag}.") for token in tokens)


def _layers(tokens: Sequence[str]) -> list[tuple[str, Mapping[str, Any]]]:
    """(source, mapping) of the run to resume, the preset and the config files, lowest first."""
    layers: list[tuple[str, Mapping[str, Any]]] = []
    for folder in _values_of(tokens, "--resume"):
        path = Path(folder) / "config.yaml"
        if not path.is_file():
            raise ConfigError(f"--resume {folder}: no run there ({path} does not exist); give a run directory")
        layers.append((str(path), config_to_dict(load_config(path))))
    layers += [(f"preset {name}", config_to_dict(load_preset(name))) for name in _values_of(tokens, "--preset")]
    for file in _values_of(tokens, "--config"):
        load_config(Path(file))  # names every wrong key and value with the file
        layers.append((file, upgraded(yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {})))
    return layers


def _removed_modalities(tokens: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tokens without ``--features.MODALITY null``, and the modalities so removed."""
    kept: list[str] = []
    removed: list[str] = []
    queue = list(tokens)
    while queue:
        token = queue.pop(0)
        head, equals, value = token.partition("=")
        match = _MODALITY.fullmatch(head)
        given = value if equals else (queue[0] if queue else "")
        if match and not match.group(2) and given in ("null", "none", "None"):
            removed.append(match.group(1))
            queue = queue if equals else queue[1:]
        else:
            kept.append(token)
    return kept, removed


def _shape_of(tokens: Sequence[str], base: Mapping[str, Any]) -> dict[str, Any]:
    """The layer of flags that choose a task, a reader, a model and encoders, and so decide what others there are."""
    tasks = list(_values_of(tokens, "--task"))
    shape: dict[str, Any] = {"task": tasks[-1]} if tasks else {}
    for section, chooser in (("model", "name"), ("data", "reader")):
        for name in _values_of(tokens, f"--{section}.{chooser}"):
            shape[section] = {chooser: name}
    modalities = dict.fromkeys(match.group(1) for token in tokens if (match := _MODALITY.match(token)))
    for modality in modalities:
        encoders = list(_values_of(tokens, f"--features.{modality}.encoder"))
        if encoders:
            shape.setdefault("features", {})[modality] = {"encoder": encoders[-1]}
        elif modality not in base.get("features", {}):
            problem = unknown_name("modality", modality, base.get("features", {}))
            raise ConfigError(f"--features.{modality}: {problem}; a new one needs --features.{modality}.encoder NAME")
    return shape
