"""Attention maps: which frames or tokens of an utterance a model's encoders look at, one map per attention head."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dialogue_ser.corpus.schema import Dialogue, Utterance, utterances
from dialogue_ser.encoders.base import TrainedEncoder
from dialogue_ser.encoders.turn import TurnEncoder
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.audio.decoding import decode_turn
from dialogue_ser.features.core.api import Array
from dialogue_ser.inference.feature_tables import feature_tables
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.models.api import AttendingEncoder, DialogueSystem
from dialogue_ser.models.ensemble import Ensemble

# Used only to measure the length of a clip. Any rate gives the same length.
_RATE_HZ = 16000


@dataclass(frozen=True, kw_only=True)
class AttentionMap:
    """How much each step of an utterance looks at each other step.

    Args:
        utterance_id: id of the utterance.
        modality: modality whose encoder has the attention.
        weights_HLL: float32 ``[heads, steps, steps]``. The row looks at the column, and each row sums to 1. A step is
            one frame or token, or several of them if the encoder's strides join them.
        names: name of each head, e.g. ``head 1``.
        step_seconds: time from one step to the next in seconds, exact to one frame. Step i is about
            ``i * step_seconds`` after the start of the utterance. None if the encoder reads no sound.
    """

    utterance_id: str
    modality: str
    weights_HLL: NDArray[np.float32]
    names: tuple[str, ...]
    step_seconds: float | None


def attention_maps(
    model: DialogueSystem,
    pipelines: Mapping[str, FeaturePipeline],
    dialogues: Sequence[Dialogue],
    utterance_ids: Collection[str] | None = None,
) -> list[AttentionMap]:
    """Return one map per utterance and modality with attention, ordered by utterance, then by modality.

    The maps of an ensemble are, for each input, those of the first member that has attention on it.

    Args:
        model: trained system.
        pipelines: modality → fitted pipeline.
        dialogues: whole dialogues, because encoders and transforms may look at neighbouring turns.
        utterance_ids: utterances to make maps of; None = all.

    Raises:
        ConfigError: the model has no attention over frames or tokens.
        FeatureError, MediaError: see :meth:`~dialogue_ser.inference.classifier.DialogueClassifier.predict`.
    """
    encoders = _attending_encoders(model)
    tables = feature_tables(pipelines, dialogues)
    wanted = [turn for turn in utterances(dialogues) if utterance_ids is None or turn.id in utterance_ids]
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        return [
            _map(turn, modality, encoder, pipelines[modality], tables[modality].rows[turn.id], device)
            for turn in wanted
            for modality, encoder in encoders.items()
            if turn.id in tables[modality].rows
        ]
    finally:
        model.train(was_training)


def _attending_encoders(model: DialogueSystem) -> dict[str, AttendingEncoder]:
    """Return modality → its first encoder that has attention."""
    found: dict[str, AttendingEncoder] = {}
    for modality, encoder in _all_attending_encoders(model):
        found.setdefault(modality, encoder)
    if not found:
        raise ConfigError(
            f"attention: no encoder of this model ({model.name}) has an attention over frames or tokens; train a model "
            "that has one, e.g. with --features.audio.encoder conv-attention, or the model fusion-attention"
        )
    return found


def _all_attending_encoders(model: DialogueSystem) -> Iterator[tuple[str, AttendingEncoder]]:
    if isinstance(model, Ensemble):
        for member, names in zip(model.members, model.names, strict=True):
            assert isinstance(member, DialogueSystem)
            yield from ((names[modality], encoder) for modality, encoder in _all_attending_encoders(member))
        return
    for module in model.modules():
        if isinstance(module, DialogueSystem):
            yield from module.attending_encoders().items()
        elif isinstance(module, TurnEncoder):
            for modality, encoder in module.encoders.items():
                if not isinstance(encoder, TrainedEncoder):
                    continue
                if type(encoder).attention_maps is not TrainedEncoder.attention_maps:
                    yield modality, encoder


@torch.inference_mode()
def _map(
    turn: Utterance,
    modality: str,
    encoder: AttendingEncoder,
    pipeline: FeaturePipeline,
    row: Array,
    device: torch.device,
) -> AttentionMap:
    length = torch.tensor([len(row)])
    [weights_HLL] = encoder.attention_maps(torch.from_numpy(row)[None].to(device), length.to(device), length)
    return AttentionMap(
        utterance_id=turn.id,
        modality=modality,
        weights_HLL=weights_HLL.float().cpu().numpy(),
        names=encoder.attention_names or tuple(f"head {head}" for head in range(1, len(weights_HLL) + 1)),
        step_seconds=_step_seconds(turn, pipeline, encoder.attention_stride, len(row)),
    )


def _step_seconds(turn: Utterance, pipeline: FeaturePipeline, stride: int, n_frames: int) -> float | None:
    """Return the clip's length divided by its number of frames, times the stride.

    This needs no knowledge of hop and padding, and agrees closely with them for every kind of frames.
    """
    if not pipeline.reads_audio or turn.audio is None:
        return None
    return len(decode_turn(turn, _RATE_HZ)) / _RATE_HZ / n_frames * stride
