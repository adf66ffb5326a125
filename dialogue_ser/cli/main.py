"""The console script finds and runs a command. Errors that the user can correct give a clear message and status 2."""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

from dialogue_ser.cli.trust_flags import trust_of
from dialogue_ser.errors import ConfigError, DialogueSerError, shown_problems, unknown_name
from dialogue_ser.foreign_text.terminal_text import VisibleFormatter, visible
from dialogue_ser.trust import only_code


@dataclass(frozen=True, slots=True)
class Command:
    """One command. Its module is imported only when the command runs.

    Args:
        target: ``module:function`` inside ``dialogue_ser.cli.commands``.
        summary: one line for ``--help``.
        takes_tokens: True = the function parses its tokens itself; False = its typed signature becomes the flags.
    """

    target: str
    summary: str
    takes_tokens: bool = False


COMMANDS = {
    "train": Command(
        "train:train_command", "train a model from a preset or a config file, then score it and write a report", True
    ),
    "crossval": Command(
        "crossval:crossval_command", "train and test once for every fold of a protocol, e.g. for every speaker", True
    ),
    "benchmark": Command(
        "suites.benchmark:benchmark", "compare systems: train all of a suite with all seeds, in one table"
    ),
    "errors": Command(
        "suites.errors:errors", "analyse the errors of a suite: by class, speaker, shift, length, dialogue"
    ),
    "sweep check": Command("sweeps.check:sweep_check", "check a sweep file of Weights & Biases and list every mistake"),
    "sweep run": Command("sweeps.run:sweep_run", "do the trials of a sweep file, without a server"),
    "sweep show": Command("sweeps.show:sweep_show", "show the best trials of a sweep and what its parameters change"),
    "sweep best": Command("sweeps.best:sweep_best", "print the settings of the best trial, or make a preset of them"),
    "sweep agent": Command(
        "sweeps.agent:sweep_agent", "print the commands that run a sweep on a server of Weights & Biases"
    ),
    "ensemble": Command("ensemble:ensemble_command", "average finished runs of seeds or of systems", True),
    "evaluate": Command("evaluate:evaluate", "compute the scores of a run again from its predictions"),
    "reproduce": Command("reproduce:reproduce", "make a run again from its directory, and compare both bit by bit"),
    "compare": Command("compare:compare", "say whether one run is better than another on the same corpus"),
    "predict": Command("predict:predict", "predict the emotions of new dialogues in a CSV or JSON Lines file"),
    "attention": Command("attention:attention", "draw the attention of the encoders inside an utterance"),
    "data describe": Command(
        "data:data_describe", "count dialogues and turns of a corpus per split, label, speaker and length"
    ),
    "data check": Command("data:data_check", "check a corpus and list every bad row and every bad audio file"),
    "data download": Command("data:data_download", "download a public corpus and check its checksum"),
    "features encode": Command(
        "features:features_encode", "compute the features of a corpus and keep them in the feature store"
    ),
    "features list": Command("feature_store:features_list", "list the contents of the feature store"),
    "features verify": Command(
        "feature_store:features_verify", "check the files of the feature store and set broken ones aside"
    ),
    "features prune": Command(
        "feature_store:features_prune", "delete features that are no longer needed from the feature store"
    ),
    "convert-pickle": Command(
        "convert_pickle:convert_pickle", "convert a pickle of published features to parquet or safetensors"
    ),
    "crossfit": Command(
        "crossfit:crossfit", "compute features with models that were not trained on the same dialogues", True
    ),
    "encoders": Command("listings:encoders", "list the utterance encoders"),
    "models": Command("listings:models", "list the dialogue models"),
    "presets": Command("listings:presets", "list the presets of runs"),
    "published": Command("listings:published", "list the scores that documents publish, and where they were read"),
    "presets show": Command("listings:presets_show", "print the settings of a preset as YAML"),
}

Handler = Callable[[Sequence[str]], int | None]


_HELP = ("-h", "--help")


