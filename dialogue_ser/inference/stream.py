"""A dialogue that is still going on, labelled turn by turn by a causal system."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from dialogue_ser.batch.collate import collate
from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.errors import ConfigError
from dialogue_ser.inference.conversations import Turn, as_dialogues
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.models.api import DialogueSystem
from dialogue_ser.tasks.base import Task


class DialogueStream:
    """Give it each turn as it is spoken; it answers with what :meth:`DialogueClassifier.predict` would say there.

    Args:
        model: causal system, in eval mode.
        task: what the model's scores mean.
        pipelines: modality → fitted pipeline.

    Raises:
        ConfigError: the model, an encoder or a transform needs turns that have not been spoken yet.
    """

    def __init__(self, model: DialogueSystem, task: Task, pipelines: Mapping[str, FeaturePipeline]) -> None:
        ahead = [
            f"features.{modality}: {pipeline.name} or one of its transforms looks at later turns of the dialogue, so "
            "nothing can be streamed; choose others, or let an encoder of your own declare its traits.context"
            for modality, pipeline in pipelines.items()
            if not pipeline.is_causal
        ]
        if ahead:
            raise ConfigError(*ahead)
        self._read = model.stream()
        self._device = next(model.parameters()).device
        self._task = task
        self._pipelines = dict(pipelines)
        self._n_kept = 1 + max(pipeline.n_past_turns for pipeline in pipelines.values())
        self._latest: list[Utterance] = []  # as many turns as the encoders look back on
        self._party_of: dict[str, int] = {}
        self._n_turns = 0

    def add(self, turn: Turn) -> dict[str, Any]:
        """Label the next turn.

        Args:
            turn: (speaker, text), or a mapping with speaker, text and/or audio.

        Returns:
            turn (0-based), speaker, text, and what was predicted, in the columns of ``predict``.

        Raises:
            CorpusError: it is no turn.
            MediaError: audio that cannot be decoded, unless the model masks it.
        """
        [[spoken]] = as_dialogues([turn])
        utterance = replace(spoken, id=f"new/stream_utt{self._n_turns}")
        recent = [*self._latest, utterance][-self._n_kept :]
        seen, now = Dialogue("new/stream", tuple(recent)), Dialogue("new/stream", (utterance,))
        tables = {name: pipeline.table([seen]) for name, pipeline in self._pipelines.items()}
        party = self._party_of.setdefault(utterance.speaker, len(self._party_of))
        batch = collate([now], tables, self._task)
        batch = replace(batch, speaker=torch.full_like(batch.speaker, party)).to(self._device)
        with torch.inference_mode():
            outputs_S = self._task.outputs(self._read(batch)).double().cpu().numpy()
        # Only a turn that was labelled counts as spoken: after an error the caller may give it again.
        self._latest, self._n_turns = recent, self._n_turns + 1
        row = {"turn": self._n_turns - 1, "speaker": utterance.speaker, "text": utterance.text}
        return row | self._task.row(self._task.numbers(outputs_S))
