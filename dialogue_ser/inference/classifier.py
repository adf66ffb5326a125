"""A trained dialogue system that is ready for use. It labels every turn of new dialogues."""

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
from dialogue_ser.errors import CheckpointError, ConfigError, DialogueSerError, describe_exception
from dialogue_ser.features.core.api import FeatureTable
from dialogue_ser.features.core.bad_clips import OnBad
from dialogue_ser.inference.attention_maps import AttentionMap, attention_maps
from dialogue_ser.inference.conversations import Dialogues, as_dialogues
from dialogue_ser.inference.feature_tables import feature_tables
from dialogue_ser.inference.loop import TurnTable, batches_by_length, model_outputs
from dialogue_ser.inference.model_folder import CONFIG, read_model_folder, write_model_folder
from dialogue_ser.inference.rebuild import describe_model, rebuild_model, rebuild_pipeline, rebuild_task
from dialogue_ser.inference.saved_config import check_saved_config
from dialogue_ser.inference.stream import DialogueStream
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.models.api import DialogueSystem
from dialogue_ser.tasks import as_task
from dialogue_ser.tasks.base import Task
from dialogue_ser.tasks.classification import Classification
from dialogue_ser.trust import Trust


class DialogueClassifier:
    """A trained model with everything that it needs to label new dialogues.

    Args:
        model: trained system. Its attribute ``config`` contains its options.
        task: task that gives the scores their meaning. A label set means the classification into its classes.
        pipelines: modality → fitted pipeline.

    Raises:
        ConfigError: the task or the pipelines do not fit the model.
    """

    def __init__(self, model: DialogueSystem, task: Task | LabelSet, pipelines: Mapping[str, FeaturePipeline]) -> None:
        task, problems = as_task(task), []
        if task.n_scores != model.n_scores:
            problems.append(
                f"classifier: found {task.n_scores} {task.names_key} for a model of {model.n_scores} scores; "
                "give the task that the model was trained for"
            )
        if set(pipelines) != set(model.inputs):
            problems.append(
                f"classifier: found pipelines {sorted(pipelines)} for a model that reads {sorted(model.inputs)}; "
                "give one pipeline for each modality of the model"
            )
        if problems:
            raise ConfigError(*problems)
        self.model = model
        self.task = task
        self.pipelines = dict(pipelines)

    @property
    def label_set(self) -> LabelSet:
        """The classes, in the order of the model's outputs.

        Raises:
            ConfigError: the model predicts values of dimensions, so it has no classes.
        """
        if not isinstance(self.task, Classification):
            raise ConfigError(
                f"classifier: the model predicts values of {', '.join(self.task.names)} and has no classes; use task"
            )
        return self.task.label_set

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that the model reads, e.g. text and audio."""
        return tuple(self.pipelines)

    def predict(
        self, dialogues: Dialogues, *, features: Mapping[str, str | Path] | None = None, batch_size: int = 32
    ) -> pd.DataFrame:
        """Label every turn.

        Args:
            dialogues: one of three things: Dialogue objects; one conversation, which is a list of turns; or several
                conversations. A turn is a pair (speaker, text), or a mapping with speaker, text and/or audio. A
                modality that a turn lacks is absent there.
            features: modality → file with precomputed features of these dialogues, keyed by utterance id. It is
                needed for modalities whose encoder is ``precomputed``, and allowed only for them.
            batch_size: largest number of dialogues per batch.

        Returns:
            one row per turn, in the order of the input. Columns: dialogue_id, utterance_id, turn (0-based), speaker,
            text; then predicted and p_<class> for every class, or predicted_<dimension> for every dimension.

        Raises:
            CorpusError: something in the input is not a turn.
            FeatureError: no turn has a modality that the model reads.
            MediaError: audio cannot be decoded, and the model does not mask such audio.
        """
        chosen = as_dialogues(dialogues)
        numbers_NS = self._numbers(chosen, features, batch_size)
        return self.task.prediction_frame(chosen, numbers_NS, with_gold=False)

    def predict_proba(
        self, dialogues: Dialogues, *, features: Mapping[str, str | Path] | None = None, batch_size: int = 32
    ) -> NDArray[np.float64]:
        """Return class probabilities ``[turns, classes]``: rows as in :meth:`predict`, columns as in the label set.

        Raises:
            ConfigError: the model predicts values of dimensions. :meth:`predict` returns them.
            DialogueSerError: see :meth:`predict`.
        """
        if not self.task.gives_probabilities:
            raise ConfigError(
                f"predict_proba: the model predicts values of {', '.join(self.task.names)}, not classes; use predict"
            )
        return self._numbers(as_dialogues(dialogues), features, batch_size)

    def numbers_of(
        self, dialogues: Sequence[Dialogue], tables: Mapping[str, FeatureTable], batch_size: int = 32
    ) -> NDArray[np.float64]:
        """Return probabilities or values ``[turns, S]`` of dialogues whose features are already computed.

        Args:
            dialogues: dialogues whose turns become the rows, in this order.
            tables: modality → features of their turns.
            batch_size: largest number of dialogues per batch.
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
            raise ConfigError(f"batch_size: found {batch_size}, expected at least 1")
        return self.numbers_of(chosen, feature_tables(self.pipelines, chosen, features), batch_size)

    def attention_maps(
        self, dialogues: Dialogues, *, utterance_ids: Collection[str] | None = None
    ) -> list[AttentionMap]:
        """Return which frames or tokens the encoders look at inside each utterance, see :class:`AttentionMap`.

        Args:
            dialogues: see :meth:`predict`.
            utterance_ids: utterances to make maps of; None = all.

        Returns:
            one map per utterance and modality with attention, ordered by utterance, then by modality.

        Raises:
            ConfigError: the model has no attention over frames or tokens.
            DialogueSerError: see :meth:`predict`.
        """
        return attention_maps(self.model, self.pipelines, as_dialogues(dialogues), utterance_ids)

    def stream(self) -> DialogueStream:
        """Return a stream that labels the turns of one new dialogue while it is still going on.

        Raises:
            ConfigError: the model, an encoder or a transform needs later turns of the dialogue.
        """
        self.model.eval()
        return DialogueStream(self.model, self.task, self.pipelines)

    def save_pretrained(self, folder: str | Path, card: str | None = None) -> Path:
        """Write the model folder: config.json, model.safetensors, transforms.safetensors, and README.md for a card.

        Args:
            folder: folder to write. It is created if it does not exist.
            card: text of the model card; None = no README.md is written.

        Returns:
            the folder.

        Raises:
            CheckpointError: the folder cannot be written, or the model does not keep its options in ``config``.
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
        trust_code: Trust = False,
    ) -> "DialogueClassifier":
        """Load a model folder, a run directory, or a model from the Hugging Face hub. No code in it is run.

        Args:
            place: model folder, run directory or hub id (``owner/name``).
            device: ``auto`` (CUDA if there is a GPU, else the CPU), ``cpu`` or ``cuda``.
            on_bad: what to do with media that cannot be decoded: ``error`` or ``mask``; None = the same as in
                training.
            revision: branch, tag or commit of a hub model.
            trust_code: allow a model or encoder that is given as ``package.module:attribute``. Its import runs code.
                True allows all code that the folder names; a list of names allows only these, e.g.
                ``["mine:Encoder"]``.

        Raises:
            ConfigError: the device is a GPU, but there is none.
            MissingDataError: the folder or the hub model does not exist.
            CheckpointError: the format version is another one, files were changed, weights do not fit the model, or
                the folder names code that is not trusted (the message names all of them).
        """
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ConfigError(f"device: found {device!r}, but torch sees no GPU; use cpu or auto")
        saved = read_model_folder(place, revision)
        check_saved_config(saved.folder / CONFIG, saved.config)
        try:
            model, task = rebuild_model(saved, trust_code), rebuild_task(saved)
            pipelines = {name: rebuild_pipeline(saved, name, on_bad, trust_code) for name in saved.config["features"]}
        except DialogueSerError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
            # A value that no check knows, e.g. an option of a user's own model. The folder may come from anywhere.
            raise CheckpointError(
                f"{saved.folder}: config.json is not complete or damaged ({describe_exception(error)}); copy the model "
                "folder again, or save the model again"
            ) from error
        return cls(model.to(device).eval(), task, pipelines)

    def push_to_hub(self, repo_id: str, *, private: bool = True, card: str | None = None) -> str:
        """Upload the model folder to the Hugging Face hub with the token of ``hf auth login``.

        Args:
            repo_id: name of the repository, ``owner/name``. It is created if it does not exist.
            private: whether a new repository is private.
            card: text of the model card; None = no card.

        Returns:
            the web address of the commit.
        """
        from huggingface_hub import HfApi

        api = HfApi()
        api.create_repo(repo_id, private=private, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            saved = self.save_pretrained(Path(folder) / "model", card)
            return str(api.upload_folder(repo_id=repo_id, folder_path=saved))
