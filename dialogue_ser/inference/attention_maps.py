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
from dialogue_ser.features.api import Array
from dialogue_ser.features.audio_input import decode_turn
from dialogue_ser.inference.pipeline import FeaturePipeline
from dialogue_ser.inference.tables import feature_tables
from dialogue_ser.models.api import DialogueSystem

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
        step_seconds: from step to step, so that step i lies about ``i * step_seconds`` into the utterance; exact to a
            frame. None where the encoder reads no sound.
    """

    utterance_id: str
    modality: str
    weights_HLL: NDArray[np.float32]
    step_seconds: float | None


def attention_maps(
    model: DialogueSystem,
    pipelines: Mapping[str, FeaturePipeline],
    dialogues: Sequence[Dialogue],
    utterance_ids: Collection[str] | None = None,
) -> list[AttentionMap]:
    """Maps of every utterance and every modality whose encoder has them, in this order.

    Of an ensemble they are its first member's.

    Args:
        model: trained.
        pipelines: modality → fitted pipeline.
        dialogues: with the context that encoders and transforms look at.
        utterance_ids: of these alone; None = of all.

    Raises:
        ConfigError: no encoder of the model has such maps.
        FeatureError, MediaError: as in ``predict``.
    """
    encoders = _encoders_with_maps(model)
    tables = feature_tables(pipelines, dialogues)
    wanted = [turn for turn in utterances(dialogues) if utterance_ids is None or turn.id in utterance_ids]
    was_training = model.training
    model.eval()
    try:
        return [
            AttentionMap(
                utterance_id=turn.id,
                modality=modality,
                weights_HLL=_weights(encoder, tables[modality].rows[turn.id]),
                step_seconds=_step_seconds(turn, pipelines[modality], encoder, len(tables[modality].rows[turn.id])),
            )
            for turn in wanted
            for modality, encoder in encoders.items()
            if turn.id in tables[modality].rows
        ]
    finally:
        model.train(was_training)


def _encoders_with_maps(model: DialogueSystem) -> dict[str, TrainedEncoder]:
    found: dict[str, TrainedEncoder] = {}
    for modality, encoder in _trained_encoders(model):
        if type(encoder).attention_maps is not TrainedEncoder.attention_maps:
            found.setdefault(modality, encoder)
    if not found:
        raise ConfigError(
            f"attention: no encoder of this model ({model.name}) has an attention over frames or tokens to show; train "
            "one that has, e.g. --features.audio.encoder conv-attention"
        )
    return found


def _trained_encoders(model: DialogueSystem) -> Iterator[tuple[str, TrainedEncoder]]:
    for module in model.modules():
        if isinstance(module, TurnEncoder):
            for modality, encoder in module.encoders.items():
                if isinstance(encoder, TrainedEncoder):
                    yield modality, encoder


@torch.inference_mode()
def _weights(encoder: TrainedEncoder, row: Array) -> NDArray[np.float32]:
    device = next(encoder.parameters()).device
    length = torch.tensor([len(row)])
    [weights_HLL] = encoder.attention_maps(torch.from_numpy(row)[None].to(device), length.to(device), length)
    found: NDArray[np.float32] = weights_HLL.float().cpu().numpy()
    return found


def _step_seconds(turn: Utterance, pipeline: FeaturePipeline, encoder: TrainedEncoder, n_frames: int) -> float | None:
    """The clip's length shared out among its frames: hops and paddings of all kinds of frames agree with it closely."""
    if not pipeline.hears or turn.audio is None:
        return None
    return len(decode_turn(turn, _RATE_HZ)) / _RATE_HZ / n_frames * encoder.attention_stride
