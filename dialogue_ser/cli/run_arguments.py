"""The flags of ``dialogue-ser train``: every setting of RunConfig has a flag with dots, e.g. ``--training.epochs``.

The settings come from layers: first the preset, then the ``--config`` files in order, then the flags. A later layer
wins. If a layer chooses another reader, encoder or model, the options that an earlier layer set for the old one are
dropped. ``--features.MODALITY null`` leaves a modality out.

RunConfig's ``features`` and ``model.options`` have no fixed fields, so the parser is built for one command line:

1. Scan the tokens for what decides which flags exist: preset, config files, task, reader, model, modalities, encoders.
2. Give every modality a group of flags ``features.MODALITY``, and the model's Config a group ``model.options``.

Both ``--a.b value`` and ``--a.b=value`` (as W&B sweeps write it) work, and values as Python writes them. Hyphens are as
good as underscores, and a switch needs no value.
"""

import dataclasses
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, get_type_hints

from jsonargparse import SUPPRESS, ArgumentParser

from dialogue_ser.cli.arguments import new_parser, parse, underscore_flags
from dialogue_ser.cli.python_values import without_python_values
from dialogue_ser.cli.run_layers import settings_below_flags
from dialogue_ser.cli.trust_flags import refuse_code_of_files
from dialogue_ser.errors import ConfigError
from dialogue_ser.options import unknown_options
from dialogue_ser.training.config.files import config_from_dict, config_to_dict
from dialogue_ser.training.config.presets import preset_names
from dialogue_ser.training.config.run_config import FeatureConfig, ModelConfig, RunConfig

#: Old name of a flag → new name. The old names were announced as old in 0.1.0 and go away in 0.2.0.
_MOVED = {"--crossval.protocol": "--data.cut.protocol", "--crossval.seed": "--data.cut.seed"}
_ALIASES = {"--on_bad": "--data.on_bad", "--print_config": "--print-config", "--allow_mismatch": "--allow-mismatch"}
#: Flags that are not settings of the run.
_CONTROL = {
    "preset": str, "config": str, "resume": str, "out": str, "allow_mismatch": bool, "print_config": bool,
    "smoke": bool, "trust_code": bool, "jobs": int, "engine": str, "address": str, "gpus": float,
}  # fmt: skip
_USAGE = """dialogue-ser {command} --preset NAME [--a.b VALUE | --a.b=VALUE ...] [--config FILE.yaml] [--out DIR]
                          [--seed N] [--on-bad error|mask]{more} [--smoke] [--print-config] [--trust-code]
       dialogue-ser {command} --data.path TABLE.csv --features.text.encoder NAME [--a.b VALUE ...] [...]"""
