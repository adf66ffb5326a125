"""What a trial of a sweep runs: the command line of the sweep file, as ``dialogue-ser train`` reads it."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from dialogue_ser.cli.run_arguments import TrainRequest, parse_train
from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.search_space.macros import DEFAULT_COMMAND, ENVIRONMENT, MACROS, command_of
from dialogue_ser.search_space.shapes import leaves
from dialogue_ser.search_space.sweep import Sweep

_PROGRAM, _MODULE = "dialogue-ser", "dialogue_ser.cli.main"
#: Commands that a trial can be.
COMMANDS = ("train", "crossval")
_EXAMPLE = "command: ['${env}', dialogue-ser, train, --preset, NAME, '${args}']"
#: Macros whose items are flags of train.
_READABLE = ("args", "args_no_equals", "args_no_boolean_flags")
_OTHER_ARGUMENTS = tuple(name for name in MACROS if name.startswith("args") and name not in _READABLE)
#: Flags that a trial cannot have, and why.
_NOT_IN_TRIALS = {
    "--out": "all trials would write to one folder; leave it out, and each trial gets a folder of its own",
    "--resume": "a trial that was stopped is continued by itself; leave it out",
    "--print-config": "a trial would train nothing; leave it out",
    "--smoke": "a trial would train at reduced size only; leave it out",
    "--help": "a trial would train nothing; leave it out",
    "-h": "a trial would train nothing; leave it out",
}


def trial_tokens(sweep: Sweep, values: Mapping[str, Any], env: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the command of a trial (train or crossval) and the tokens after it.

    Args:
        sweep: the sweep.
        values: the values of the trial.
        env: the variables of its environment.

    Raises:
        ConfigError: the command line of the file is not one of ``dialogue-ser train``.
    """
    words = command_of(sweep, values, env)
    after = _after_program(words)
    if after is None or words[after : after + 1] not in ([name] for name in COMMANDS):
        raise ConfigError(
            *(command_problems(sweep) or [f"{sweep.at('command')}: starts no training; write {_EXAMPLE}"])
        )
    return words[after], words[after + 1 :]


def trial_request(sweep: Sweep, values: Mapping[str, Any], env: Mapping[str, str]) -> tuple[str, TrainRequest]:
    """Return the command of a trial (train or crossval) and what it is to do. Nothing is read or written.

    Args:
        sweep: the sweep.
        values: the values of the trial.
        env: the variables of its environment.

    Raises:
        ConfigError: the command line is not one of ``dialogue-ser train``, or it has unknown flags or wrong values.
    """
    command, tokens = trial_tokens(sweep, values, env)
    return command, parse_train(tokens, command)


def command_problems(sweep: Sweep) -> list[str]:
    """Return what is wrong with the command of a sweep file, whatever the values are. Each has its line."""
    items = [str(item) for item in sweep.command or DEFAULT_COMMAND]
    if sweep.command is None:
        return [
            f"{sweep.at('program' if sweep.program else 'command')}: the file has no command that starts a training of "
            f"this library; write {_EXAMPLE}"
        ]
    found = [f"{sweep.at('command', str(index))}: {problem}" for index, problem in _item_problems(items)]
    after = _after_program([sweep.program if item == "${program}" and sweep.program else item for item in items])
    if after is None:
        if "dialogue-ser " not in " ".join(item + " " for item in items if " " in item):
            found.append(f"{sweep.at('command')}: does not start dialogue-ser; write {_EXAMPLE}")
        return found
    name = items[after] if after < len(items) else ""
    if name not in COMMANDS:
        known = unknown_name("command", name, COMMANDS) if name else f"write one of {', '.join(COMMANDS)}"
        found.append(f"{sweep.at('command', str(min(after, len(items) - 1)))}: after dialogue-ser: {known}")
    found += _argument_problems(sweep, items)
    return found + _flag_problems(sweep, items, after)


def _after_program(words: Sequence[str]) -> int | None:
    """Return the index of the word after ``dialogue-ser`` or its module; None if it is not started."""
    for index, word in enumerate(words):
        if PurePath(word).name in (_PROGRAM, f"{_PROGRAM}.exe"):
            return index + 1
        if word == "-m" and words[index + 1 : index + 2] == [_MODULE]:
            return index + 2
    return None


def _item_problems(items: Sequence[str]) -> list[tuple[int, str]]:
    found = []
    for index, item in enumerate(items):
        if item.startswith("${") and item.endswith("}") and not ENVIRONMENT.fullmatch(item):
            if item[2:-1] not in MACROS:
                found.append((index, f"{unknown_name('macro', item[2:-1], MACROS)}; an unknown one vanishes"))
        elif any(f"${{{name}}}" in item for name in MACROS):
            found.append((index, f"found {item!r}: a macro is replaced only if it is an item of its own"))
        elif f"{_PROGRAM} " in item:
            found.append((index, f"found {item!r}: there is no shell; write every word as an item of its own"))
    return found


def _argument_problems(sweep: Sweep, items: Sequence[str]) -> list[str]:
    """Return what is wrong with the macros that hand over the values."""
    used = [name for name in MACROS if name.startswith("args") and f"${{{name}}}" in items]
    unreadable = [name for name in used if name in _OTHER_ARGUMENTS]
    found = [
        f"{sweep.at('command', str(items.index(f'${{{name}}}')))}: train cannot read ${{{name}}}; write ${{args}}"
        for name in unreadable
    ]
    if not used:
        found.append(f"{sweep.at('command')}: has no ${{args}}, so all trials are the same; add '${{args}}' at its end")
    if len(used) > 1:
        found.append(f"{sweep.at('command')}: hands the values over twice ({', '.join(used)}); keep ${{args}}")
    if "args_no_boolean_flags" in used:
        place = sweep.at("command", str(items.index("${args_no_boolean_flags}")))
        lost = [".".join(path) for path, shape in leaves(sweep.parameters).items() if False in _booleans(shape)]
        if lost:
            found.append(f"{place}: leaves out a value False (of {', '.join(lost)}); write ${{args}}")
    return found


def _booleans(shape: Any) -> list[bool]:
    values = [*getattr(shape, "values", ()), getattr(shape, "value", None)]
    return [value for value in values if isinstance(value, bool)]


def _flag_problems(sweep: Sweep, items: Sequence[str], after: int) -> list[str]:
    """Return the flags that a trial cannot have, and those that a parameter sets, too."""
    names = {".".join(path).replace("-", "_") for path in leaves(sweep.parameters)}
    found = []
    for index, item in enumerate(items[after:], after):
        flag = item.partition("=")[0]
        if flag.replace("_", "-") in _NOT_IN_TRIALS:
            found.append(f"{sweep.at('command', str(index))}: {flag}: {_NOT_IN_TRIALS[flag.replace('_', '-')]}")
        elif flag.startswith("--") and flag[2:].replace("-", "_") in names:
            found.append(f"{sweep.at('command', str(index))}: {flag} is a parameter, too; keep one of them")
    forbidden = {name: advice for name in names if (advice := _NOT_IN_TRIALS.get(f"--{name.replace('_', '-')}"))}
    return found + [f"{sweep.at('parameters', name)}: {advice}" for name, advice in forbidden.items()]
