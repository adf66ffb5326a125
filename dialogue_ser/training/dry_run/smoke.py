"""Any run at reduced size on the bundled sample, so that it can be seen to work without its corpus and its networks."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

from dialogue_ser.corpus.cut import CutConfig
from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import VAD, Corpus, Dialogue, Utterance, utterances
from dialogue_ser.errors import ConfigError
from dialogue_ser.tasks import find_task
from dialogue_ser.training.config.run_config import FeatureConfig, RunConfig

View = Literal["dialogues", "utterances"]
#: Dialogues of each split that are read; as one corpus of utterances their turns are dealt to three sessions.
N_DIALOGUES: Mapping[str, int] = {"train": 10, "dev": 4, "test": 4}
SESSIONS = ("1", "3", "5")  # as few as every protocol can do with; session-5 tests on that one
_EVERY = 2  # every second turn is enough, as one corpus of utterances
# Encoders that run a pretrained network: what stands in its place where it is not on this machine.
_TEXT_NETWORKS, _SPEECH_NETWORKS = ("hf-text", "transformer"), ("hf-audio",)
#: Options that make large encoders small.
SMALLER: Mapping[str, Mapping[str, Any]] = {
    "alexnet": {"size": 64, "width": 0.0625},
    "vgg": {"widths": [4, 4, 8, 8, 8], "linear_dims": [16, 16]},
}
_LAYERS = 12  # of the networks that stand in, so that layers of base models can be asked of them


def smoke_config(config: RunConfig, view: View, folder: Path) -> RunConfig:
    """The same run on a small part of the bundled sample, one epoch and two members at most, with tiny networks.

    Encoder, model, loss and optimizer stay as they are, but for the sizes in SMALLER. ``precomputed`` features, which
    belong to a corpus, become openSMILE functionals (or, as text, those of a tiny network). The corpus itself is
    :func:`smoke_corpus`, which ``train`` and ``cross_validate`` are given.

    Args:
        config: the run.
        view: ``dialogues`` with train, dev and test, or single ``utterances`` for the protocols of ``crossval``.
        folder: where the tiny networks are put.

    Raises:
        ConfigError: a run without a modality.
    """
    if not config.features:
        raise ConfigError("features: no modality; give at least one, e.g. --features.audio.encoder opensmile")
    data = replace(
        config.data,
        reader="sample",
        path=None,
        labels="emotion",
        options={},
        train="train",
        dev="dev",
        cut=config.data.cut if view == "utterances" or config.data.cut.protocol == "own-splits" else CutConfig(),
    )
    training = replace(
        config.training,
        begin_from={},
        epochs=1,
        batch_size=min(config.training.batch_size, 8),
        ensemble=min(config.training.ensemble, 2),
        device="cpu",
    )
    features = {name: _small_feature(name, feature, folder) for name, feature in config.features.items()}
    return replace(config, name=f"smoke-{config.name}", data=data, features=features, training=training)


def without_augmentation(config: RunConfig) -> RunConfig:
    """The same run on the originals alone."""
    features = {
        name: replace(feature, augment=replace(feature.augment, copies=0)) for name, feature in config.features.items()
    }
    return replace(config, features=features)


def smoke_corpus(view: View, dimensions: Sequence[str] = ()) -> Corpus:
    """The first dialogues of each split of the sample, or every second turn of them.

    As ``utterances`` the turns are one-turn dialogues in the split ``all``, dealt in turn to three sessions of two
    speakers each (whoever spoke them), half of them improvised, as corpora of acted speech are laid out.

    Args:
        view: dialogues or utterances.
        dimensions: of a regression; every emotion has a made-up value of its own in each, as the sample has none.
    """
    whole = replace(read_corpus("sample"), dimensions=tuple(dimensions))
    splits = {name: _valued(whole, whole.split(name)[:n]) for name, n in N_DIALOGUES.items()}
    if view == "dialogues":
        return replace(whole, splits=splits)
    every = utterances([*chain(*splits.values())])
    turns = [_dealt(turn, i) for i, turn in enumerate(islice(every, 0, None, _EVERY))]
    return replace(whole, splits={"all": tuple(Dialogue(turn.id, (turn,)) for turn in turns)})


def smoke_dimensions(config: RunConfig) -> tuple[str, ...]:
    """The dimensions that the small corpus needs for a run; none where it tells classes apart."""
    return () if find_task(config.task).gives_probabilities else config.data.targets or VAD


def smoke_view(config: RunConfig, view: View) -> View:
    """``dialogues`` where a cross-validation takes the corpus's own splits, which the utterances do not have."""
    return "dialogues" if config.data.cut.protocol == "own-splits" else view


