"""Add augmented variants of the training turns to the feature tables of a run. Dev and test have no variants."""

from collections.abc import Mapping, Sequence

from dialogue_ser.corpus.schema import Dialogue
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.audio.augmentation import replace_by_variants, with_variant_rows
from dialogue_ser.features.core.api import Array, FeatureTable
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.training.config.run_config import RunConfig


def max_copies(config: RunConfig) -> int:
    """Return the number of variants per training utterance, the largest of all modalities; 0 = no augmentation."""
    return max((feature.augment.copies for feature in config.features.values()), default=0)


def refuse_augmentation_without_audio(config: RunConfig, pipelines: Mapping[str, FeaturePipeline]) -> None:
    """Refuse augmentation of modalities whose encoder does not decode the sound: it would change nothing.

    Raises:
        ConfigError: there is such a modality. The error names all of them.
    """
    problems = [
        f"features.{modality}.augment: encoder {feature.encoder!r} does not decode the utterances' sound, so there is "
        f"nothing to augment; set --features.{modality}.augment.copies 0"
        for modality, feature in config.features.items()
        if feature.augment.copies and not pipelines[modality].reads_audio
    ]
    if problems:
        raise ConfigError(*problems)


def add_variants(
    config: RunConfig,
    pipelines: Mapping[str, FeaturePipeline],
    tables: Mapping[str, FeatureTable],
    train: Sequence[Dialogue],
    store: FeatureStore,
) -> dict[str, FeatureTable]:
    """Return the tables with an additional row for every variant of every training turn.

    The transforms are not fitted again: their statistics come from the original turns.

    Args:
        config: configuration of the run; says which modalities are augmented and how often.
        pipelines: modality → fitted pipeline.
        tables: modality → features of all splits.
        train: dialogues to augment.
        store: feature store that keeps the variants' features, each with its own key.

    Raises:
        MediaError: a variant cannot be made. If bad media are masked, the row of the original turn is used instead.
    """
    n_copies = max_copies(config)
    if not n_copies:
        return dict(tables)
    extended = {}
    for modality, table in tables.items():
        augmentation, pipeline = config.features[modality].augment, pipelines[modality]
        rows: dict[str, Array] = {}
        for copy in range(1, augmentation.copies + 1):
            rows.update(pipeline.table(replace_by_variants(train, augmentation, copy), store).rows)
        complete = with_variant_rows(table.rows, rows, train, n_copies)
        extended[modality] = FeatureTable(spec=table.spec, rows=complete)
    return extended
