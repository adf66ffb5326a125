"""Refuse public weights that were trained on a corpus's test split: a score on it would mean nothing (docs/data.md)."""

from collections.abc import Mapping

from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config.run_config import RunConfig

#: Name on the hub → corpora on whose train, dev and test splits the weights were trained. Copies in a local folder
#: cannot be recognised. For EmoBERTa, a report says so without naming one of its two uploads, so both are refused.
SAW_TEST: Mapping[str, tuple[str, ...]] = {
    "tae898/emoberta-base": ("meld", "iemocap"),
    "tae898/emoberta-large": ("meld", "iemocap"),
}


def refuse_leaked_weights(config: RunConfig, corpus: str) -> None:
    """Refuse encoders whose weights were trained on this corpus's test split.

    Raises:
        ConfigError: a modality has such an encoder. The error names all of them.
    """
    problems = []
    for modality, feature in config.features.items():
        all_options = (feature.options, feature.options.get("frames_options") or {})
        models = {str(options.get("model", "")).lower() for options in all_options if isinstance(options, Mapping)}
        problems += [
            f"features.{modality}: {model} was trained on all splits of {corpus}, test included, so a score on test "
            "would mean nothing; choose another model, e.g. roberta-base"
            for model in sorted(models)
            if corpus in SAW_TEST.get(model, ())
        ]
    if problems:
        raise ConfigError(*problems)
