"""Features of new dialogues for a trained system: its fitted pipelines make one table per modality."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.errors import ConfigError, DialogueSerError, FeatureError, unknown_name
from dialogue_ser.features.core.api import FeatureTable
from dialogue_ser.inputs.pipeline import FeaturePipeline

logger = logging.getLogger(__name__)


def feature_tables(
    pipelines: Mapping[str, FeaturePipeline],
    dialogues: Sequence[Dialogue],
    files: Mapping[str, str | Path] | None = None,
) -> dict[str, FeatureTable]:
    """Return modality → the features that the model reads. A modality that no turn has is absent, with a warning.

    Args:
        pipelines: modality → fitted pipeline.
        dialogues: dialogues to label.
        files: modality → file with precomputed features of these dialogues, keyed by utterance id.

    Raises:
        ConfigError: a file is given for a modality that the model does not read, or whose features it computes itself.
        FeatureError: no turn has a modality that the model reads.
        MediaError: audio cannot be decoded, and the model does not mask such audio.
    """
    files = files or {}
    unknown = [name for name in files if name not in pipelines]
    if unknown:
        raise ConfigError(*(unknown_name("modality", name, pipelines) for name in unknown))
    tables = {}
    for modality, pipeline in pipelines.items():
        chosen = _with_file(pipeline, Path(files[modality])) if modality in files else pipeline
        try:
            tables[modality] = chosen.table(dialogues)
            if note := chosen.note_on(dialogues):
                logger.warning("%s: %s", modality, note)
        except DialogueSerError as error:
            if pipeline.name != "precomputed" or modality in files:
                raise
            raise FeatureError(_no_precomputed_features(modality, pipeline), *error.problems) from error
    n_turns = sum(map(len, dialogues))
    empty = [name for name, table in tables.items() if not any(turn.id in table.rows for turn in utterances(dialogues))]
    if len(empty) == len(tables):
        raise FeatureError(
            f"predict: none of the {n_turns} turns has {' or '.join(empty)}, and this model reads nothing else; "
            "add it to the turns"
        )
    for modality in empty:
        logger.warning(
            "none of the %d turns has %s, which the model was trained with; the model labels them without it",
            n_turns,
            modality,
        )
    return tables


def _with_file(pipeline: FeaturePipeline, file: Path) -> FeaturePipeline:
    """Return the same fitted pipeline with another file of precomputed features, keyed by utterance id."""
    if pipeline.name != "precomputed":
        raise ConfigError(
            f"features.{pipeline.modality}: {file} cannot be used, because {pipeline.name} computes this model's "
            "features itself; leave the file out"
        )
    state, arrays = pipeline.state()
    options = {**state["options"], "path": str(file), "key_pattern": "{key}"}
    return FeaturePipeline.from_state({**state, "options": options}, arrays)


def _no_precomputed_features(modality: str, pipeline: FeaturePipeline) -> str:
    return (
        f"predict: this model's {modality} features are precomputed: they were read from "
        f"{pipeline.options.get('path')}, which has no features of these dialogues, and the model cannot compute them; "
        f"give a file with features of these dialogues (features={{'{modality}': FILE}}, --features.{modality} FILE), "
        "or train with an encoder that computes them"
    )
