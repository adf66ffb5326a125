"""The console script: finds the command, runs it, and turns user-caused errors into one clear message and status 2."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

from dialogue_ser.errors import ConfigError, DialogueSerError, unknown_name


@dataclass(frozen=True, slots=True)
class Command:
    """One command, imported only when it is asked for.

    Args:
        place: ``module:function`` inside ``dialogue_ser.cli.commands``.
        summary: one line for ``--help``.
        takes_tokens: the function parses its own tokens; otherwise its typed signature becomes the flags.
    """

    place: str
    summary: str
    takes_tokens: bool = False


COMMANDS = {
    "train": Command("train:train_command", "train a preset or a config file, then evaluate and report", True),
    "crossval": Command("crossval:crossval_command", "fit and test every fold of a protocol, e.g. each speaker", True),
    "evaluate": Command("evaluate:evaluate", "score the predictions of a run again"),
    "compare": Command("compare:compare", "paired bootstrap between two runs on the same corpus"),
    "predict": Command("predict:predict", "label new dialogues from a CSV or JSON Lines file"),
    "attention": Command("attention:attention", "draw what the encoders attend to inside an utterance"),
    "data describe": Command("data:data_describe", "counts per split, label, speaker and length"),
    "data check": Command("data:data_check", "validate a corpus; every bad row in one message"),
    "data download": Command("data:data_download", "fetch a public corpus, with progress and checksum"),
    "features encode": Command("features:features_encode", "encode a corpus into the feature store; resumable"),
    "features list": Command("feature_store:features_list", "list what lies in the feature store"),
    "features verify": Command("feature_store:features_verify", "check the feature store; set broken shards aside"),
    "features prune": Command("feature_store:features_prune", "delete from the feature store what is no longer needed"),
    "convert-pickle": Command(
        "convert_pickle:convert_pickle", "feature pickles of the field to parquet or safetensors"
    ),
    "crossfit": Command("crossfit:crossfit", "features by models that were not trained on the dialogue", True),
    "encoders": Command("listings:encoders", "list utterance encoders"),
    "models": Command("listings:models", "list dialogue models"),
    "presets": Command("listings:presets", "list run presets"),
    "published": Command("listings:published", "list the numbers that the documents of E1 to E4 print"),
    "presets show": Command("listings:presets_show", "print a preset as YAML"),
}

Handler = Callable[[Sequence[str]], int | None]


def usage() -> str:
    """The text of ``dialogue-ser --help``."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    head = "usage: dialogue-ser COMMAND [arguments]\n\nEmotion recognition in conversation.\n\ncommands:\n"
    tail = (
        "\n\n'dialogue-ser COMMAND --help' explains one command; start with 'dialogue-ser train --preset quickstart'."
    )
    return head + "\n".join(lines) + tail


def find_command(tokens: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Command name (one or two words) and the tokens after it.

    Raises:
        ConfigError: no such command; names the nearest one.

    >>> find_command(["presets", "show", "quickstart"])
    ('presets show', ['quickstart'])
    """
    two_words = " ".join(tokens[:2])
    if two_words in COMMANDS:
        return two_words, tokens[2:]
    if tokens[0] in COMMANDS:
        return tokens[0], tokens[1:]
    group = [name for name in COMMANDS if name.startswith(f"{tokens[0]} ")]
    if group:
        raise ConfigError(unknown_name("command", two_words, group))
    raise ConfigError(unknown_name("command", tokens[0], {name.split()[0] for name in COMMANDS}))


def run(tokens: Sequence[str]) -> int:
    """Run one command; exit status 0 unless it returns another.

    Raises:
        DialogueSerError: whatever the user can mend.
        SystemExit: after ``--help``.
    """
    if not tokens or tokens[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if tokens[0] == "--version":
        print(import_module("dialogue_ser").__version__)
        return 0
    name, rest = find_command(tokens)
    command = COMMANDS[name]
    module, _, function_name = command.place.partition(":")
    function = getattr(import_module(f"dialogue_ser.cli.commands.{module}"), function_name)
    if command.takes_tokens:
        status: int | None = function(rest)
    else:
        from dialogue_ser.cli.arguments import call_with_arguments

        status = call_with_arguments(function, rest, prog=f"dialogue-ser {name}")
    return status or 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``dialogue-ser``.

    Returns:
        0; 2 after an error the user can mend (printed to stderr); 130 after Ctrl-C; 141 when the reader of a pipe left.
    """
    tokens = list(sys.argv[1:] if argv is None else argv)
    try:
        return run(tokens)
    except DialogueSerError as error:
        for problem in error.problems or (str(error),):
            print(f"error: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # what is still buffered has no reader either
        return 141
    except OSError as error:  # a full disk, a folder that may not be written, a name that is too long
        if error.strerror is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        mend = "check the path, its permissions and the space that is left"
        print(f"error: {where}{error.strerror}; {mend}", file=sys.stderr)
        return 2
    except SystemExit as request:
        return request.code if isinstance(request.code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
