"""What a corpus is: frozen utterances in dialogues, a label set or continuous dimensions, and splits as data."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dialogue_ser.errors import CorpusError, unknown_name
from dialogue_ser.media.effects import Effects

#: The dimensions of emotion that several corpora are annotated in, in their usual order: valence, arousal, dominance.
VAD = ("valence", "arousal", "dominance")


@dataclass(frozen=True, slots=True)
class AudioRef:
    """Where an utterance can be heard; decoded lazily by :mod:`dialogue_ser.media`.

    Args:
        path: audio or video file.
        start_seconds: first second of the utterance inside the file; None = from its beginning.
        end_seconds: end of the utterance inside the file; None = to its end.
        effects: what is done to the sound after decoding (augmentation of training data); None = nothing.
    """

    path: Path
    start_seconds: float | None = None
    end_seconds: float | None = None
    effects: Effects | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One turn of a dialogue.

    Args:
        id: unique inside the corpus and carrying the split, e.g. ``train/dia12_utt3``.
        speaker: who speaks, as the corpus names them.
        text: transcript, or None.
        audio: reference to the sound, or None.
        label: gold class, one of the corpus's LabelSet, or None where unlabelled.
        votes: annotators' counts per class, for soft labels, or None.
        targets: gold value per dimension of the corpus, on the corpus's own scale, e.g. ``{"valence": 3.2, "arousal":
            2.5}``; a dimension that was not annotated is missing.
        start_seconds: start inside the recording, as the corpus says, or None.
        end_seconds: end inside the recording, as the corpus says, or None.
        origin: where it was read (``train_sent_emo.csv row 214``), for error messages.
        attributes: what else the corpus says of it, by name (``session``, ``scenario``, …): what protocols cut by.
    """

    id: str
    speaker: str
    text: str | None = None
    audio: AudioRef | None = None
    label: str | None = None
    votes: Mapping[str, float] | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None
    origin: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A sequence of utterances in the order they were spoken (never empty).

    Raises:
        CorpusError: no utterance.
    """

    id: str
    utterances: tuple[Utterance, ...]

    def __post_init__(self) -> None:
        if not self.utterances:
            raise CorpusError(f"dialogue {self.id}: has no utterance; drop it or give it at least one turn")

    def __len__(self) -> int:
        return len(self.utterances)

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self.utterances)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Speakers in order of first appearance.

        >>> turns = [Utterance(id=f"new/{i}", speaker=s) for i, s in enumerate(["Ross", "Joey", "Ross"])]
        >>> Dialogue("new", tuple(turns)).speakers
        ('Ross', 'Joey')
        """
        return tuple(dict.fromkeys(utterance.speaker for utterance in self.utterances))


@dataclass(frozen=True, slots=True)
class LabelSet:
    """A named, ordered set of classes; the order fixes the columns of every model and table.

    Raises:
        CorpusError: no class, or the same class twice.

    >>> LabelSet("sentiment", ("neutral", "positive", "negative")).index("positive")
    1
    """

    name: str
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.labels:
            raise CorpusError(f"label set {self.name}: has no class; name at least one")
        twice = sorted({label for label in self.labels if self.labels.count(label) > 1})
        if twice:
            raise CorpusError(f"label set {self.name}: {', '.join(twice)} stands there twice; name every class once")

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[str]:
        return iter(self.labels)

    def index(self, label: str) -> int:
        """Column of a label.

        Raises:
            CorpusError: the label is not in the set; names the nearest one.
        """
        if label not in self.labels:
            raise CorpusError(unknown_name(f"{self.name} label", label, self.labels))
        return self.labels.index(label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Dialogues by split, with the classes or the continuous dimensions (or both) they are annotated in.

    Args:
        name: e.g. ``meld``.
        label_set: the annotation that ``Utterance.label`` holds; None = the corpus has no classes.
        dimensions: what ``Utterance.targets`` may hold, in order, e.g. valence, arousal, dominance; empty = the corpus
            has no continuous annotation.
        splits: dialogues per split, e.g. train, dev, test (names are free).
        licence: under which the corpus may be used, shown by ``dialogue-ser data describe``.
        warnings: what a reader noticed and kept (id gaps, odd times), one sentence each.

    Raises:
        CorpusError: neither classes nor dimensions, or a dimension without a name or named twice.
    """

    name: str
    label_set: LabelSet | None = None
    dimensions: tuple[str, ...] = ()
    splits: Mapping[str, tuple[Dialogue, ...]]
    licence: str = "unknown"
    warnings: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.label_set is None and not self.dimensions:
            raise CorpusError(f"corpus {self.name}: has neither classes nor dimensions; give a label_set or dimensions")
        if not all(dimension.strip() for dimension in self.dimensions):
            raise CorpusError(f"corpus {self.name}: dimensions {self.dimensions}: one has no name; name each of them")
        twice = sorted({dimension for dimension in self.dimensions if self.dimensions.count(dimension) > 1})
        if twice:
            raise CorpusError(f"corpus {self.name}: dimensions: {', '.join(twice)} stands there twice; name each once")

    def split(self, name: str) -> tuple[Dialogue, ...]:
        """Dialogues of one split.

        Raises:
            CorpusError: no such split, or it is empty.
        """
        if name not in self.splits:
            raise CorpusError(f"corpus {self.name}: {unknown_name('split', name, self.splits)}")
        if not self.splits[name]:
            raise CorpusError(f"corpus {self.name}: split {name!r} is empty; give it dialogues or choose another split")
        return self.splits[name]

    def fingerprint(self, with_targets: bool = False) -> str:
        """SHA-256 over every utterance of every split: the data version a run records.

        Audio counts by path name and span, not by content (the feature store checks contents).

        Args:
            with_targets: dimensions and targets count too, where there are some; runs that learn or score them ask for
                this. Without it a corpus keeps its fingerprint when a reader starts to read targets.
        """
        classes = (None, ()) if self.label_set is None else (self.label_set.name, self.label_set.labels)
        head: list[object] = [self.name, *classes]
        if with_targets and self.dimensions:
            head.append(self.dimensions)
        digest = hashlib.sha256(json.dumps(head).encode())
        for split in sorted(self.splits):
            for dialogue in self.splits[split]:
                for turn in dialogue:
                    ref = turn.audio
                    audio = None if ref is None else [ref.path.name, ref.start_seconds, ref.end_seconds]
                    votes = None if turn.votes is None else sorted(turn.votes.items())
                    row: list[object] = [
                        split, dialogue.id, turn.id, turn.speaker, turn.text, turn.label, audio, votes
                    ]  # fmt: skip
                    if turn.attributes:
                        row.append(sorted(turn.attributes.items()))
                    if with_targets and turn.targets:
                        row.append({"targets": sorted((name, float(value)) for name, value in turn.targets.items())})
                    digest.update(json.dumps(row).encode())
        return digest.hexdigest()


def utterances(dialogues: Sequence[Dialogue]) -> Iterator[Utterance]:
    """Every utterance of some dialogues, in order."""
    for dialogue in dialogues:
        yield from dialogue
