"""Label a dialogue turn by turn while it is still going on. This needs a causal system."""

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
    """Labels the turns of one dialogue, one after the other.

    Each turn gets the same label as from :meth:`~dialogue_ser.inference.classifier.DialogueClassifier.predict`.

    Args:
        model: causal system in evaluation mode.
        task: task that gives the scores their meaning.
        pipelines: modality → fitted pipeline.

    Raises:
        ConfigError: the model, an encoder or a transform needs later turns of the dialogue.
    """

    def __init__(self, model: DialogueSystem, task: Task, pipelines: Mapping[str, FeaturePipeline]) -> None:
        problems = [
            f"features.{modality}: {pipeline.name} or one of its transforms looks at later turns of the dialogue, so "
            "turns cannot be labelled one by one; choose others, or declare traits.context if the encoder is your own"
            for modality, pipeline in pipelines.items()
            if not pipeline.is_causal
        ]
        if problems:
            raise ConfigError(*problems)
        self._next_scores = model.stream()
        self._device = next(model.parameters()).device
        self._task = task
        self._pipelines = dict(pipelines)
        self._n_kept = 1 + max(pipeline.n_past_turns for pipeline in pipelines.values())
        self._recent: list[Utterance] = []  # the last turns, as many as the encoders look at
        self._party_of: dict[str, int] = {}
        self._n_turns = 0

    def add(self, turn: Turn) -> dict[str, Any]:
        """Label the next turn.

        Args:
            turn: (speaker, text), or a mapping with speaker, text and/or audio.

        Returns:
            turn (0-based), speaker, text, and the prediction under the same names as the columns of ``predict``.

        Raises:
            CorpusError: the argument is not a turn.
            MediaError: audio cannot be decoded, and the model does not mask such audio.
        """
        [[spoken]] = as_dialogues([turn])
        utterance = replace(spoken, id=f"new/stream_utt{self._n_turns}")
        recent = [*self._recent, utterance][-self._n_kept :]
        seen, now = Dialogue("new/stream", tuple(recent)), Dialogue("new/stream", (utterance,))
        tables = {name: pipeline.table([seen]) for name, pipeline in self._pipelines.items()}
        party = self._party_of.setdefault(utterance.speaker, len(self._party_of))
        batch = collate([now], tables, self._task)
        batch = replace(batch, speaker=torch.full_like(batch.speaker, party)).to(self._device)
        with torch.inference_mode():
            outputs_S = self._task.outputs(self._next_scores(batch)).double().cpu().numpy()
        # The turn counts only now that it is labelled, so the caller may give it again after an error.
        self._recent, self._n_turns = recent, self._n_turns + 1
        row = {"turn": self._n_turns - 1, "speaker": utterance.speaker, "text": utterance.text}
        return row | self._task.row(self._task.numbers(outputs_S))