_FLAGS_ALONE_HELP = (
    "Without preset and file, flags that name the data and an encoder are enough, e.g. --data.path turns.csv "
    "--features.text.encoder minilm."
)
_INTRODUCTIONS = {
    "train": "Train a model, score it and write a report.",
    "crossval": "Train and test once for every fold of --data.cut.protocol, then write scores, tables and a report.",
}
_LAYERS_HELP = "Flags replace the settings of --config files, and these replace the settings of --preset."
#: Section of the settings → its dataclass.
_GROUPS: dict[str, type] = {
    field.name: type(field.default)
    for field in dataclasses.fields(RunConfig)
    if dataclasses.is_dataclass(field.default) and field.name != "model"
}
_MODALITY = re.compile(r"--features\.([^.=]+)(\..*)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRequest:
    """A parsed command line of ``dialogue-ser train``.

    Args:
        config: the configuration with every setting filled in.
        out: run directory; None = runs/NAME.
        resume: continue the run in ``out``.
        allow_mismatch: continue even if configuration, data or versions differ from those of the run.
        print_config: print the configuration and stop.
        smoke: run at reduced size on the bundled sample.
        jobs: number of folds of a cross-validation at the same time; 0 = one for each CPU core.
        engine: where the folds are done: local or ray.
        address: address of a Ray cluster; None = Ray is started on this machine.
        gpus: number of GPUs for each fold on Ray.
    """

    config: RunConfig
    out: Path | None = None
    resume: bool = False
    allow_mismatch: bool = False
    print_config: bool = False
    smoke: bool = False
    jobs: int = 1
    engine: str = "local"
    address: str | None = None
    gpus: float = 0.0


def parse_train(tokens: Sequence[str], command: str = "train") -> TrainRequest:
    """Parse a ``train`` command line. This reads no data and writes nothing.

    Args:
        tokens: the tokens after the command.
        command: name of the command, for messages; ``crossval`` takes the same flags.

    Raises:
        ConfigError: a flag, preset, model or setting is unknown, a value has a wrong type, or neither a preset, a file,
            a run nor flags say what to train on.
        SystemExit: after ``--help``.
    """
    tokens = without_python_values(tokens, RunConfig)
    tokens = _replace_aliases(underscore_flags(tokens, {**get_type_hints(RunConfig), **_CONTROL, "on_bad": str}))
    tokens, filled, where = settings_below_flags(tokens, command)
    values = parse(train_parser(filled, where=where, command=command), tokens).as_dict()
    control = {name: values.pop(name, None) for name in _CONTROL}
    if control["out"] == "":
        raise ConfigError("--out: found '', expected a folder; leave the flag out for runs/NAME")
    config = _run_config(values, filled, tokens, is_resumed=bool(control["resume"]))
    refuse_code_of_files(config_to_dict(config), [(where, {})], tokens)
    resume = control["resume"]
    if resume and control["out"] and Path(resume) != Path(control["out"]):
        raise ConfigError(f"{command}: --resume DIR continues in DIR; remove --out")
    return TrainRequest(
        config=config,
        out=Path(resume or control["out"]) if resume or control["out"] else None,
        resume=bool(resume),
        allow_mismatch=bool(control["allow_mismatch"]),
        print_config=bool(control["print_config"]),
        smoke=bool(control["smoke"]),
        jobs=1 if control["jobs"] is None else control["jobs"],
        engine=control["engine"] or "local",
        address=control["address"],
        gpus=control["gpus"] or 0.0,
    )


def _run_config(
    values: dict[str, Any], filled: Mapping[str, Any], tokens: Sequence[str], is_resumed: bool
) -> RunConfig:
    """Return the configuration that the parsed values describe.

    Args:
        values: the parsed values without the control flags.
        filled: the settings below the flags.
        tokens: the parsed tokens.
        is_resumed: the run is continued. An option that its config.yaml leaves out and no flag sets stays left out, so
            that it does not count as a difference. A run that was started from Python may leave options out.
    """
    # The parser writes the hyphens in a modality's name as underscores.
    modality_of = {name.replace("-", "_"): name for name in filled["features"]}
    features = {modality_of[name]: feature for name, feature in values.get("features", {}).items()}
    options = dict(values["model"].get("options") or {})
    if is_resumed:
        given = filled["model"]["options"]
        options = {key: value for key, value in options.items() if key in given or _is_set(key, tokens)}
    values = {**values, "features": features, "model": {**values["model"], "options": options}}
    return config_from_dict(values, where="command line")


def train_parser(base: Mapping[str, Any], where: str = "defaults", command: str = "train") -> ArgumentParser:
    """Return the parser of a ``train`` command line.

    Args:
        base: RunConfig as a mapping: the defaults. It decides which modalities and model options have flags.
        where: the preset, files or run that ``base`` comes from; errors name them.
        command: train or crossval.

    Raises:
        ConfigError: the model is unknown, or its Config does not have one of the options.
    """
    from dialogue_ser.models import find_model  # imported here because it imports torch, which is slow

    model = base["model"]
    config_type = find_model(model["name"]).Config
    problems = unknown_options(f"{where}: model.options: model {model['name']}", config_type, model["options"])
    if problems:
        raise ConfigError(*problems)
    parser, of_actions, of_parser = _parser_without_base(command, tuple(base["features"]), config_type)  # type: ignore[arg-type]
    for action, default in of_actions:
        action.default = default
    parser._defaults.clear()
    parser._defaults.update(of_parser)
    defaults = {f"model.options.{key}": value for key, value in model["options"].items()}
    for name in (field.name for field in dataclasses.fields(RunConfig)):
        value = base[name]
        if name == "model":
            defaults["model.name"] = value["name"]
        elif name == "features":
            for modality, feature in value.items():
                defaults |= {f"features.{modality}.{key}": setting for key, setting in feature.items()}
        elif name in _GROUPS:
            defaults |= {f"{name}.{key}": setting for key, setting in value.items()}
        else:
            defaults[name] = value
    parser.set_defaults({key: tuple(value) if isinstance(value, list) else value for key, value in defaults.items()})
    return parser


@lru_cache(maxsize=32)
def _parser_without_base(
    command: str, modalities: tuple[str, ...], model_config: type
) -> tuple[ArgumentParser, list[tuple[Any, Any]], dict[str, Any]]:
    """Return a parser whose defaults are those of RunConfig, its actions with their defaults, and its own defaults.

    To build a parser is slow. All command lines of a process that have the same flags therefore share one.

    Args:
        command: train or crossval.
        modalities: modalities that have flags.
        model_config: Config of the model.
    """
    parser = new_parser(f"dialogue-ser {command}", f"{_INTRODUCTIONS[command]} {_LAYERS_HELP} {_FLAGS_ALONE_HELP}")
    can_resume = command == "train"  # the same command continues a cross-validation
    more = " [--resume DIR [--allow-mismatch]]" if can_resume else " [--jobs N] [--engine local|ray]"
    parser.usage = _USAGE.format(command=command, more=more)
    parser.add_argument("--preset", type=str | None, help=f"preset to begin with, one of: {', '.join(preset_names())}")
    parser.add_argument(
        "--config",
        action="append",
        help="YAML file whose settings replace those of the preset (may be repeated: later files win)",
    )
    folder = "run directory" if can_resume else "directory of the cross-validation"
    parser.add_argument("--out", type=str | None, help=f"{folder}; if left out: runs/ and the name of the run")
    resume_help = "continue the interrupted run in this directory" if can_resume else SUPPRESS
    parser.add_argument("--resume", type=str | None, help=resume_help)
    if not can_resume:
        jobs_help = "number of folds at the same time; 0 = one for each CPU core. The threads are divided among them"
        parser.add_argument("--jobs", type=int, default=1, help=jobs_help)
        engine_help = "where the folds are done: local = this machine; ray = a Ray cluster (needs the extra 'ray')"
        parser.add_argument("--engine", type=str, default="local", help=engine_help)
        address_help = "address of the Ray cluster; if left out, Ray is started on this machine"
        parser.add_argument("--address", type=str | None, help=address_help)
        parser.add_argument("--gpus", type=float, default=0.0, help="number of GPUs for each fold on Ray")
    mismatch_help = "continue the run even if settings, data or versions have changed" if can_resume else SUPPRESS
    for name, line in (
        ("allow-mismatch", mismatch_help),
        ("smoke", "try the run: one epoch at reduced size on the bundled sample; print what the full run costs"),
        ("print-config", "print all settings of the run as YAML and stop"),
        (
            "trust_code",
            "allow code that files (of --config, or a run that is continued) name: readers, encoders, models, losses, "
            "metrics, callbacks. It is run, so allow only code that you trust. Code that flags name is always allowed",
        ),
    ):
        parser.add_argument(f"--{name}", type=bool, default=False, help=line)
    parser.add_class_arguments(RunConfig, skip={*_GROUPS, "features", "model"})
    for name, kind in _GROUPS.items():
        parser.add_class_arguments(kind, name)
    for modality in modalities:
        parser.add_class_arguments(FeatureConfig, f"features.{modality}")
    parser.add_class_arguments(ModelConfig, "model", skip={"options"})
    if dataclasses.fields(model_config):
        parser.add_class_arguments(model_config, "model.options")
    return parser, [(action, action.default) for action in parser._actions], dict(parser._defaults)


def _replace_aliases(tokens: Sequence[str]) -> list[str]:
    """Replace short and old names of flags by the names of their settings."""
    parts = [token.partition("=") for token in tokens]
    for old in dict.fromkeys(head for head, _, _ in parts if head in _MOVED):
        print(f"note: {old} is called {_MOVED[old]} since 0.1.0; 0.2.0 removes the old name", file=sys.stderr)
    names = {**_ALIASES, **_MOVED}
    return [names.get(head, head) + equals + value for head, equals, value in parts]


def _is_set(option: str, tokens: Sequence[str]) -> bool:
    """Whether a flag sets an option of the model."""
    flag = f"--model.options.{option}"
    return any(token.partition("=")[0] == flag or token.startswith(f"{flag}.") for token in tokens)
