"""One modality's path from dialogues to model-ready arrays: encoder, transforms, and their state in a saved model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.errors import CheckpointError, FeatureError
from dialogue_ser.features.core.api import Array, FeatureTable, InputSpec
from dialogue_ser.features.core.bad_clips import OnBad
from dialogue_ser.features.core.checked_encoder import CheckedEncoder
from dialogue_ser.features.core.fingerprints import compare_fingerprints
from dialogue_ser.features.core.traits import Context
from dialogue_ser.features.store.feature_store import FeatureStore, Progress
from dialogue_ser.features.store.work_units import encode_all
from dialogue_ser.features.text.front_end import TokenFrontEnd
from dialogue_ser.features.transforms import build_transform, from_state
from dialogue_ser.features.transforms.base import Transform
from dialogue_ser.inputs.extractor import FRAMES, build_source

#: Arrays (uint8) whose name ends so become files of their own in a saved model, which other programs read too.
FILE_SUFFIX = ".json"


class FeaturePipeline:
    """Encoder and transforms of one modality; build it, fit it on train, then ask it for tables.

    Args:
        modality: name under which the batch carries it.
        name: encoder as configured.
        options: as configured.
        on_bad: what to do with media that cannot be decoded.
        source: frozen encoder (``CheckedEncoder``) or what gives a trained one its tokens.
        transforms: applied in this order.
        reader: trained encoder that reads tokens or frames, or None for vectors.
        reader_options: its options.

    Attributes:
        spec: shape in which the modality reaches the model; known after ``fit``.
        absent_ids: utterances of the tables given so far that have no row.
    """

    def __init__(
        self,
        *,
        modality: str,
        name: str,
        options: Mapping[str, Any],
        on_bad: OnBad,
        source: CheckedEncoder | TokenFrontEnd,
        transforms: Sequence[Transform],
        reader: str | None,
        reader_options: Mapping[str, Any],
    ) -> None:
        self.modality = modality
        self.name = name
        self.options = dict(options)
        self.on_bad: OnBad = on_bad
        self.transforms = tuple(transforms)
        self.absent_ids: set[str] = set()
        self._source = source
        self._reader = reader
        self._reader_options = dict(reader_options)
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
        """A pipeline from plain settings, not fitted yet.

        Options of a trained encoder on tokens are those of its front end (:class:`WordIds`, :class:`SubwordIds`) and
        its own; of one on frames ``frames`` (a frozen encoder's name), ``frames_options`` and its own.

        Raises:
            ConfigError: unknown encoder, option or transform, or transforms on token ids.
        """
        options = dict(options or {})
        source, reader, reader_options = build_source(
            modality, encoder, options, has_transforms=bool(transforms), on_bad=on_bad
        )
        return cls(
            modality=modality,
            name=encoder,
            options=options,
            on_bad=on_bad,
            source=source,
            transforms=[build_transform(name) for name in transforms],
            reader=reader,
            reader_options=reader_options,
        )

    @property
    def spec(self) -> InputSpec:
        """Shape in which the modality reaches the model.

        Raises:
            FeatureError: not fitted yet.
        """
        if self._dim is None:
            raise FeatureError(f"features.{self.modality}: fit the pipeline on the training dialogues first")
        if isinstance(self._source, TokenFrontEnd):
            options = {**self._reader_options, **self._source.for_reader}
            return InputSpec(kind="tokens", dim=self._dim, encoder=self._reader, options=options)
        return InputSpec(kind=self._source.kind, dim=self._dim, encoder=self._reader, options=self._reader_options)

    @property
    def n_masked(self) -> int:
        """Utterances of all tables so far that lack this modality: no text or audio, no row, or media masked as bad."""
        return len(self.absent_ids)

    @property
    def reads_audio(self) -> bool:
        """True if its encoder decodes the utterances' sound, so that effects on the waveform change what it gives."""
        traits = getattr(self._source, "traits", None)
        return traits is not None and traits.is_stored and "audio" in traits.reads

    @property
    def is_causal(self) -> bool:
        """False if a turn's features depend on later turns of its dialogue."""
        source_looks_ahead = self._context == "dialogue" or self._context[1] != 0
        return not source_looks_ahead and all(transform.is_causal for transform in self.transforms)

    @property
    def n_past_turns(self) -> int:
        """How many earlier turns a causal pipeline looks at."""
        return 0 if self._context == "dialogue" else self._context[0]

    @property
    def _context(self) -> Context:
        return self._source.traits.context if isinstance(self._source, CheckedEncoder) else self._source.context

    def fit(
        self,
        train_dialogues: Sequence[Dialogue],
        store: FeatureStore | None = None,
        progress: Progress | bool | None = None,
    ) -> "FeaturePipeline":
        """Take vocabulary and statistics from the training dialogues.

        Args:
            train_dialogues: the training split.
            store: where frozen features are kept; None = computed here and kept nowhere.
            progress: as in :meth:`FeatureStore.table`.

        Raises:
            FeatureError: no utterance has this modality.
        """
        if isinstance(self._source, TokenFrontEnd):
            self._source.fit(train_dialogues)
            self._dim = self._source.n_ids
            return self
        rows: Mapping[str, Array] = self._encode(train_dialogues, store, progress)
        assert isinstance(self._source, CheckedEncoder)
        self._fingerprint = self._source.fingerprint()
        if not rows:
            raise FeatureError(
                f"features.{self.modality}: encoder {self.name!r} found nothing to encode in any of the "
                f"{sum(map(len, train_dialogues))} training utterances; do they have {self.modality}?"
            )
        for transform in self.transforms:
            rows = transform.fit(rows, train_dialogues).apply(rows, train_dialogues)
        self._dim = int(next(iter(rows.values())).shape[-1])
        return self

    def table(
        self, dialogues: Sequence[Dialogue], store: FeatureStore | None = None, progress: Progress | bool | None = None
    ) -> FeatureTable:
        """Model-ready arrays of some dialogues; absent utterances are counted in ``n_masked``.

        Raises:
            FeatureError: not fitted; features of another size than in training; values that are still missing.
            MediaError: clips that cannot be used, unless they are masked.
        """
        spec = self.spec
        rows: Mapping[str, Array]
        if isinstance(self._source, TokenFrontEnd):
            rows = self._source.encode(dialogues)
        else:
            rows = self._encode(dialogues, store, progress)
            for transform in self.transforms:
                rows = transform.apply(rows, dialogues)
            self._check(rows, spec)
        self.absent_ids.update(turn.id for turn in utterances(dialogues) if turn.id not in rows)
        return FeatureTable(spec=spec, rows=rows)

    def state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """JSON-able state, and arrays: ``transforms.0.mean`` …, and bytes of files such as ``tokenizer.json``.

        Raises:
            FeatureError: the encoder's fingerprint is no longer the one it was fitted with.
        """
        front = self._source if isinstance(self._source, TokenFrontEnd) else None
        fingerprint = None
        if isinstance(self._source, CheckedEncoder):
            compare_fingerprints(self._source, self._fingerprint)
            fingerprint = dict(self._source.fingerprint())
        states = [transform.state() for transform in self.transforms]
        described = {
            "modality": self.modality,
            "encoder": self.name,
            "options": self.options,
            "on_bad": self.on_bad,
            "dim": self.spec.dim,
            "fingerprint": fingerprint,
            "words": None if front is None else front.state(),
            "transforms": [state for state, _ in states],
        }
        arrays = {f"transforms.{i}.{key}": array for i, (_, some) in enumerate(states) for key, array in some.items()}
        files = {} if front is None else front.files()
        return described, arrays | {name: np.frombuffer(content, dtype=np.uint8) for name, content in files.items()}

    @classmethod
    def from_state(
        cls, state: Mapping[str, Any], arrays: Mapping[str, Array], *, trust_code: bool = False
    ) -> "FeaturePipeline":
        """The same fitted pipeline.

        Args:
            state: first part of ``state()``.
            arrays: second part.
            trust_code: allow an encoder given as ``package.module:function``. A model folder comes from anywhere, and
                such a name imports and runs code, so it is refused unless the caller says so.

        Raises:
            CheckpointError: the state lacks parts, or needs code that is not trusted.
            FeatureError: the encoder's weights are not those the model was trained with.
        """
        try:
            modality, name, options = state["modality"], state["encoder"], state["options"]
            if not trust_code and any(":" in str(part) for part in (name, options.get(FRAMES, ""))):
                raise CheckpointError(untrusted(modality, name))
            pipeline = cls.build(modality, name, options, on_bad=state["on_bad"])
            pipeline.transforms = tuple(
                from_state(saved, _named(arrays, f"transforms.{i}.")) for i, saved in enumerate(state["transforms"])
            )
            pipeline._dim = int(state["dim"])
            words, fingerprint = state["words"], state["fingerprint"]
        except KeyError as error:
            raise CheckpointError(f"features: the saved pipeline has no {error}; save the model again") from None
        if isinstance(pipeline._source, TokenFrontEnd):
            files = {name: array.tobytes() for name, array in arrays.items() if name.endswith(FILE_SUFFIX)}
            pipeline._source = type(pipeline._source).from_state(words, files)
        else:
            compare_fingerprints(pipeline._source, fingerprint)
            pipeline._fingerprint = fingerprint
        return pipeline

    def _encode(
        self, dialogues: Sequence[Dialogue], store: FeatureStore | None, progress: Progress | bool | None
    ) -> Mapping[str, Array]:
        assert isinstance(self._source, CheckedEncoder)
        if store is None:
            return encode_all(self._source, dialogues)
        compare_fingerprints(self._source, self._fingerprint)
        return store.table(self._source, dialogues, progress)

    def _check(self, rows: Mapping[str, Array], spec: InputSpec) -> None:
        problems = []
        for key, row in rows.items():
            if row.shape[-1] != spec.dim:
                problems.append(f"{key}: {row.shape[-1]} features, the model was fitted on {spec.dim}")
            elif not np.isfinite(row).all():
                problems.append(f"{key}: {int((~np.isfinite(row)).sum())} of {row.size} values are missing or infinite")
        if problems:
            raise FeatureError(
                *(f"features.{self.modality}: {problem}" for problem in problems[:10]),
                f"features.{self.modality}: {len(problems)} utterance(s) cannot reach the model; "
                "put impute first in its transforms if values are missing",
            )


def untrusted(modality: str, encoder: object) -> str:
    """Sentence on an encoder that a saved model names and that would have to be imported."""
    return (
        f"features.{modality}: the model needs your own encoder {encoder!r}; import it and register it with "
        "@register_encoder under a name of its own, or load with trust_code=True (--trust_code) if the model is yours"
    )


def _named(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}