def usage(group: str = "") -> str:
    """Return the text of ``dialogue-ser --help``, or of ``dialogue-ser GROUP --help``, e.g. for the group data."""
    commands = {name: one for name, one in COMMANDS.items() if not group or name.startswith(f"{group} ")}
    width = max(map(len, commands))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in commands.items()]
    tail = f"'dialogue-ser {group or 'COMMAND'}{' COMMAND' if group else ''} --help' explains one command."
    if group:
        head = f"usage: dialogue-ser {group} COMMAND [arguments]\n\ncommands:\n"
    else:
        head = "usage: dialogue-ser COMMAND [arguments]\n\nEmotion recognition in conversation.\n\ncommands:\n"
        tail += " Begin with 'dialogue-ser train --preset quickstart'."
    return head + "\n".join(lines) + "\n\n" + tail


def find_command(tokens: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return the name of the command (one or two words) and the tokens after it.

    Raises:
        ConfigError: there is no such command; the error suggests the nearest one.

    >>> find_command(["presets", "show", "quickstart"])
    ('presets show', ['quickstart'])
    """
    two_words = " ".join(tokens[:2])
    if two_words in COMMANDS:
        return two_words, tokens[2:]
    group = _commands_of(tokens[0])
    has_second_word = len(tokens) > 1 and not tokens[1].startswith("-")
    if tokens[0] in COMMANDS and not (group and has_second_word):
        return tokens[0], tokens[1:]
    if group and has_second_word:
        raise ConfigError(unknown_name("command", two_words, group))
    if group:
        raise ConfigError(f"command {tokens[0]!r} needs a second word; known: {', '.join(sorted(group))}")
    raise ConfigError(unknown_name("command", tokens[0], {name.split()[0] for name in COMMANDS}))


def _commands_of(group: str) -> list[str]:
    """Return the commands of two words that begin with this word."""
    return [name for name in COMMANDS if name.startswith(f"{group} ")]


def run(tokens: Sequence[str]) -> int:
    """Run one command and return its exit status, which is 0 if the command returns none.

    Raises:
        DialogueSerError: an error that the user can correct.
        SystemExit: after ``--help``.
    """
    if tokens and tokens[0] == "help":  # "help train" is "train --help"
        tokens = [*tokens[1:], "--help"]
    if not tokens or tokens[0] in _HELP:
        print(usage())
        return 0
    if tokens[0] == "--version":
        print(import_module("dialogue_ser").__version__)
        return 0
    if tokens[0] not in COMMANDS and _commands_of(tokens[0]) and tokens[1:2] and tokens[1] in _HELP:
        print(usage(tokens[0]))
        return 0
    name, rest = find_command(tokens)
    command = COMMANDS[name]
    module, _, function_name = command.target.partition(":")
    function = getattr(import_module(f"dialogue_ser.cli.commands.{module}"), function_name)
    with only_code(trust_of(rest)):  # code that only a file names is not imported
        if command.takes_tokens:
            status: int | None = function(rest)
        else:
            from dialogue_ser.cli.arguments import call_with_arguments

            status = call_with_arguments(function, rest, prog=f"dialogue-ser {name}")
    return status or 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``dialogue-ser``.

    Returns:
        the exit status: 0 after success; 2 after an error that the user can correct (it is printed to stderr);
        130 after Ctrl-C; 141 if the program that receives the output has stopped.
    """
    tokens = list(sys.argv[1:] if argv is None else argv)
    if logging.lastResort is not None:  # it shows the warnings of a program that has set up no logging
        logging.lastResort.setFormatter(VisibleFormatter())
    try:
        return run(tokens)
    except DialogueSerError as error:
        for problem in shown_problems(error.problems):
            print(f"error: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # nobody receives the buffered rest, so it must not be written at exit
        return 141
    except OSError as error:  # e.g. a full disk, a folder without write permission, a name that is too long
        if error.strerror is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        advice = "check the path, its permissions and the free space on the disk"
        print(visible(f"error: {where}{error.strerror}; {advice}"), file=sys.stderr)
        return 2
    except SystemExit as request:
        return request.code if isinstance(request.code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