def _valued(corpus: Corpus, dialogues: Sequence[Dialogue]) -> tuple[Dialogue, ...]:
    """The dialogues with values from 1 to 5, by the place of the emotion among the classes, dealt per dimension."""
    label_set = corpus.label_set
    assert label_set is not None

    def valued(turn: Utterance) -> Utterance:
        place = 0 if turn.label is None else label_set.index(turn.label)
        values = {
            name: 1 + 4 * ((place + 1) * (d + 1) % len(label_set)) / (len(label_set) - 1)
            for d, name in enumerate(corpus.dimensions)
        }
        return replace(turn, targets=values if turn.label is not None else {})

    if not corpus.dimensions:
        return tuple(dialogues)
    return tuple(Dialogue(one.id, tuple(map(valued, one))) for one in dialogues)


def _dealt(turn: Utterance, place: int) -> Utterance:
    session = SESSIONS[place // 2 % len(SESSIONS)]
    gender = "FM"[place % 2]
    scenario = "improvised" if place // (2 * len(SESSIONS)) % 2 else "scripted"
    attributes = {"session": session, "scenario": scenario, "gender": gender}
    name = turn.id.replace("/", "_")
    return replace(turn, id=f"all/{name}", speaker=f"Ses0{session}{gender}", attributes=attributes)


def _small_feature(modality: str, feature: FeatureConfig, folder: Path) -> FeatureConfig:
    options = {**feature.options, **SMALLER.get(feature.encoder, {})}
    small = replace(feature, augment=replace(feature.augment, copies=min(feature.augment.copies, 1)))
    if feature.encoder == "precomputed":
        if modality == "text":
            return replace(small, encoder="hf-text", options={"model": str(tiny_text_network(folder / "text"))})
        return replace(small, encoder="opensmile", options={})
    inner = options.get("frames")  # a trained encoder over a frozen one's frames
    if feature.encoder in _TEXT_NETWORKS:
        options["model"] = str(tiny_text_network(folder / "text"))
    elif feature.encoder in _SPEECH_NETWORKS:
        options["model"] = str(tiny_speech_network(folder / "speech"))
    elif inner in _TEXT_NETWORKS or inner in _SPEECH_NETWORKS:
        network = tiny_text_network if inner in _TEXT_NETWORKS else tiny_speech_network
        own = dict(options.get("frames_options") or {})
        options["frames_options"] = own | {"model": str(network(folder / str(inner)))}
    return replace(small, options=options)


def tiny_text_network(folder: Path) -> Path:
    """A BERT of twelve layers and 16 dimensions with random weights that knows the sample's words."""
    if (folder / "config.json").exists():
        return folder
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    texts = [turn.text or "" for some in read_corpus("sample").splits.values() for turn in utterances(some)]
    vocabulary = _in_order([*special.values(), *" ".join(texts).lower().split()])
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=special["unk_token"]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast: Any = PreTrainedTokenizerFast
    fast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    with torch.random.fork_rng(), _quiet():
        torch.manual_seed(0)
        sizes: dict[str, Any] = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
        BertModel(BertConfig(vocab_size=len(vocabulary), num_hidden_layers=_LAYERS, **sizes)).save_pretrained(folder)
    return folder


def tiny_speech_network(folder: Path) -> Path:
    """A wav2vec2 of twelve layers and 16 dimensions with random weights."""
    if (folder / "config.json").exists():
        return folder
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    extractor: Any = Wav2Vec2FeatureExtractor
    extractor(return_attention_mask=True).save_pretrained(folder)
    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "num_hidden_layers": _LAYERS,
    }
    convolutions: dict[str, Any] = {"conv_dim": (8, 8, 8), "conv_kernel": (10, 8, 4), "conv_stride": (5, 8, 8)}
    positions: dict[str, Any] = {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}
    with torch.random.fork_rng(), _quiet():
        torch.manual_seed(0)
        config = Wav2Vec2Config(**sizes, **convolutions, **positions, feat_extract_norm="layer")
        Wav2Vec2Model(config).save_pretrained(folder)
    return folder


@contextmanager
def _quiet() -> Iterator[None]:
    """Weights are saved without transformers' progress bars."""
    from transformers.utils import logging

    bars: Any = logging
    were_shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if were_shown:
            bars.enable_progress_bar()


def _in_order(words: Sequence[str]) -> dict[str, int]:
    return {word: i for i, word in enumerate(dict.fromkeys(words))}
