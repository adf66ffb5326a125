"""``--trust_code``: which code a command line trusts. Names in the flags are trusted, names in files are not."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dialogue_ser.trust import NamedCode, Trust, refuse_code, targets_in

TRUST_FLAG = "--trust_code"


def trust_of(tokens: Sequence[str]) -> Trust:
    """Return the code that a command line trusts: all with ``--trust_code``, else what its tokens name.

    >>> trust_of(["train", "--config", "a.yaml", "--trust-code"])
    True
    >>> sorted(trust_of(["train", "--config", "a.yaml", "--data.reader=mine:read"]))
    ['mine:read']
    """
    for number, token in enumerate(tokens):
        flag, equals, value = token.partition("=")
        if flag.replace("-", "_").strip("_") == "trust_code" and flag.startswith("--"):
            following = value if equals else "".join(tokens[number + 1 : number + 2])
            return following.lower() not in ("false", "no", "off")
    return targets_in(tokens)


def refuse_code_of_files(
    values: Mapping[str, Any],
    layers: Sequence[tuple[str, Mapping[str, Any]]],
    tokens: Sequence[str],
    *,
    before_flags: bool = False,
) -> None:
    """Refuse code that the settings of a command name, if neither the flags name it nor ``--trust_code`` is there.

    Args:
        values: all settings.
        layers: (file, settings) of the files that the settings come from; later ones win.
        tokens: the tokens of the command.
        before_flags: the flags have not replaced settings of files yet. So a setting is not judged if a flag sets it.

    Raises:
        ConfigError: files name code. The error lists all of it, with its place.
    """
    from dialogue_ser.training.config.files import code_in_settings  # slow, and most commands read no settings

    found = [one for one in code_in_settings(values) if not (before_flags and _is_set(one.place, tokens))]
    in_layer = {file: code_in_settings(settings) for file, settings in layers}
    placed = [NamedCode(one.name, f"{_file_of(one, in_layer)}: {one.place}") for one in found]
    advice = f"add {TRUST_FLAG} to this command if you trust this code"
    if found:
        advice += f", or name it by a flag, e.g. --{_setting(found[0].place)} {found[0].name}"
    for run in re.findall(r"(?m)^--resume[=\n](.+)$", "\n".join(tokens)):
        advice += f". A run of your own continues with: dialogue-ser train --resume {run} {TRUST_FLAG}"
    refuse_code(placed, trust_of(tokens), advice)


def _file_of(code: NamedCode, in_layer: Mapping[str, Sequence[NamedCode]]) -> str:
    """Return the last file in which the code stands at its place."""
    files = [file for file, found in in_layer.items() if code in found]
    return files[-1] if files else " + ".join(in_layer)


def _is_set(place: str, tokens: Sequence[str]) -> bool:
    """Return whether a flag sets the setting at a place, or a mapping around it."""
    flags = {token.partition("=")[0].removeprefix("--") for token in tokens if token.startswith("--")}
    parts = _setting(place).split(".")
    return any(".".join(parts[:n]) in flags for n in range(1, len(parts) + 1))


def _setting(place: str) -> str:
    """Return the name of the setting that holds a place.

    >>> _setting("training.callbacks[0]")
    'training.callbacks'
    """
    return re.sub(r"\[\d+\].*", "", place)
