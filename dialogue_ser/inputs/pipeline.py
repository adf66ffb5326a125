"""The pipeline of one modality, from dialogues to features for the model: an extractor, then transforms."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dialogue_ser.corpus.schema import Dialogue
from dialogue_ser.errors import CheckpointError, FeatureError
from dialogue_ser.features.core.api import Array, FeatureTable, InputSpec
from dialogue_ser.features.core.bad_clips import OnBad
from dialogue_ser.features.core.checked_encoder import CheckedEncoder
from dialogue_ser.features.core.fingerprints import compare_fingerprints
from dialogue_ser.features.core.traits import Context
from dialogue_ser.features.store.feature_store import FeatureStore, Progress
from dialogue_ser.features.store.work_units import encode_all
from dialogue_ser.features.text.front_end import TokenFrontEnd
from dialogue_ser.features.transforms import build_transform, transform_from_state
from dialogue_ser.features.transforms.base import Transform
from dialogue_ser.inputs.extractor import build_extractor
from dialogue_ser.trust import Trust, only_code

#: In a saved model, arrays (uint8) with this ending of their name are separate files, which other programs can read.
FILE_SUFFIX = ".json"


class FeaturePipeline:
    """The pipeline of one modality. Build it, fit it on train, and then get feature tables from it.

    Args:
        modality: name of the modality in the batch.
        name: name of the encoder in the configuration.
        options: options of the encoder in the configuration.
        on_bad: what to do with media that cannot be decoded.
        extractor: a frozen encoder (``CheckedEncoder``), or the tokenizer of a trained encoder.
        transforms: transforms in the order in which they are applied.
        trained_encoder: name of the trained encoder that reads tokens or frames; None for vectors.
        trained_options: options of the trained encoder.

    Attributes:
        spec: kind and size of the features that the model gets; known after ``fit``.
    """

    def __init__(
        self,
        *,
        modality: str,
        name: str,
        options: Mapping[str, Any],
        on_bad: OnBad,
        extractor: CheckedEncoder | TokenFrontEnd,
        transforms: Sequence[Transform],
        trained_encoder: str | None,
        trained_options: Mapping[str, Any],
    ) -> None:
        self.modality = modality
        self.name = name
        self.options = dict(options)
        self.on_bad: OnBad = on_bad
        self.transforms = tuple(transforms)
        self._extractor = extractor
        self._trained_encoder = trained_encoder
        self._trained_options = dict(trained_options)
        self._dim: int | None = None
        self._fingerprint: Mapping[str, Any] | None = None

    @classmethod
    def build(
        cls,
        modality: str,
        encoder: str,
        options: Mapping[str, Any] | None = None,
        transforms: Sequence[str] = (),
        on_bad: OnBad = "error",
    ) -> "FeaturePipeline":
        """Build a pipeline from plain settings; it is not fitted yet.

        Args:
            modality: name of the modality in the batch.
            encoder: name of a frozen or trained encoder.
            options: options of the encoder. A trained encoder that reads tokens has its own options and those of its
                tokenizer (:class:`WordIds` or :class:`SubwordIds`). A trained encoder that reads frames has its own
                options, ``frames`` (the name of a frozen encoder) and ``frames_options``.
            transforms: names of transforms, in the order in which they are applied.
            on_bad: what to do with media that cannot be decoded.

        Raises:
            ConfigError: the encoder, an option or a transform is unknown, or there are transforms on token ids.
        """
        options = dict(options or {})
        extractor, trained_encoder, trained_options = build_extractor(
            modality, encoder, options, has_transforms=bool(transforms), on_bad=on_bad
        )
        return cls(
            modality=modality,
            name=encoder,
            options=options,
            on_bad=on_bad,
            extractor=extractor,
            transforms=[build_transform(name) for name in transforms],
            trained_encoder=trained_encoder,
            trained_options=trained_options,
        )

    @property
    def spec(self) -> InputSpec:
        """Kind and size of the features that the model gets.

        Raises:
            FeatureError: the pipeline is not fitted yet.
        """
        if self._dim is None:
            raise FeatureError(f"features.{self.modality}: fit the pipeline on the training dialogues first")
        if isinstance(self._extractor, TokenFrontEnd):
            options = {**self._trained_options, **self._extractor.trained_options}
            return InputSpec(kind="tokens", dim=self._dim, encoder=self._trained_encoder, options=options)
        return InputSpec(
            kind=self._extractor.kind, dim=self._dim, encoder=self._trained_encoder, options=self._trained_options
        )

    @property
    def reads_audio(self) -> bool:
        """True if its encoder decodes the utterances' sound, so that effects on the waveform change the features."""
        traits = getattr(self._extractor, "traits", None)
        return traits is not None and traits.is_stored and "audio" in traits.reads

    @property
    def is_causal(self) -> bool:
        """False if a turn's features depend on later turns of its dialogue."""
        reads_later_turns = self._context == "dialogue" or self._context[1] != 0
        return not reads_later_turns and all(transform.is_causal for transform in self.transforms)

    @property
    def n_past_turns(self) -> int:
        """Number of earlier turns that the features of a turn depend on, if the pipeline is causal."""
        return 0 if self._context == "dialogue" else self._context[0]

    @property
    def _context(self) -> Context:
        return (
            self._extractor.traits.context if isinstance(self._extractor, CheckedEncoder) else self._extractor.context
        )

    def fit(
        self,
        train_dialogues: Sequence[Dialogue],
        store: FeatureStore | None = None,
        progress: Progress | bool | None = None,
    ) -> "FeaturePipeline":
        """Take the vocabulary and the statistics from the training dialogues.

        Args:
            train_dialogues: the training dialogues.
            store: the store that keeps frozen features. None computes them here and does not store them.
            progress: see :meth:`FeatureStore.table`.

        Raises:
            FeatureError: no utterance has this modality.
        """
        if isinstance(self._extractor, TokenFrontEnd):
            self._extractor.fit(train_dialogues)
            self._dim = self._extractor.n_ids
            return self
        rows: Mapping[str, Array] = self._encode(train_dialogues, store, progress)
        assert isinstance(self._extractor, CheckedEncoder)
        self._fingerprint = self._extractor.fingerprint()
        if not rows:
            raise FeatureError(
                f"features.{self.modality}: encoder {self.name!r} found nothing to encode in any of the "
                f"{sum(map(len, train_dialogues))} training utterances; check that they have {self.modality}, or "
                f"remove features.{self.modality}"
            )
        for transform in self.transforms:
            rows = transform.fit(rows, train_dialogues).apply(rows, train_dialogues)
        self._dim = int(next(iter(rows.values())).shape[-1])
        return self

    def table(
        self, dialogues: Sequence[Dialogue], store: FeatureStore | None = None, progress: Progress | bool | None = None
    ) -> FeatureTable:
        """Return the features of some dialogues; absent utterances have no row. See :meth:`fit` for the arguments.

        Raises:
            FeatureError: the pipeline is not fitted, features have another size than in training, or values are still
                missing after the transforms.
            MediaError: clips cannot be used, and they are not masked.
        """
        spec = self.spec
        rows: Mapping[str, Array]
        if isinstance(self._extractor, TokenFrontEnd):
            rows = self._extractor.encode(dialogues)
        else:
            rows = self._encode(dialogues, store, progress)
            for transform in self.transforms:
                rows = transform.apply(rows, dialogues)
            self._check(rows, spec)
        return FeatureTable(spec=spec, rows=rows)

    def note_on(self, dialogues: Sequence[Dialogue]) -> str | None:
        """Return a sentence if most words of these dialogues are unknown to a vocabulary from train; else None."""
        return self._extractor.note_on(dialogues) if isinstance(self._extractor, TokenFrontEnd) else None

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the fitted state: values for JSON, and arrays.

        The arrays are those of the transforms (``transforms.0.mean``, …) and the bytes of files such as
        ``tokenizer.json``.

        Raises:
            FeatureError: the encoder's fingerprint is not the one it was fitted with.
        """
        tokenizer = self._extractor if isinstance(self._extractor, TokenFrontEnd) else None
        fingerprint = None
        if isinstance(self._extractor, CheckedEncoder):
            compare_fingerprints(self._extractor, self._fingerprint)
            fingerprint = dict(self._extractor.fingerprint())
        states = [transform.state() for transform in self.transforms]
        described = {
            "modality": self.modality,
            "encoder": self.name,
            "options": self.options,
            "on_bad": self.on_bad,
            "dim": self.spec.dim,
            "fingerprint": fingerprint,
            "words": None if tokenizer is None else tokenizer.state(),
            "transforms": [state for state, _ in states],
        }
        arrays = {f"transforms.{i}.{key}": array for i, (_, some) in enumerate(states) for key, array in some.items()}
        files = {} if tokenizer is None else tokenizer.files()
        return described, arrays | {name: np.frombuffer(content, dtype=np.uint8) for name, content in files.items()}

    @classmethod
    def from_state(
        cls, state: Mapping[str, Any], arrays: Mapping[str, Array], *, trust_code: Trust = False
    ) -> "FeaturePipeline":
        """Return a saved pipeline; it is fitted.

        Args:
            state: the values that ``state()`` returned.
            arrays: the arrays that ``state()`` returned.
            trust_code: allow encoders of the form ``package.module:function``: all (True), none, or those with these
                names. Such a name imports and runs code, and a model folder can come from anybody.

        Raises:
            CheckpointError: the state is incomplete.
            ConfigError: the state names code that is not trusted.
            FeatureError: the encoder's weights are not those that the model was trained with.
        """
        try:
            modality, name, options = state["modality"], state["encoder"], state["options"]
            with only_code(trust_code):
                pipeline = cls.build(modality, name, options, on_bad=state["on_bad"])
            pipeline.transforms = tuple(
                transform_from_state(saved, _with_prefix(arrays, f"transforms.{i}."))
                for i, saved in enumerate(state["transforms"])
            )
            pipeline._dim = int(state["dim"])
            words, fingerprint = state["words"], state["fingerprint"]
        except KeyError as error:
            raise CheckpointError(f"features: the saved pipeline has no {error}; save the model again") from None
        if isinstance(pipeline._extractor, TokenFrontEnd):
            files = {name: array.tobytes() for name, array in arrays.items() if name.endswith(FILE_SUFFIX)}
            pipeline._extractor = type(pipeline._extractor).from_state(words, files)
        else:
            compare_fingerprints(pipeline._extractor, fingerprint)
            pipeline._fingerprint = fingerprint
        return pipeline

    def _encode(
        self, dialogues: Sequence[Dialogue], store: FeatureStore | None, progress: Progress | bool | None
    ) -> Mapping[str, Array]:
        """Return the rows of the frozen encoder, from the store if there is one."""
        assert isinstance(self._extractor, CheckedEncoder)
        if store is None:
            return encode_all(self._extractor, dialogues)
        compare_fingerprints(self._extractor, self._fingerprint)
        return store.table(self._extractor, dialogues, progress)

    def _check(self, rows: Mapping[str, Array], spec: InputSpec) -> None:
        """Raise FeatureError if rows have another size than in training, or values that are missing or infinite."""
        problems = []
        for key, row in rows.items():
            if row.shape[-1] != spec.dim:
                problems.append(f"{key}: {row.shape[-1]} features, but the model was fitted on {spec.dim}")
            elif not np.isfinite(row).all():
                problems.append(f"{key}: {int((~np.isfinite(row)).sum())} of {row.size} values are missing or infinite")
        if problems:
            raise FeatureError(
                *(f"features.{self.modality}: {problem}" for problem in problems),
                f"features.{self.modality}: the model cannot read {len(problems)} utterance(s); put impute first in "
                "the transforms if values are missing",
            )


def _with_prefix(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """Return the arrays whose name begins with the prefix, under names without it."""
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
