"""The settings that hold before the flags of ``train`` count: those of a preset, of files, of a run, or the defaults.

Without preset, file and run, the flags must name the data and an encoder. Everything else has a default then: a file is
read by the reader ``table``, the run is named after the file and its modalities, and frozen features are standardised.
"""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dialogue_ser.cli.arguments import values_of_flag
from dialogue_ser.cli.trust_flags import refuse_code_of_files
from dialogue_ser.corpus.readers import reader_of_file
from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.training.config.files import config_from_dict, config_to_dict, load_record, load_settings
from dialogue_ser.training.config.overrides import merge, without_modality
from dialogue_ser.training.config.presets import load_preset
from dialogue_ser.training.config.upgrade import upgraded

_MODALITY = re.compile(r"--features\.([^.=]+)(\..*)?")


def settings_below_flags(tokens: Sequence[str], command: str) -> tuple[list[str], dict[str, Any], str]:
    """Return the tokens that are still to be parsed, all settings that hold below the flags, and where these stand.

    The flags that choose a task, reader, model, modality or encoder count already, because they decide the other flags.

    Args:
        tokens: the tokens after the command.
        command: name of the command, for messages.

    Raises:
        ConfigError: a preset, file, run or one of the names does not exist, the flags name too little to begin, or
            files name code that is not trusted.
    """
    layers = _layers(tokens)
    where = " + ".join(name for name, _ in layers) or "defaults"
    base: dict[str, Any] = {}
    for _, layer in layers:
        base = merge(base, layer)
    rest, removed = _without_null_modalities(tokens)
    for modality in removed:
        base = without_modality(base, modality)
    chosen = _choosing_flags(rest, base)
    _refuse_misspelled_modalities(chosen.get("features", {}), base.get("features", {}))
    base = merge(base, chosen)
    base = _with_reader_of_file(base, rest)
    if not layers and not any(token in ("-h", "--help") for token in tokens):
        base = _begun_by_flags(base, rest, command)
    filled = config_to_dict(config_from_dict(base, where=where))
    refuse_code_of_files(filled, layers, rest, before_flags=True)
    return rest, filled, where


def _with_reader_of_file(base: Mapping[str, Any], tokens: Sequence[str]) -> dict[str, Any]:
    """Return the settings with the reader of the file ``data.path``, if no reader is named."""
    data = base.get("data") or {}
    if not isinstance(data, Mapping) or data.get("reader"):
        return dict(base)
    path = [data.get("path"), *values_of_flag(tokens, "--data.path")][-1]
    reader = reader_of_file(path) if isinstance(path, str) else None
    return merge(base, {"data": {"reader": reader}}) if reader else dict(base)


def _begun_by_flags(base: Mapping[str, Any], tokens: Sequence[str], command: str) -> dict[str, Any]:
    """Return the settings of a run that is described by flags alone: the name of the run and transforms are added.

    Raises:
        ConfigError: the flags name no data or no encoder.
    """
    path = [None, *values_of_flag(tokens, "--data.path")][-1]
    problems = []
    if path is None and not base.get("data", {}).get("reader"):
        table = next((token for token in tokens if not token.startswith("-") and Path(token).is_file()), "turns.csv")
        problems.append(f"there is no data; name your table (--data.path {table}) or a corpus (--data.reader sample)")
    elif not base.get("data", {}).get("reader"):
        problems.append(f"--data.path {path} is no file; name the reader of its corpus, e.g. --data.reader meld")
    if not base.get("features"):
        problems.append(
            "there is no modality; name an encoder for one or several, e.g. --features.text.encoder minilm or "
            "--features.audio.encoder opensmile"
        )
    if problems:
        others = "--preset NAME ('dialogue-ser presets' lists them), --config FILE.yaml"
        others += " or --resume DIR" if command == "train" else ""
        raise ConfigError(f"{command}: nothing to train: {'; '.join(problems)}; or give {others}")
    features = {
        modality: {"transforms": _usual_transforms(feature["encoder"]), **feature}
        for modality, feature in base["features"].items()
    }
    parts = [Path(path).stem if path else str(base["data"]["reader"]), *features]
    parts += ["crossval"] if command == "crossval" else []
    name = re.sub(r"[^\w.-]+", "-", "-".join(parts)).strip(".-")[:100]
    return {"name": name or "run", **base, "features": features}


def _usual_transforms(encoder: str) -> list[str]:
    """Return the transforms of features of an encoder: frozen features are standardised, token ids are not."""
    from dialogue_ser.encoders import find_trained  # imports torch, which is slow

    trained = find_trained(encoder)
    if trained is None:
        return ["impute", "standardise"]
    return ["standardise"] if trained.front_end == "frames" else []


def _refuse_misspelled_modalities(chosen: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Refuse a flag for a modality that does not exist, if its name is almost the name of one that does.

    Otherwise ``--features.txt.encoder`` would add a second modality and leave ``text`` as it is. A name with a number
    at its end, e.g. text2, is no misspelling.
    """
    problems = []
    for name in chosen.keys() - known.keys():
        similar = get_close_matches(name, known, n=1, cutoff=0.7)
        if similar and name.rstrip("0123456789").rstrip("_-") not in known:
            problems.append(
                f"--features.{name}: there is no modality {name!r}; did you mean --features.{similar[0]}? To add a "
                f"modality called {name}, name it in a --config file"
            )
    if problems:
        raise ConfigError(*sorted(problems))


def _layers(tokens: Sequence[str]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return (name, settings) of the run to continue, the preset and the config files; later ones win."""
    layers: list[tuple[str, Mapping[str, Any]]] = []
    for folder in values_of_flag(tokens, "--resume"):
        path = Path(folder) / "config.yaml"
        if not path.is_file():
            raise ConfigError(f"--resume {folder}: no run there ({path} does not exist); give the directory of a run")
        layers.append((str(path), config_to_dict(load_record(path))))
    layers += [(f"preset {name}", _preset_settings(name)) for name in values_of_flag(tokens, "--preset")]
    for file in values_of_flag(tokens, "--config"):
        load_record(Path(file))  # raises an error that names the file and every wrong key and value in it
        layers.append((file, upgraded(load_settings(Path(file)))))
    return layers


def _preset_settings(name: str) -> dict[str, Any]:
    """Return the settings of a preset. Code that it names is judged later, together with that of the other layers."""
    return config_to_dict(load_preset(name, trust_code=True))


def _without_null_modalities(tokens: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take ``--features.MODALITY null`` out of the tokens; return the other tokens and the removed modalities."""
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


def _choosing_flags(tokens: Sequence[str], base: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the flags that choose task, reader, model and encoders: they decide which flags exist."""
    tasks = list(values_of_flag(tokens, "--task"))
    chosen: dict[str, Any] = {"task": tasks[-1]} if tasks else {}
    for section, setting in (("model", "name"), ("data", "reader")):
        for name in values_of_flag(tokens, f"--{section}.{setting}"):
            chosen[section] = {setting: name}
    modalities = dict.fromkeys(match.group(1) for token in tokens if (match := _MODALITY.match(token)))
    for modality in modalities:
        encoders = list(values_of_flag(tokens, f"--features.{modality}.encoder"))
        if encoders:
            chosen.setdefault("features", {})[modality] = {"encoder": encoders[-1]}
        elif modality not in base.get("features", {}):
            known = base.get("features", {})
            problem = f"{unknown_name('modality', modality, known)}; " if known else ""
            given = next(values_of_flag(tokens, f"--features.{modality}"), "NAME")
            raise ConfigError(
                f"--features.{modality}: {problem}a new modality needs --features.{modality}.encoder {given}"
            )
    return chosen
