"""Augmented variants of the training turns in the tables of a run; dev and test have none."""

from collections.abc import Mapping, Sequence

from dialogue_ser.corpus.schema import Dialogue
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.audio.augmentation import variants, with_variant_rows
from dialogue_ser.features.core.api import Array, FeatureTable
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.training.config.run_config import RunConfig


def most_copies(config: RunConfig) -> int:
    """Variants per training utterance: as many as the modality with the most has; 0 = no augmentation."""
    return max((feature.augment.copies for feature in config.features.values()), default=0)


def refuse_augmentation_unheard(config: RunConfig, pipelines: Mapping[str, FeaturePipeline]) -> None:
    """Effects on the waveform would change nothing for an encoder that does not decode it.

    Raises:
        ConfigError: every such modality.
    """
    problems = [
        f"features.{modality}.augment: encoder {feature.encoder!r} does not decode the utterances' sound, so there is "
        f"nothing to augment; drop it (--features.{modality}.augment.copies 0)"
        for modality, feature in config.features.items()
        if feature.augment.copies and not pipelines[modality].reads_audio
    ]
    if problems:
        raise ConfigError(*problems)


def with_variants(
    config: RunConfig,
    pipelines: Mapping[str, FeaturePipeline],
    tables: Mapping[str, FeatureTable],
    train: Sequence[Dialogue],
    store: FeatureStore,
) -> dict[str, FeatureTable]:
    """The tables with a row for every variant of every training turn; statistics stay those of the originals.

    Args:
        config: says what is augmented and how often.
        pipelines: fitted.
        tables: of all splits.
        train: dialogues that are augmented.
        store: keeps the variants' features, each under its own key.

    Raises:
        MediaError: a variant that cannot be made, unless bad clips are masked: then the original stands in.
    """
    n_copies = most_copies(config)
    if not n_copies:
        return dict(tables)
    found = {}
    for modality, table in tables.items():
        augmentation, pipeline = config.features[modality].augment, pipelines[modality]
        rows: dict[str, Array] = {}
        for copy in range(1, augmentation.copies + 1):
            rows.update(pipeline.table(variants(train, augmentation, copy), store).rows)
        complete = with_variant_rows(table.rows, rows, train, n_copies)
        found[modality] = FeatureTable(spec=table.spec, rows=complete)
    return found
