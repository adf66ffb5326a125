"""A trained dialogue system ready for use: new dialogues in, one labelled row per turn out."""

import dataclasses
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from huggingface_hub import HfApi
from numpy.typing import NDArray

from dialogue_ser import __version__
from dialogue_ser.batch.collate import collate
from dialogue_ser.corpus.schema import Dialogue, LabelSet
from dialogue_ser.encoders import as_saved
from dialogue_ser.errors import CheckpointError, ConfigError
from dialogue_ser.features.audio_input import OnBad
from dialogue_ser.inference.attention_maps import AttentionMap, attention_maps
from dialogue_ser.inference.inputs import Dialogues, as_dialogues
from dialogue_ser.inference.model_folder import read_model_folder, write_model_folder
from dialogue_ser.inference.pipeline import FeaturePipeline
from dialogue_ser.inference.rebuild import describe_model, rebuild_label_set, rebuild_model, rebuild_pipeline
from dialogue_ser.inference.stream import DialogueStream
from dialogue_ser.inference.tables import feature_tables
from dialogue_ser.models.api import DialogueSystem

# Padded turns a batch: few enough for 500-turn dialogues side by side, enough for short ones to share a step.
MAX_BATCH_TURNS = 4096


class DialogueClassifier:
    """A model with everything it needs to label new dialogues.

    Args:
        model: trained system; its ``config`` holds its options.
        label_set: classes in the order of the model's outputs.
        pipelines: modality → fitted pipeline.

    Raises:
        ConfigError: label set or pipelines do not fit the model.
    """

    def __init__(self, model: DialogueSystem, label_set: LabelSet, pipelines: Mapping[str, FeaturePipeline]) -> None:
        problems = []
        if len(label_set) != model.n_classes:
            problems.append(
                f"classifier: {len(label_set)} labels for a model of {model.n_classes} classes; give its own"
            )
        if set(pipelines) != set(model.inputs):
            problems.append(f"classifier: pipelines {sorted(pipelines)} for a model that reads {sorted(model.inputs)}")
        if problems:
            raise ConfigError(*problems)
        self.model = model
        self.label_set = label_set
        self.pipelines = dict(pipelines)

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
            one row per turn in the order given: dialogue_id, utterance_id, turn (0-based), speaker, text, predicted and
            p_<class> for every class.

        Raises:
            CorpusError: turns that are none.
            FeatureError: nothing in them that the model reads.
            MediaError: audio that cannot be decoded, unless the model masks it.
        """
        chosen = as_dialogues(dialogues)
        probabilities_NC = self.predict_proba(chosen, features=features, batch_size=batch_size)
        predicted = [self.label_set.labels[column] for column in probabilities_NC.argmax(axis=1)]
        rows = [(dialogue.id, u.id, turn, u.speaker, u.text) for dialogue in chosen for turn, u in enumerate(dialogue)]
        table = pd.DataFrame(rows, columns=["dialogue_id", "utterance_id", "turn", "speaker", "text"])
        table["predicted"] = predicted
        for column, label in enumerate(self.label_set):
            table[f"p_{label}"] = probabilities_NC[:, column]
        return table

    def predict_proba(
        self, dialogues: Dialogues, *, features: Mapping[str, str | Path] | None = None, batch_size: int = 32
    ) -> NDArray[np.float64]:
        """Class probabilities ``[turns, classes]``, rows as in :meth:`predict`, columns as in the label set.

        Raises:
            DialogueSerError: as :meth:`predict`.
        """
        chosen = as_dialogues(dialogues)
        if batch_size < 1:
            raise ConfigError(f"batch_size {batch_size}: must be at least 1")
        tables = feature_tables(self.pipelines, chosen, features)
        first_row = np.cumsum([0, *(len(dialogue) for dialogue in chosen)])
        probabilities_NC = np.empty((int(first_row[-1]), len(self.label_set)), dtype=np.float64)
        device = next(self.model.parameters()).device
        was_training = self.model.training
        self.model.eval()
        try:
            for indices in _batches([len(dialogue) for dialogue in chosen], batch_size):
                unlabelled = [_without_labels(chosen[index]) for index in indices]
                batch = collate(unlabelled, tables, self.label_set).to(device)
                with torch.inference_mode():
                    log_probs_BTC = self.model(batch).log_probs_BTC.double().cpu().numpy()
                for position, index in enumerate(indices):
                    rows = slice(first_row[index], first_row[index + 1])
                    probabilities_NC[rows] = np.exp(log_probs_BTC[position, : len(chosen[index])])
        finally:
            self.model.train(was_training)
        # Rounding in float32 leaves sums off by 1e-7; what is called a probability shall sum to 1.
        normalised: NDArray[np.float64] = probabilities_NC / probabilities_NC.sum(axis=1, keepdims=True)
        return normalised

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
        return DialogueStream(self.model, self.label_set, self.pipelines)

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
            "label_set": {"name": self.label_set.name, "labels": list(self.label_set.labels)},
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
            trust_code: allow an encoder given as ``package.module:function``, whose import runs code.

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
            model, labels = rebuild_model(saved, trust_code), rebuild_label_set(saved)
            pipelines = {name: rebuild_pipeline(saved, name, on_bad, trust_code) for name in saved.config["features"]}
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"{saved.folder}: config.json is not complete ({error!r}); save it again") from error
        return cls(model.to(device).eval(), labels, pipelines)

    def push_to_hub(self, repo_id: str, *, private: bool = True, card: str | None = None) -> str:
        """Upload the model folder to the Hugging Face hub with the token of ``hf auth login``.

        Args:
            repo_id: ``owner/name``; made if absent.
            private: visibility of a new repository.
            card: text of the model card.

        Returns:
            address of the commit.
        """
        api = HfApi()
        api.create_repo(repo_id, private=private, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            saved = self.save_pretrained(Path(folder) / "model", card)
            return str(api.upload_folder(repo_id=repo_id, folder_path=saved))


def _batches(lengths: Sequence[int], batch_size: int) -> Iterator[list[int]]:
    """Indices of dialogues of similar length, so that little is padded, within MAX_BATCH_TURNS.

    >>> list(_batches([3000, 2, 2500, 1], batch_size=2))
    [[3, 1], [2], [0]]
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batch and (len(batch) == batch_size or (len(batch) + 1) * lengths[index] > MAX_BATCH_TURNS):
            yield batch
            batch = []
        batch.append(index)
    yield batch


def _without_labels(dialogue: Dialogue) -> Dialogue:
    """Gold labels may be of another label set, and prediction must not see them anyway."""
    return Dialogue(dialogue.id, tuple(replace(turn, label=None, votes=None) for turn in dialogue))
