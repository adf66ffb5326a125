"""``dialogue-ser ensemble RUN RUN… --out DIR``."""

from collections.abc import Sequence

from dialogue_ser.cli.arguments import new_parser, parse
from dialogue_ser.cli.trust_flags import trust_of

DESCRIPTION = """Average the predictions of finished runs, and join their models into one.

The runs may differ in their seeds, systems, features and encoders. They must have predicted the same turns of one
corpus, for one task. The result is a run directory: with predictions, scores, a report and a model that predicts. The
runs are copied into it and stay as they are."""


def ensemble_command(tokens: Sequence[str]) -> int:
    """Run the command with the tokens after its name.

    Raises:
        ConfigError: a flag or a run is missing, or the output folder is not empty.
        DialogueSerError: the runs cannot be averaged; the error has every reason.
    """
    parser = new_parser("dialogue-ser ensemble", DESCRIPTION)
    parser.add_argument("runs", nargs="+", type=str, metavar="RUN", help="run directories, at least two")
    parser.add_argument("--out", required=True, type=str, help="folder to write; it must not exist, or be empty")
    parser.add_argument(
        "--trust_code",
        type=bool,
        default=False,
        help="allow models, encoders or metrics of the runs that are your own code; loading them runs that code",
    )
    values = parse(parser, _runs_last([token.replace("--trust-code", "--trust_code") for token in tokens]))
    from dialogue_ser.cli.commands.train import finish
    from dialogue_ser.runs.run_files import RunFiles
    from dialogue_ser.training.average_runs import average_runs

    folder = average_runs(values.runs, values.out, trust_code=trust_of(tokens))
    report = finish(folder, RunFiles(folder).config.get("metrics") or ())
    print(f"run:    {folder}\nreport: {report}\nuse it: dialogue-ser predict {folder} INPUT.csv")
    return 0


def _runs_last(tokens: Sequence[str]) -> list[str]:
    """Move the runs behind the flags, because argparse takes them from one place only.

    >>> _runs_last(["a", "--out", "c", "b", "--trust_code"])
    ['--out', 'c', '--trust_code', 'a', 'b']
    """
    flags: list[str] = []
    runs: list[str] = []
    for index, token in enumerate(tokens):
        is_value = index > 0 and tokens[index - 1] == "--out"
        is_switch_value = index > 0 and tokens[index - 1] == "--trust_code" and token.lower() in ("true", "false")
        (flags if token.startswith("-") or is_value or is_switch_value else runs).append(token)
    return [*flags, *runs]
