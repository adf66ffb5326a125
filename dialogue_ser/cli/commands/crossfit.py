"""``dialogue-ser crossfit``: features of every utterance by a model that was not trained on its dialogue."""

from collections.abc import Sequence
from pathlib import Path

from dialogue_ser.cli.run_arguments import parse_train
from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config.files import dump_config

USAGE = """usage: dialogue-ser crossfit --preset NAME --out FILE.parquet [--folds 5]
                             [--content vectors|log-probs|values|both] [--work DIR] [flags of dialogue-ser train]

Compute features with models that were not trained on the same dialogues. The train dialogues are divided into folds.
For every fold, the model of the preset is trained on the other folds and then encodes this fold. One more model is
trained on all of train and encodes the other splits. The encoder "precomputed" reads the resulting file.
After an interruption, run the same command again: it continues.

  --preset NAME   preset of the model that is trained; all flags of dialogue-ser train are allowed
  --trust_code    allow code that the files of --config name. It is run, so allow only code that you trust
  --out FILE      file of the features, .parquet or .safetensors
  --folds N       number of folds (default: 5). With more folds, each model learns from more dialogues, but there are
                  more models to train
  --content WHAT  what the file contains: vectors of the encoders; the model's predictions, which are log-probs (of
                  classes) or values (of a regression); or both (default: vectors)
  --work DIR      folder for the runs that train the models (default: NAME.folds next to the file NAME.parquet)"""
_OWN = ("--folds", "--out", "--content", "--work")


def crossfit(tokens: Sequence[str]) -> int:
    """Compute the features as the flags say, then print where they are.

    Args:
        tokens: the tokens after ``dialogue-ser crossfit``.

    Returns:
        exit status 0.

    Raises:
        DialogueSerError: an error that the user can correct.
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
        raise ConfigError("crossfit: leave --resume out; the same command continues where it stopped")
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
    """Return the flags of ``crossfit`` itself, and the tokens for the parser of ``train``.

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
            raise ConfigError(f"{name}: a value is missing; give it after the flag")
        own[name] = found
    return own, rest
