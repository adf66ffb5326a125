"""What a trained system reads of dialogues it is given: one table per modality, from its fitted pipelines."""

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
    """Model-ready arrays of every modality; a modality that no turn has is masked, with a warning.

    Args:
        pipelines: modality → fitted pipeline.
        dialogues: whatever is to be labelled.
        files: modality → file of precomputed features of these dialogues, keyed by utterance id.

    Raises:
        ConfigError: a file for a modality that the model does not read, or computes itself.
        FeatureError: no turn has anything that the model reads.
        MediaError: audio that cannot be decoded, unless the model masks it.
    """
    files = files or {}
    unknown = [name for name in files if name not in pipelines]
    if unknown:
        raise ConfigError(*(unknown_name("modality", name, pipelines) for name in unknown))
    tables = {}
    for modality, pipeline in pipelines.items():
        chosen = _reading(pipeline, Path(files[modality])) if modality in files else pipeline
        try:
            tables[modality] = chosen.table(dialogues)
        except DialogueSerError as error:
            if pipeline.name != "precomputed" or modality in files:
                raise
            raise FeatureError(_why_precomputed(pipeline), *error.problems) from error
    n_turns = sum(map(len, dialogues))
    bare = [name for name, table in tables.items() if not any(turn.id in table.rows for turn in utterances(dialogues))]
    if len(bare) == len(tables):
        raise FeatureError(
            f"predict: none of the {n_turns} turns has {' or '.join(bare)}, which is all this model "
            "reads; add it to the turns"
        )
    for modality in bare:
        logger.warning("none of the %d turns has %s, which the model was trained with: it is masked", n_turns, modality)
    return tables


def _reading(pipeline: FeaturePipeline, file: Path) -> FeaturePipeline:
    """The same fitted pipeline over another file of precomputed features, keyed by utterance id."""
    if pipeline.name != "precomputed":
        raise ConfigError(
            f"features.{pipeline.modality}: {file} is of no use: {pipeline.name} computes this model's features itself"
        )
    state, arrays = pipeline.state()
    options = {**state["options"], "path": str(file), "key_pattern": "{key}"}
    return FeaturePipeline.from_state({**state, "options": options}, arrays)


def _why_precomputed(pipeline: FeaturePipeline) -> str:
    modality = pipeline.modality
    return (
        f"predict: this model's {modality} features are precomputed: they were read from "
        f"{pipeline.options.get('path')} and exist for its utterances only, nothing here computes them for new "
        f"dialogues; give a file of theirs (features={{'{modality}': FILE}}, --features.{modality} FILE), or train "
        "with an encoder that computes them"
    )
