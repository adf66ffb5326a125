"""``dialogue-ser crossfit``: features of every utterance by a model that was not trained on its dialogue."""

from collections.abc import Sequence
from pathlib import Path

from dialogue_ser.cli.run_arguments import parse_train
from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config.files import dump_config

USAGE = """usage: dialogue-ser crossfit --preset NAME --out FILE.parquet [--folds 5]
                             [--content vectors|log-probs|values|both] [--work DIR] [flags of dialogue-ser train]

Fine-tunes the preset's model on all folds of the train dialogues but one, k times, and encodes the fold left out;
other splits are encoded by a model of all of train. Beside or instead of the encoders' vectors the file may hold what
the models say: log-probs of classes, or values of a regression. It is read by the encoder precomputed. Run the same
command again to go on after an interruption."""
_OWN = ("--folds", "--out", "--content", "--work")


def crossfit(tokens: Sequence[str]) -> int:
    """Cross-fit as the flags say, then say where the features are.

    Args:
        tokens: what follows ``dialogue-ser crossfit``.

    Returns:
        exit status 0.

    Raises:
        DialogueSerError: whatever the user can mend.
    """
    if any(token in ("-h", "--help") for token in tokens):
        print(USAGE)
        return 0
    own, rest = _split(tokens)
    if "--out" not in own:
        raise ConfigError("crossfit: --out FILE is missing; name a .parquet or .safetensors file for the features")
    try:
        n_folds = int(own.get("--folds", "5"))
    except ValueError:
        raise ConfigError(f"--folds: found {own['--folds']!r}, expected a whole number") from None
    request = parse_train(rest)
    if request.resume:
        raise ConfigError("crossfit: --resume is not needed; the same command goes on by itself")
    if request.print_config:
        print(dump_config(request.config), end="")
        return 0
    from dialogue_ser.evaluation.out_of_fold import cross_fit  # imports torch

    found = cross_fit(
        request.config,
        Path(own["--out"]),
        n_folds=n_folds,
        content=own.get("--content", "vectors"),
        work=Path(own["--work"]) if "--work" in own else None,
    )
    print(f"features: {found.file} ({found.n_rows} utterances, {found.dim} features)\nmanifest: {found.manifest}")
    print(f"use them: --features.text.encoder precomputed --features.text.options '{{path: {found.file}}}'")
    return 0


def _split(tokens: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Flags of its own, and those of ``train``.

    >>> _split(["--folds=3", "--preset", "x", "--out", "f.parquet"])
    ({'--folds': '3', '--out': 'f.parquet'}, ['--preset', 'x'])
    """
    own: dict[str, str] = {}
    rest: list[str] = []
    waiting = iter(tokens)
    for token in waiting:
        name, equals, value = token.partition("=")
        if name not in _OWN:
            rest.append(token)
            continue
        found = value if equals else next(waiting, None)
        if not found:
            raise ConfigError(f"{name}: found nothing, expected a value")
        own[name] = found
    return own, rest
