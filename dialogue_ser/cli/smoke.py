"""``--smoke`` of ``train`` and ``crossval``: try a run at reduced size and print what it costs at full size."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dialogue_ser.cli.run_arguments import TrainRequest
from dialogue_ser.errors import ConfigError

if TYPE_CHECKING:
    from dialogue_ser.corpus.schema import Corpus
    from dialogue_ser.training.dry_run.smoke import View


def reduced(request: TrainRequest, view: "View") -> "tuple[TrainRequest, Corpus]":
    """Return a request at reduced size, in a temporary folder; print what the run costs at full size.

    Returns:
        the reduced request, and the small corpus for it.

    Raises:
        ConfigError: the request continues a run.
    """
    from dialogue_ser.training.data.prepare import load_data
    from dialogue_ser.training.dry_run.cost import cost_of
    from dialogue_ser.training.dry_run.smoke import (
        smoke_config,
        smoke_corpus,
        smoke_dimensions,
        smoke_view,
        without_augmentation,
    )

    if request.resume:
        raise ConfigError("--smoke: starts a new run; leave --resume out")
    folder = Path(tempfile.mkdtemp(prefix=f"dialogue-ser-smoke-{request.config.name}-"))
    networks = folder / "networks"
    view, dimensions = smoke_view(request.config, view), smoke_dimensions(request.config)
    config = smoke_config(request.config, view, networks)
    if config.crossval.estimator == "none":
        shapes = without_augmentation(smoke_config(request.config, "dialogues", networks))
        small = load_data(shapes, whole=smoke_corpus("dialogues", dimensions))
        print(f"full size: {cost_of(request.config, small, view)}")
    return replace(request, config=config, out=request.out or folder / "run"), smoke_corpus(view, dimensions)
