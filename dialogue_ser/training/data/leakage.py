"""Public weights that have seen a public corpus's test split: a score on it would mean nothing (docs/data.md)."""

from collections.abc import Mapping

from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config.run_config import RunConfig

#: Hub name → corpora whose train, dev and test it was trained on together. A copy in a folder cannot be recognised.
#: It is reported of EmoBERTa's weights. For which of the two uploads was not verified, so both are refused.
SAW_TEST: Mapping[str, tuple[str, ...]] = {
    "tae898/emoberta-base": ("meld", "iemocap"),
    "tae898/emoberta-large": ("meld", "iemocap"),
}


def refuse_leaked_weights(config: RunConfig, corpus: str) -> None:
    """Refuse encoders whose weights were trained on this corpus's test split.

    Raises:
        ConfigError: every such modality.
    """
    problems = []
    for modality, feature in config.features.items():
        named = (feature.options, feature.options.get("frames_options") or {})
        models = {str(options.get("model", "")).lower() for options in named if isinstance(options, Mapping)}
        problems += [
            f"features.{modality}: {model} was trained on all splits of {corpus}, test included: a score on it would "
            "mean nothing; choose another model, e.g. roberta-base"
            for model in sorted(models)
            if corpus in SAW_TEST.get(model, ())
        ]
    if problems:
        raise ConfigError(*problems)
