"""Reduce any run to a small one on the bundled sample, to see that it works without its corpus and its networks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import chain, islice
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import Any, Literal

from dialogue_ser.corpus.cut import CutConfig
from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import VAD, Corpus, Dialogue, Utterance, utterances
from dialogue_ser.errors import ConfigError
from dialogue_ser.tasks import find_task
from dialogue_ser.training.config.run_config import FeatureConfig, RunConfig

View = Literal["dialogues", "utterances"]
#: Split → number of its first dialogues that are used.
N_DIALOGUES: Mapping[str, int] = {"train": 10, "dev": 4, "test": 4}
# Made-up sessions for a corpus of single utterances. Every protocol works with three; session-5 tests on number 5.
SESSIONS = ("1", "3", "5")
GENDERS = ("F", "M")  # the made-up speakers of each session
_EVERY_NTH_TURN = 2  # a corpus of single utterances needs only every second turn
# Encoders that run a pretrained text or speech network. A tiny random network takes its place.
_TEXT_NETWORKS, _SPEECH_NETWORKS = ("hf-text", "transformer"), ("hf-audio",)
#: Encoder → options that make it small.
SMALL_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "alexnet": {"size": 64, "width": 0.0625},
    "vgg": {"widths": [4, 4, 8, 8, 8], "linear_dims": [16, 16]},
}
#: Dimensions of the tiny networks.
TINY_DIM = 16
_LAYERS = 12  # layers of the tiny networks, so that options which choose layers of base models still work


def smoke_config(config: RunConfig, view: View, folder: Path) -> RunConfig:
    """Return the configuration of a run at reduced size.

    It has one epoch and at most two members, and it uses tiny networks. The encoders, the model, the loss and the
    optimizer stay the same, except for the sizes in ``SMALL_OPTIONS``. ``precomputed`` features belong to a corpus, so
    they become openSMILE functionals, or for text the features of a tiny network. The corpus is :func:`smoke_corpus`;
    the caller gives it to ``train`` or ``cross_validate``.

    Args:
        config: configuration at full size.
        view: ``dialogues`` with train, dev and test, or single ``utterances`` for the protocols of ``crossval``.
        folder: folder into which the tiny networks are written.

    Raises:
        ConfigError: the run has no modality.
    """
    if not config.features:
        raise ConfigError("features: there is no modality; give at least one, e.g. --features.audio.encoder opensmile")
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
    """Return the same configuration without augmentation."""
    features = {
        name: replace(feature, augment=replace(feature.augment, copies=0)) for name, feature in config.features.items()
    }
    return replace(config, features=features)


def smoke_corpus(view: View, dimensions: Sequence[str] = ()) -> Corpus:
    """Return the first dialogues of each split of the sample, or every second turn of them as single utterances.

    For ``utterances`` each turn is a separate dialogue in the split ``all``. The turns get made-up speakers, three
    sessions of two speakers each, and half of them count as improvised, as in corpora of acted speech.

    Args:
        view: ``dialogues`` or ``utterances``.
        dimensions: dimensions of a regression. The sample has no values, so each emotion gets a made-up value in every
            dimension.
    """
    whole = replace(_sample(), dimensions=tuple(dimensions))
    splits = {name: _with_values(whole, whole.split(name)[:n]) for name, n in N_DIALOGUES.items()}
    if view == "dialogues":
        return replace(whole, splits=splits)
    every_turn = utterances([*chain(*splits.values())])
    turns = [_with_made_up_speaker(turn, i) for i, turn in enumerate(islice(every_turn, 0, None, _EVERY_NTH_TURN))]
    return replace(whole, splits={"all": tuple(Dialogue(turn.id, (turn,)) for turn in turns)})


@cache
def _sample() -> Corpus:
    """Return the bundled sample. It is read once, because a dry run needs it several times."""
    return read_corpus("sample")


def smoke_dimensions(config: RunConfig) -> tuple[str, ...]:
    """Return the dimensions that the small corpus needs for a run; none for a classification."""
    return () if find_task(config.task).gives_probabilities else config.data.targets or VAD


def smoke_view(config: RunConfig, view: View) -> View:
    """Return the view for a run: ``dialogues`` for the protocol own-splits, as single utterances have no splits."""
    return "dialogues" if config.data.cut.protocol == "own-splits" else view


def _with_values(corpus: Corpus, dialogues: Sequence[Dialogue]) -> tuple[Dialogue, ...]:
    """Return the dialogues with made-up values from 1 to 5 in each dimension of the corpus.

    The value depends on the number of the turn's emotion in the label set and on the dimension.
    """
    label_set = corpus.label_set
    assert label_set is not None

    def with_values(turn: Utterance) -> Utterance:
        number = 0 if turn.label is None else label_set.index(turn.label)
        values = {
            name: 1 + 4 * ((number + 1) * (d + 1) % len(label_set)) / (len(label_set) - 1)
            for d, name in enumerate(corpus.dimensions)
        }
        return replace(turn, targets=values if turn.label is not None else {})

    if not corpus.dimensions:
        return tuple(dialogues)
    return tuple(Dialogue(dialogue.id, tuple(map(with_values, dialogue))) for dialogue in dialogues)


def _with_made_up_speaker(turn: Utterance, number: int) -> Utterance:
    """Return a turn with a made-up session, speaker and scenario; they follow from its number in the corpus."""
    gender = GENDERS[number % len(GENDERS)]
    session = SESSIONS[number // len(GENDERS) % len(SESSIONS)]
    scenario = "improvised" if number // (len(GENDERS) * len(SESSIONS)) % 2 else "scripted"
    attributes = {"session": session, "scenario": scenario, "gender": gender}
    name = turn.id.replace("/", "_")
    return replace(turn, id=f"all/{name}", speaker=f"Ses0{session}{gender}", attributes=attributes)


def _small_feature(modality: str, feature: FeatureConfig, folder: Path) -> FeatureConfig:
    """Return the configuration of one modality with a small network; a tiny network is written into the folder."""
    options = {**feature.options, **SMALL_OPTIONS.get(feature.encoder, {})}
    small = replace(feature, augment=replace(feature.augment, copies=min(feature.augment.copies, 1)))
    if feature.encoder == "precomputed":
        if modality == "text":
            return replace(small, encoder="hf-text", options={"model": str(tiny_text_network(folder / "text"))})
        return replace(small, encoder="opensmile", options={})
    frames_encoder = options.get("frames")  # the frozen encoder whose frames a trained encoder reads
    if feature.encoder in _TEXT_NETWORKS:
        options["model"] = str(tiny_text_network(folder / "text"))
    elif feature.encoder in _SPEECH_NETWORKS:
        options["model"] = str(tiny_speech_network(folder / "speech"))
    elif frames_encoder in _TEXT_NETWORKS or frames_encoder in _SPEECH_NETWORKS:
        make_network = tiny_text_network if frames_encoder in _TEXT_NETWORKS else tiny_speech_network
        frames_options = dict(options.get("frames_options") or {})
        options["frames_options"] = frames_options | {"model": str(make_network(folder / str(frames_encoder)))}
    return replace(small, options=options)


def tiny_text_network(folder: Path) -> Path:
    """Write a BERT with 12 layers, 16 dimensions and random weights; its vocabulary is the words of the sample.

    Returns:
        the folder.
    """
    return _copy_of(_made_once(_write_text_network), folder)


def _write_text_network(folder: Path) -> None:
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    texts = [turn.text or "" for some in _sample().splits.values() for turn in utterances(some)]
    vocabulary = _numbered([*special.values(), *" ".join(texts).lower().split()])
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=special["unk_token"]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast: Any = PreTrainedTokenizerFast
    fast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    with torch.random.fork_rng(), _no_progress_bars():
        torch.manual_seed(0)
        sizes: dict[str, Any] = {"hidden_size": TINY_DIM, "num_attention_heads": 2, "intermediate_size": 32}
        BertModel(BertConfig(vocab_size=len(vocabulary), num_hidden_layers=_LAYERS, **sizes)).save_pretrained(folder)


def tiny_speech_network(folder: Path) -> Path:
    """Write a wav2vec2 with 12 layers, 16 dimensions and random weights.

    Returns:
        the folder.
    """
    return _copy_of(_made_once(_write_speech_network), folder)


def _write_speech_network(folder: Path) -> None:
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    extractor: Any = Wav2Vec2FeatureExtractor
    extractor(return_attention_mask=True).save_pretrained(folder)
    sizes: dict[str, Any] = {
        "hidden_size": TINY_DIM,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "num_hidden_layers": _LAYERS,
    }
    convolutions: dict[str, Any] = {"conv_dim": (8, 8, 8), "conv_kernel": (10, 8, 4), "conv_stride": (5, 8, 8)}
    positions: dict[str, Any] = {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}
    with torch.random.fork_rng(), _no_progress_bars():
        torch.manual_seed(0)
        config = Wav2Vec2Config(**sizes, **convolutions, **positions, feat_extract_norm="layer")
        Wav2Vec2Model(config).save_pretrained(folder)


@cache
def _made_once(write: Callable[[Path], None]) -> "TemporaryDirectory[str]":
    """Return a folder with a network. A process writes each network once; the folder is deleted when it ends."""
    folder = TemporaryDirectory(prefix="dialogue-ser-network-")
    write(Path(folder.name))
    return folder


def _copy_of(made: "TemporaryDirectory[str]", folder: Path) -> Path:
    """Copy a network into the folder, unless one is there; return the folder."""
    if not (folder / "config.json").exists():
        copytree(made.name, folder, dirs_exist_ok=True)
    return folder


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Switch off transformers' progress bars while the context is open."""
    from transformers.utils import logging

    settings: Any = logging
    were_shown = settings.is_progress_bar_enabled()
    settings.disable_progress_bar()
    try:
        yield
    finally:
        if were_shown:
            settings.enable_progress_bar()


def _numbered(words: Sequence[str]) -> dict[str, int]:
    """Return each word and its number, in the order of first appearance."""
    return {word: i for i, word in enumerate(dict.fromkeys(words))}
