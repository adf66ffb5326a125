"""What a model's encoders attend to inside an utterance: maps over its frames or tokens, one per head."""

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

# Only to ask how long a clip is; any rate would do.
_RATE_HZ = 16000


@dataclass(frozen=True, kw_only=True)
class AttentionMap:
    """How much every moment of an utterance looks at every other one.

    Args:
        utterance_id: whose.
        modality: through which encoder.
        weights_HLL: float32 ``[heads, steps, steps]``: row looks at column, each row sums to 1. A step is a frame or
            token, or as many as the encoder's strides put together.
        names: what each head is called, e.g. ``head 1``.
        step_seconds: from step to step, so that step i lies about ``i * step_seconds`` into the utterance; exact to a
            frame. None where the encoder reads no sound.
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
    """Maps of every utterance and every modality that is read with attention, in this order.

    Of an ensemble they are its first member's.

    Args:
        model: trained.
        pipelines: modality → fitted pipeline.
        dialogues: with the context that encoders and transforms look at.
        utterance_ids: of these alone; None = of all.

    Raises:
        ConfigError: the model has no such attention.
        FeatureError, MediaError: as in ``predict``.
    """
    readers = _readers(model)
    tables = feature_tables(pipelines, dialogues)
    wanted = [turn for turn in utterances(dialogues) if utterance_ids is None or turn.id in utterance_ids]
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        return [
            _map(turn, modality, reader, pipelines[modality], tables[modality].rows[turn.id], device)
            for turn in wanted
            for modality, reader in readers.items()
            if turn.id in tables[modality].rows
        ]
    finally:
        model.train(was_training)


def _readers(model: DialogueSystem) -> dict[str, AttendingEncoder]:
    found: dict[str, AttendingEncoder] = {}
    for modality, reader in _all_readers(model):
        found.setdefault(modality, reader)
    if not found:
        raise ConfigError(
            f"attention: no encoder of this model ({model.name}) has an attention over frames or tokens to show; train "
            "one that has, e.g. --features.audio.encoder conv-attention, or fusion-attention"
        )
    return found


def _all_readers(model: DialogueSystem) -> Iterator[tuple[str, AttendingEncoder]]:
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
    reader: AttendingEncoder,
    pipeline: FeaturePipeline,
    row: Array,
    device: torch.device,
) -> AttentionMap:
    length = torch.tensor([len(row)])
    [weights_HLL] = reader.attention_maps(torch.from_numpy(row)[None].to(device), length.to(device), length)
    return AttentionMap(
        utterance_id=turn.id,
        modality=modality,
        weights_HLL=weights_HLL.float().cpu().numpy(),
        names=reader.attention_names or tuple(f"head {head}" for head in range(1, len(weights_HLL) + 1)),
        step_seconds=_step_seconds(turn, pipeline, reader.attention_stride, len(row)),
    )


def _step_seconds(turn: Utterance, pipeline: FeaturePipeline, stride: int, n_frames: int) -> float | None:
    """The clip's length shared out among its frames: hops and paddings of all kinds of frames agree with it closely."""
    if not pipeline.reads_audio or turn.audio is None:
        return None
    return len(decode_turn(turn, _RATE_HZ)) / _RATE_HZ / n_frames * stride
