"""A trained dialogue system ready for use: new dialogues in, one labelled row per turn out."""

import dataclasses
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from dialogue_ser import __version__
from dialogue_ser.batch.collate import collate
from dialogue_ser.corpus.schema import Dialogue, LabelSet
from dialogue_ser.encoders import as_saved
from dialogue_ser.errors import CheckpointError, ConfigError
from dialogue_ser.features.core.api import FeatureTable
from dialogue_ser.features.core.bad_clips import OnBad
from dialogue_ser.inference.attention_maps import AttentionMap, attention_maps
from dialogue_ser.inference.conversations import Dialogues, as_dialogues
from dialogue_ser.inference.feature_tables import feature_tables
from dialogue_ser.inference.loop import TurnTable, batches_by_length, model_outputs
from dialogue_ser.inference.model_folder import read_model_folder, write_model_folder
from dialogue_ser.inference.rebuild import describe_model, rebuild_model, rebuild_pipeline, rebuild_task
from dialogue_ser.inference.stream import DialogueStream
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.models.api import DialogueSystem
from dialogue_ser.tasks import as_task
from dialogue_ser.tasks.base import Task
from dialogue_ser.tasks.classification import Classification


class DialogueClassifier:
    """A model with everything it needs to label new dialogues.

    Args:
        model: trained system; its ``config`` holds its options.
        task: what its scores mean; a label set stands for telling its classes apart.
        pipelines: modality → fitted pipeline.

    Raises:
        ConfigError: task or pipelines do not fit the model.
    """

    def __init__(self, model: DialogueSystem, task: Task | LabelSet, pipelines: Mapping[str, FeaturePipeline]) -> None:
        task, problems = as_task(task), []
        if task.n_scores != model.n_scores:
            problems.append(
                f"classifier: {task.n_scores} {task.names_key} for a model of {model.n_scores} scores; give its own"
            )
        if set(pipelines) != set(model.inputs):
            problems.append(f"classifier: pipelines {sorted(pipelines)} for a model that reads {sorted(model.inputs)}")
        if problems:
            raise ConfigError(*problems)
        self.model = model
        self.task = task
        self.pipelines = dict(pipelines)

    @property
    def label_set(self) -> LabelSet:
        """The classes, in the order of the model's outputs.

        Raises:
            ConfigError: the model predicts values of dimensions.
        """
        if not isinstance(self.task, Classification):
            raise ConfigError(f"classifier: predicts values of {', '.join(self.task.names)} and has no classes")
        return self.task.label_set

    @property
    def modalities(self) -> tuple[str, ...]:
        """What the model reads, e.g. text and audio."""
        return tuple(self.pipelines)

    def predict(
        self, dialogues: Dialogues, *, features: Mapping[str, str | Path] | None = None, batch_size: int = 32
    ) -> pd.DataFrame:
        """Label every turn.

        Args:
            dialogues: Dialogue objects, one conversation as (speaker, text) pairs or mappings with speaker, text
                and/or audio, or several such conversations. A turn without a modality is masked in it.
            features: modality → file of precomputed features of these dialogues, keyed by utterance id; only for
                modalities whose encoder is ``precomputed``.
            batch_size: dialogues at a time, at most.

        Returns:
            one row per turn in the order given: dialogue_id, utterance_id, turn (0-based), speaker, text, and predicted
            and p_<class> for every class, or predicted_<dimension> for every dimension.

        Raises:
            CorpusError: turns that are none.
            FeatureError: nothing in them that the model reads.
            MediaError: audio that cannot be decoded, unless the model masks it.
        """
        chosen = as_dialogues(dialogues)
        numbers_NS = self._numbers(chosen, features, batch_size)
        return self.task.prediction_frame(chosen, numbers_NS, with_gold=False)

    def predict_proba(
        self, dialogues: Dialogues, *, features: Mapping[str, str | Path] | None = None, batch_size: int = 32
    ) -> NDArray[np.float64]:
        """Class probabilities ``[turns, classes]``, rows as in :meth:`predict`, columns as in the label set.

        Raises:
            ConfigError: the model predicts values of dimensions: :meth:`predict` gives them.
            DialogueSerError: as :meth:`predict`.
        """
        if not self.task.gives_probabilities:
            raise ConfigError(
                f"predict_proba: the model predicts values of {', '.join(self.task.names)}, not classes; use predict"
            )
        return self._numbers(as_dialogues(dialogues), features, batch_size)

    def numbers_of(
        self, dialogues: Sequence[Dialogue], tables: Mapping[str, FeatureTable], batch_size: int = 32
    ) -> NDArray[np.float64]:
        """Probabilities or values ``[turns, S]`` of dialogues whose features are made.

        Args:
            dialogues: in the order of the rows.
            tables: modality → features of their turns.
            batch_size: dialogues at a time, at most.
        """
        device = next(self.model.parameters()).device
        table = TurnTable(dialogues, self.model.n_scores, device)
        batches = (
            (indices, collate([self.task.unlabelled(dialogues[index]) for index in indices], tables, self.task))
            for indices in batches_by_length([len(dialogue) for dialogue in dialogues], batch_size)
        )
        for indices, batch, output in model_outputs(self.model, batches, device=device):
            table.put(indices, batch, self.task.outputs(output.scores_BTS))
        return self.task.numbers(table.check().cpu().numpy())

    def _numbers(
        self, chosen: Sequence[Dialogue], features: Mapping[str, str | Path] | None, batch_size: int
    ) -> NDArray[np.float64]:
        if batch_size < 1:
            raise ConfigError(f"batch_size {batch_size}: must be at least 1")
        return self.numbers_of(chosen, feature_tables(self.pipelines, chosen, features), batch_size)

    def attention_maps(
        self, dialogues: Dialogues, *, utterance_ids: Collection[str] | None = None
    ) -> list[AttentionMap]:
        """What the encoders attend to inside each utterance; see :class:`AttentionMap`.

        Args:
            dialogues: as in :meth:`predict`.
            utterance_ids: only of these; None = of all.

        Returns:
            one map per utterance and modality that has one, in order.

        Raises:
            ConfigError: nothing in this model has an attention over frames or tokens.
            DialogueSerError: as :meth:`predict`.
        """
        return attention_maps(self.model, self.pipelines, as_dialogues(dialogues), utterance_ids)

    def stream(self) -> DialogueStream:
        """A new dialogue to be labelled turn by turn, while it is going on.

        Raises:
            ConfigError: the model, an encoder or a transform needs turns that have not been spoken yet.
        """
        self.model.eval()
        return DialogueStream(self.model, self.task, self.pipelines)

    def save_pretrained(self, folder: str | Path, card: str | None = None) -> Path:
        """Write the model folder: config.json, model.safetensors, transforms.safetensors, and README.md if given.

        Args:
            folder: made if absent.
            card: text of the model card.

        Returns:
            the folder.

        Raises:
            CheckpointError: it cannot be written, or the model's options are not known.
        """
        states = {modality: pipeline.state() for modality, pipeline in self.pipelines.items()}
        config = {
            "library": "dialogue_ser",
            "library_version": __version__,
            "model": describe_model(self.model),
            **self.task.description(),
            "inputs": {modality: dataclasses.asdict(as_saved(spec)) for modality, spec in self.model.inputs.items()},
            "features": {modality: described for modality, (described, _) in states.items()},
        }
        arrays = {f"{modality}/{key}": a for modality, (_, named) in states.items() for key, a in named.items()}
        write_model_folder(Path(folder), config, self.model.state_dict(), arrays, card)
        return Path(folder)

    @classmethod
    def from_pretrained(
        cls,
        place: str | Path,
        *,
        device: str = "auto",
        on_bad: OnBad | None = None,
        revision: str | None = None,
        trust_code: bool = False,
    ) -> "DialogueClassifier":
        """Load a model folder, a run directory, or a model on the Hugging Face hub; runs no code from it.

        Args:
            place: folder, run directory or hub id.
            device: auto (CUDA where there is one), cpu or cuda.
            on_bad: what to do with media that cannot be decoded: error, mask, or None = as in training.
            revision: branch, tag or commit of a hub model.
            trust_code: allow a model or encoder given as ``package.module:attribute``, whose import runs code.

        Raises:
            ConfigError: a GPU asked for where there is none.
            MissingDataError: nothing is there.
            CheckpointError: another format version, changed files, or weights that do not fit (all are named).
        """
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ConfigError(f"device: {device!r}, but torch sees no GPU; use cpu or auto")
        saved = read_model_folder(place, revision)
        try:
            model, task = rebuild_model(saved, trust_code), rebuild_task(saved)
            pipelines = {name: rebuild_pipeline(saved, name, on_bad, trust_code) for name in saved.config["features"]}
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"{saved.folder}: config.json is not complete ({error!r}); save it again") from error
        return cls(model.to(device).eval(), task, pipelines)

    def push_to_hub(self, repo_id: str, *, private: bool = True, card: str | None = None) -> str:
        """Upload the model folder to the Hugging Face hub with the token of ``hf auth login``.

        Args:
            repo_id: ``owner/name``; made if absent.
            private: visibility of a new repository.
            card: text of the model card.

        Returns:
            address of the commit.
        """
        from huggingface_hub import HfApi

        api = HfApi()
        api.create_repo(repo_id, private=private, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            saved = self.save_pretrained(Path(folder) / "model", card)
            return str(api.upload_folder(repo_id=repo_id, folder_path=saved))
