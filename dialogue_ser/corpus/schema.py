"""The data types of a corpus: utterances, dialogues, label sets, and the corpus with its splits. All are frozen."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dialogue_ser.errors import CorpusError, unknown_name
from dialogue_ser.media.effects import Effects

#: The dimensions of emotion that several corpora have, in their usual order.
VAD = ("valence", "arousal", "dominance")


@dataclass(frozen=True, slots=True)
class AudioRef:
    """The file, and the span in it, that holds the sound of an utterance.

    :mod:`dialogue_ser.media` decodes it later, when the sound is needed.

    Args:
        path: audio or video file.
        start_seconds: second at which the utterance begins inside the file; None = the beginning of the file.
        end_seconds: second at which the utterance ends inside the file; None = the end of the file.
        effects: changes of the sound after decoding, to augment training data; None = no change.
        known_fault: what the reader knows to be wrong with this file, for messages; "" = nothing. Neither the
            fingerprint of the corpus nor the keys of the feature store depend on it.
    """

    path: Path
    start_seconds: float | None = None
    end_seconds: float | None = None
    effects: Effects | None = None
    known_fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One turn of a dialogue.

    Args:
        id: unique in the corpus; it begins with the split, e.g. ``train/dia12_utt3``.
        speaker: name of the speaker, as the corpus writes it.
        text: transcript, or None.
        audio: reference to the sound, or None.
        label: gold class, one of the corpus's LabelSet; None = unlabelled.
        votes: class → number of annotators who chose it, for soft labels; None = no votes are known.
        targets: dimension → gold value, on the corpus's own scale, e.g. ``{"valence": 3.2, "arousal": 2.5}``. A
            dimension that was not annotated is missing.
        sentiment: negative, neutral or positive, if the corpus states it beside the label; None = it does not. Some
            systems learn it too (:func:`~dialogue_ser.corpus.sentiment.sentiment_of`). The fingerprint of the corpus
            does not depend on it.
        start_seconds: start inside the recording, as the corpus states it, or None.
        end_seconds: end inside the recording, as the corpus states it, or None.
        origin: file and row it comes from (``train_sent_emo.csv row 214``), for error messages.
        attributes: other facts that the corpus states, by name (``session``, ``scenario``, …). Protocols can cut by
            them.
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
    sentiment: str | None = None


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A sequence of utterances in the order in which they were spoken.

    Raises:
        CorpusError: there is no utterance.
    """

    id: str
    utterances: tuple[Utterance, ...]

    def __post_init__(self) -> None:
        if not self.utterances:
            raise CorpusError(f"dialogue {self.id}: has no utterance; leave it out or give it at least one turn")

    def __len__(self) -> int:
        return len(self.utterances)

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self.utterances)

    @property
    def speakers(self) -> tuple[str, ...]:
        """The speakers, in order of first appearance.

        >>> turns = [Utterance(id=f"new/{i}", speaker=s) for i, s in enumerate(["Ross", "Joey", "Ross"])]
        >>> Dialogue("new", tuple(turns)).speakers
        ('Ross', 'Joey')
        """
        return tuple(dict.fromkeys(utterance.speaker for utterance in self.utterances))


@dataclass(frozen=True, slots=True)
class LabelSet:
    """A named, ordered set of classes. Models and tables have their columns in this order.

    Raises:
        CorpusError: there is no class, or a class is named twice.

    >>> LabelSet("sentiment", ("neutral", "positive", "negative")).index("positive")
    1
    """

    name: str
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.labels:
            raise CorpusError(f"label set {self.name}: has no class; name at least one")
        twice = sorted(label for label, n in Counter(self.labels).items() if n > 1)
        if twice:
            raise CorpusError(f"label set {self.name}: {', '.join(twice)} is named twice; name every class once")

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[str]:
        return iter(self.labels)

    def index(self, label: str) -> int:
        """Return the column of a label.

        Raises:
            CorpusError: the label is not in the set. The error names the most similar label.
        """
        if label not in self.labels:
            raise CorpusError(unknown_name(f"{self.name} label", label, self.labels))
        return self.labels.index(label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Dialogues by split. They are annotated with classes, with continuous dimensions, or with both.

    Args:
        name: name of the corpus, e.g. ``meld``.
        label_set: the classes that ``Utterance.label`` may have; None = the corpus has no classes.
        dimensions: the names that ``Utterance.targets`` may have, in order, e.g. valence, arousal, dominance; empty =
            the corpus has no continuous annotation.
        splits: split → its dialogues, e.g. train, dev, test. Any names are possible.
        licence: licence of the corpus, shown by ``dialogue-ser data describe``.
        warnings: facts that the reader found odd but accepted (gaps in ids, odd times), one sentence each.

    Raises:
        CorpusError: there are neither classes nor dimensions, or a dimension has no name or is named twice.
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
            raise CorpusError(
                f"corpus {self.name}: dimensions {self.dimensions}: one of them has no name; name each of them"
            )
        twice = sorted(dimension for dimension, n in Counter(self.dimensions).items() if n > 1)
        if twice:
            raise CorpusError(f"corpus {self.name}: dimensions: {', '.join(twice)} is named twice; name each once")

    def split(self, name: str) -> tuple[Dialogue, ...]:
        """Return the dialogues of one split.

        Raises:
            CorpusError: the split does not exist, or it is empty.
        """
        if name not in self.splits:
            raise CorpusError(f"corpus {self.name}: {unknown_name('split', name, self.splits)}")
        if not self.splits[name]:
            raise CorpusError(f"corpus {self.name}: split {name!r} is empty; give it dialogues or choose another split")
        return self.splits[name]

    def fingerprint(self, with_targets: bool = False) -> str:
        """Return a SHA-256 over all utterances of all splits. A run records it as the version of its data.

        For audio the hash covers the file name and the span, not the content. The feature store checks the content.

        Args:
            with_targets: whether the hash also covers the dimensions and targets, if there are some. Runs that are
                trained on targets or score them set this. Without it a corpus keeps its fingerprint when its reader
                begins to read targets.
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
    """Yield all utterances of some dialogues, in order."""
    for dialogue in dialogues:
        yield from dialogue
