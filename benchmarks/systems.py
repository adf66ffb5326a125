"""The rows of the MELD table: the preset, the changes to it, and the number that the EmotionRNN document prints."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Group = Literal[
    "emotion-rnn", "dialogue-rnn", "speaker-blind", "sentiment", "source", "ablation", "finetuned", "emobank"
]
ATTENTION = ("simple", "matching")
# EmotionRNN's report (Pathak, Anand and Mahtolia 2023), Table 2: (accuracy, weighted F1) on MELD test.
PUBLISHED = {
    "AudioSimple": (0.2498, 0.2703),
    "AudioMatching": (0.2789, 0.3015),
    "TextSimple": (0.5207, 0.5640),
    "TextMatching": (0.5241, 0.5273),
    "AudioTextSimple": (0.5195, 0.5164),
    "AudioTextMatching": (0.5337, 0.5420),
}


@dataclass(frozen=True, kw_only=True)
class System:
    """One trained row of the table.

    Args:
        key: name of its folder and of its entry in the results.
        variant: e.g. TextMatching, or the model's name.
        features: what it reads, in words.
        preset: run preset.
        overrides: dotted changes to the preset.
        group: where it stands in the table.
        published: (accuracy, weighted F1) EmotionRNN's report printed for this variant.
    """

    key: str
    variant: str
    features: str
    preset: str
    group: Group
    overrides: Mapping[str, Any] = field(default_factory=dict)
    published: tuple[float, float] | None = None


def _variants(prefix: str, modality: str, features: str, preset: str) -> list[System]:
    return [
        System(
            key=f"{prefix}-{attention}",
            variant=f"{modality}{attention.capitalize()}",
            features=features,
            preset=preset,
            group="emotion-rnn",
            overrides={"model.options.attention": attention},
            published=PUBLISHED[f"{modality}{attention.capitalize()}"],
        )
        for attention in ATTENTION
    ]


def _source(modality: str, features: str) -> list[System]:
    name = "".join(word.capitalize() for word in modality.split("-"))
    return [
        System(
            key=f"source-{modality}-{attention}",
            variant=f"{name}{attention.capitalize()}",
            features=features,
            preset=f"source-emotion-rnn-{modality}-{attention}",
            group="source",
            published=PUBLISHED[f"{name}{attention.capitalize()}"],
        )
        for attention in ATTENTION
    ]


def _blind(key: str, features: str, preset: str, options: Mapping[str, Any]) -> System:
    """The tuned preset with the speaker-blind BiGRU instead of EmotionRNN: same features, same optimiser."""
    return System(
        key=f"bigru-{key}",
        variant="speaker-blind BiGRU",
        features=features,
        preset=preset,
        group="speaker-blind",
        overrides={"model.name": "bigru", "model.options": dict(options)},
    )


def _dialogue_rnn(key: str, variant: str, preset: str) -> System:
    """The tuned text preset with DialogueRNN instead of EmotionRNN: same features, same sizes, same optimiser."""
    return System(key=key, variant=variant, features="MiniLM", preset=preset, group="dialogue-rnn")


def _ablation(key: str, change: str, overrides: Mapping[str, Any]) -> System:
    """The tuned text preset with one change."""
    return System(
        key=f"ablation-{key}",
        variant=change,
        features="MiniLM",
        preset="meld-text",
        group="ablation",
        overrides=overrides,
    )


SYSTEMS: tuple[System, ...] = (
    *_variants("audio", "Audio", "Praat", "meld-audio"),
    *_variants("textcnn", "Text", "TextCNN", "meld-textcnn"),
    *_variants("text", "Text", "MiniLM", "meld-text"),
    *_variants("audio-textcnn", "AudioText", "Praat + TextCNN", "meld-audio-textcnn"),
    *_variants("audio-text", "AudioText", "Praat + MiniLM", "meld-audio-text"),
    _dialogue_rnn("dialogue-rnn-text", "DialogueRNN", "meld-text-dialogue-rnn"),
    _dialogue_rnn("dialogue-rnn-text-listeners", "DialogueRNN, listeners", "meld-text-dialogue-rnn-listeners"),
    _blind("audio", "Praat", "meld-audio", {"hidden_dim": 64, "dropout": 0.3, "input_dropout": 0.1}),
    _blind("text", "MiniLM", "meld-text", {"projection": {"text": 128}, "dropout": 0.4, "input_dropout": 0.5}),
    _blind(
        "audio-text",
        "Praat + MiniLM",
        "meld-audio-text",
        {"projection": {"audio": 32, "text": 128}, "dropout": 0.4, "input_dropout": 0.4},
    ),
    System(
        key="sentiment-text-matching",
        variant="TextMatching, sentiment",
        features="MiniLM",
        preset="meld-text",
        group="sentiment",
        overrides={"data.labels": "sentiment"},
    ),
    _ablation("last-layer", "last layer of MiniLM alone", {"features.text.options.layers": [-1]}),
    _ablation("no-projection", "features straight into the GRUs", {"model.options.projection": {}}),
    _ablation("no-class-weights", "no class weights", {"loss.class_weights": "none"}),
    _ablation("hold", "listeners hold their states", {"model.options.listeners": "hold"}),
    _ablation("causal", "reads forwards only", {"model.options.causal": True}),
    _ablation("shortcut", "head sees [ē; x]", {"model.options.head_input": "emotion+turn"}),
    *_source("audio", "Praat"),
    *_source("text", "TextCNN"),
    *_source("audio-text", "Praat + TextCNN"),
)
