"""Check a corpus before anything is computed from it. One error lists all bad rows."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from dialogue_ser.corpus.duplicates import repeated_dialogues
from dialogue_ser.corpus.field_types import check_types
from dialogue_ser.corpus.label_checks import label_counts, label_warnings
from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet, Utterance, utterances
from dialogue_ser.corpus.sentiment import SENTIMENTS
from dialogue_ser.errors import CorpusError, unknown_name

# Seconds since 1970 stay below it; milliseconds do not.
_MOST_SECONDS = 1e11
# More digits are no number that counts turns.
_NUMBERED = re.compile(r"(.*?)(\d{1,18})")
#: A turn of a conversation rarely takes longer than this. Longer spans give a warning.
LONG_SPAN_SECONDS = 60.0


def validate(corpus: Corpus) -> Corpus:
    """Check a corpus, and add a warning for everything that is odd but usable.

    Errors: a value of a wrong type, an empty split, a duplicate utterance or dialogue id, an id that does not begin
    with its split, a label or vote that is not in the label set, a target that is not in the dimensions or has no
    finite value, an unknown sentiment, a turn without a speaker, impossible votes or times. Warnings: gaps in numbered
    ids, turns with neither text nor audio, spans that are very long or have no length, splits without any label or
    without any value of a dimension, labels that look like mistakes (:mod:`~dialogue_ser.corpus.label_checks`),
    dialogues that are in two splits.

    Returns:
        The same corpus with the warnings added.

    Raises:
        CorpusError: something is wrong; one sentence for each bad row.
    """
    check_types(corpus)
    problems = corpus_problems(corpus)
    if problems:
        raise CorpusError(*problems)
    warnings = [
        *_id_gaps(corpus),
        *_odd_spans(corpus),
        *_odd_turns(corpus),
        *_odd_labels(corpus),
        *repeated_dialogues(corpus),
    ]
    return replace(corpus, warnings=(*corpus.warnings, *warnings))


def corpus_problems(corpus: Corpus) -> list[str]:
    """Return all reasons why :func:`validate` refuses a corpus. Readers add them to the bad rows that they found."""
    return [
        *_empty_splits(corpus),
        *_duplicate_ids(corpus),
        *_wrong_prefixes(corpus),
        *(problem for turn in _turns(corpus) for problem in _turn_problems(corpus, turn)),
    ]


def _turns(corpus: Corpus) -> Iterator[Utterance]:
    for dialogues in corpus.splits.values():
        yield from utterances(dialogues)


def _where(turn: Utterance) -> str:
    return f"{turn.origin} ({turn.id})" if turn.origin else turn.id


def _empty_splits(corpus: Corpus) -> Iterator[str]:
    if not corpus.splits:
        yield f"corpus {corpus.name}: has no split; give it at least one, e.g. train"
    for split, dialogues in corpus.splits.items():
        if not dialogues:
            yield f"corpus {corpus.name}: split {split!r} is empty; give it dialogues or leave it out"


def _duplicate_ids(corpus: Corpus) -> Iterator[str]:
    first: dict[str, Utterance] = {}
    for turn in _turns(corpus):
        if turn.id in first:
            yield (
                f"{_where(turn)}: id {turn.id!r} is also the id of {_where(first[turn.id])}; give each turn its own id"
            )
        first.setdefault(turn.id, turn)
    seen: dict[str, Dialogue] = {}
    for dialogue in (dialogue for dialogues in corpus.splits.values() for dialogue in dialogues):
        if dialogue.id in seen:
            here, there = _where(dialogue.utterances[0]), _where(seen[dialogue.id].utterances[0])
            yield f"{here}: dialogue id {dialogue.id!r} is also the id of {there}; give each dialogue its own id"
        seen.setdefault(dialogue.id, dialogue)


def _wrong_prefixes(corpus: Corpus) -> Iterator[str]:
    for split, dialogues in corpus.splits.items():
        for dialogue in dialogues:
            if not dialogue.id.startswith(f"{split}/"):
                yield f"dialogue {dialogue.id}: is in split {split!r}; its id must begin with '{split}/'"
            for turn in dialogue:
                if not turn.id.startswith(f"{split}/"):
                    yield f"{_where(turn)}: is in split {split!r}; its id must begin with '{split}/'"


def _turn_problems(corpus: Corpus, turn: Utterance) -> Iterator[str]:
    where = _where(turn)
    if not turn.speaker.strip():
        yield f"{where}: has no speaker; name one, or map no column to speaker so that all turns share one speaker"
    yield from (f"{where}: {problem}" for problem in _label_problems(corpus.label_set, turn))
    yield from (f"{where}: {problem}" for problem in _target_problems(corpus.dimensions, turn))
    if turn.sentiment is not None and turn.sentiment not in SENTIMENTS:
        yield f"{where}: {unknown_name('sentiment', turn.sentiment, SENTIMENTS)}"
    spans = [("times", turn.start_seconds, turn.end_seconds)]
    if turn.audio is not None:
        spans.append(("audio span", turn.audio.start_seconds, turn.audio.end_seconds))
    for name, start, end in spans:
        if any(value is not None and not (math.isfinite(value) and value >= 0) for value in (start, end)):
            yield f"{where}: {name} {start}–{end} s; seconds must be finite numbers and at least 0"
        elif any(value is not None and value > _MOST_SECONDS for value in (start, end)):
            yield f"{where}: {name} {start}–{end} s, which is thousands of years; give seconds, not milliseconds"
        elif start is not None and end is not None and end < start:
            yield f"{where}: {name} {start}–{end} s; the end is before the start: correct one of them"


def _label_problems(label_set: LabelSet | None, turn: Utterance) -> Iterator[str]:
    if label_set is None:
        if turn.label is not None or turn.votes is not None:
            yield "has a label or votes, but the corpus has no classes; leave them out, or give the corpus a label_set"
        return
    what, labels = f"{label_set.name} label", label_set.labels
    if turn.label is not None and turn.label not in labels:
        yield f"{unknown_name(what, turn.label, labels)}; correct it or map it (--data.options.label_map)"
    if turn.votes is not None:
        for name in turn.votes:
            if name not in labels:
                yield f"votes: {unknown_name(what, name, labels)}"
        counts = list(turn.votes.values())
        if not all(math.isfinite(count) and count >= 0 for count in counts) or sum(counts) <= 0:
            yield f"votes {dict(turn.votes)}: every number must be finite and at least 0, and one must be above 0"


def _target_problems(dimensions: Sequence[str], turn: Utterance) -> Iterator[str]:
    if turn.targets and not dimensions:
        yield f"has targets ({', '.join(turn.targets)}), but the corpus has no dimensions; give it dimensions"
        return
    for name, value in turn.targets.items():
        if name not in dimensions:
            yield f"targets: {unknown_name('dimension', name, dimensions)}"
        elif not _is_finite(value):
            yield f"targets: {name} {value!r} is not a finite number; leave {name} out where it was not annotated"


def _is_finite(value: object) -> bool:
    # A user's own reader can return values of any type.
    try:
        return math.isfinite(value)  # type: ignore[arg-type]
    except TypeError:
        return False


def _id_gaps(corpus: Corpus) -> Iterator[str]:
    for split, dialogues in corpus.splits.items():
        if all(len(dialogue) == 1 for dialogue in dialogues):
            continue  # There are no dialogues in which a turn could be missing.
        numbered = {dialogue.id: numbers for dialogue in dialogues if (numbers := _numbers(dialogue))}
        origin = min((numbers[0] for numbers in numbered.values()), default=0)
        gaps = [name for name, numbers in numbered.items() if numbers != list(range(origin, origin + len(numbers)))]
        if gaps:
            yield (
                f"{split}: utterance ids have gaps in {len(gaps)} dialogues ({_first_few(gaps)}); "
                "the reader adds no turn there"
            )
        backwards = [name for name, numbers in numbered.items() if numbers != sorted(numbers)]
        if backwards:
            yield (
                f"{split}: utterance ids do not rise in {len(backwards)} dialogues ({_first_few(backwards)}); "
                "the turns keep the order of the file"
            )


def _numbers(dialogue: Dialogue) -> list[int]:
    """Return the numbers at the end of the utterance ids, or [] if the ids are not all numbered in the same way."""
    if dialogue.utterances[0].id == dialogue.id:
        return []  # In a corpus of single utterances the number belongs to the clip. It does not count turns.
    matches = [_NUMBERED.fullmatch(turn.id) for turn in dialogue]
    found = [match for match in matches if match is not None]
    if len(found) < len(matches) or len({match[1] for match in found}) > 1:
        return []
    return [int(match[2]) for match in found]


def _odd_spans(corpus: Corpus) -> Iterator[str]:
    for split, dialogues in corpus.splits.items():
        zero, long = [], []
        for turn in utterances(dialogues):
            if turn.start_seconds is None or turn.end_seconds is None:
                continue
            length = turn.end_seconds - turn.start_seconds
            if length == 0:
                zero.append(turn.id)
            elif length > LONG_SPAN_SECONDS:
                long.append(f"{turn.id}: {length:.0f} s")
        if zero:
            yield f"{split}: {len(zero)} turns have zero length by their times ({_first_few(zero)})"
        if long:
            yield (
                f"{split}: {len(long)} turns are longer than {LONG_SPAN_SECONDS:.0f} s by their times "
                f"({_first_few(long)})"
            )


def _odd_turns(corpus: Corpus) -> Iterator[str]:
    for split, dialogues in corpus.splits.items():
        bare = [turn.id for turn in utterances(dialogues) if not (turn.text or "").strip() and turn.audio is None]
        if bare:
            yield f"{split}: {len(bare)} turns have neither text nor audio ({_first_few(bare)})"
        if corpus.label_set is not None and all(turn.label is None for turn in utterances(dialogues)):
            yield f"{split}: no turn is labelled; the split can be predicted but not scored"
        annotated = {name for turn in utterances(dialogues) for name in turn.targets}
        missing = [name for name in corpus.dimensions if name not in annotated]
        if missing:
            yield f"{split}: no turn has a value of {', '.join(missing)}; the split can be predicted but not scored"


def _odd_labels(corpus: Corpus) -> Iterator[str]:
    if corpus.label_set is not None:
        yield from label_warnings(label_counts([turn.label for turn in _turns(corpus)], corpus.label_set.labels))


def _first_few(names: list[str], limit: int = 5) -> str:
    return ", ".join(names[:limit]) + (f", … {len(names) - limit} more" if len(names) > limit else "")
