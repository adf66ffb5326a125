"""Find the same dialogue in two splits, and the same audio under several ids."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from dialogue_ser.corpus.schema import Corpus, Dialogue, Utterance, utterances
from dialogue_ser.errors import MediaError
from dialogue_ser.media.hashing import file_sha256

_SHOWN = 5


def repeated_dialogues(corpus: Corpus) -> Iterator[str]:
    """Yield a warning for each two splits that hold dialogues with the same texts, turn by turn.

    Case, punctuation and speakers do not matter. Dialogues without any text are not compared.
    """
    first_with: dict[tuple[str, ...], dict[str, Dialogue]] = {}
    exact: dict[str, set[tuple[str | None, ...]]] = {}
    for split, dialogues in corpus.splits.items():
        again: dict[str, list[str]] = {}
        for dialogue in dialogues:
            words = tuple(_words(turn.text) for turn in dialogue)
            if any(words):
                exact.setdefault(split, set()).add(_texts(dialogue))
                earlier = first_with.setdefault(words, {})
                for other in earlier.keys() - {split}:
                    n_turns = f"{len(dialogue)} turn{'' if len(dialogue) == 1 else 's'}"
                    again.setdefault(other, []).append(f"{dialogue.id} = {earlier[other].id}, {n_turns}")
                earlier.setdefault(split, dialogue)
        for other in (name for name in corpus.splits if name in again):
            n_exact = sum(_texts(dialogue) in exact[other] for dialogue in dialogues)
            yield _repeated(split, other, again[other], n_exact, len(dialogues))


def _texts(dialogue: Dialogue) -> tuple[str | None, ...]:
    return tuple(turn.text for turn in dialogue)


def _repeated(split: str, other: str, pairs: Sequence[str], n_exact: int, n_dialogues: int) -> str:
    in_words = f", {n_exact:,} of them word for word" if n_exact else ", with other case or punctuation"
    in_words = "" if n_exact == len(pairs) else in_words
    have = "has the same texts as a dialogue" if len(pairs) == 1 else "have the same texts as dialogues"
    more = f"; … {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else ""
    return (
        f"{split}: {len(pairs):,} of {n_dialogues:,} dialogues {have} of {other}{in_words} "
        f"({'; '.join(pairs[:_SHOWN])}{more}); scores of such dialogues may be too high"
    )


def _words(text: str | None) -> str:
    """Return a text in lower case and without punctuation. A text of punctuation alone stays as it is.

    >>> _words("I’m  SORRY!"), _words("I'm sorry."), _words("?!")
    ('i m sorry', 'i m sorry', '?!')
    """
    plain = unicodedata.normalize("NFKC", text or "").casefold()
    return " ".join(re.findall(r"\w+", plain)) or plain.strip()


def repeated_audio(corpus: Corpus) -> Iterator[str]:
    """Yield a warning if several utterances have the same audio: one file with one span, or files of equal content.

    Only files of equal size are read.
    """
    turns = [turn for dialogues in corpus.splits.values() for turn in utterances(dialogues) if turn.audio is not None]
    content = _contents({turn.audio.path for turn in turns if turn.audio is not None})
    groups: dict[tuple[str, float | None, float | None], list[Utterance]] = {}
    for turn in turns:
        assert turn.audio is not None
        # A span from 0 is the beginning of the file, too.
        span = (turn.audio.start_seconds or None, turn.audio.end_seconds)
        groups.setdefault((content[turn.audio.path], *span), []).append(turn)
    repeated = [group for group in groups.values() if len(group) > 1]
    split_of = {turn.id: split for split, dialogues in corpus.splits.items() for turn in utterances(dialogues)}
    in_splits = {id(group): len({split_of[turn.id] for turn in group}) > 1 for group in repeated}
    if not repeated:
        return
    repeated.sort(key=lambda group: not in_splits[id(group)])  # a stable sort: those in several splits come first
    facts = [f"{sum(in_splits.values()):,} of them in several splits"] if len(corpus.splits) > 1 else []
    n_labels = sum(len({turn.label for turn in group}) > 1 for group in repeated)
    facts += [f"{n_labels:,} of them with different labels"] if corpus.label_set is not None else []
    shown = "; ".join(_same_audio(group) for group in repeated[:_SHOWN])
    more = f"; … {len(repeated) - _SHOWN} more" if len(repeated) > _SHOWN else ""
    is_are = "clip is the audio" if len(repeated) == 1 else "clips are the audio"
    yield f"{len(repeated):,} {is_are} of several utterances{''.join(f', {fact}' for fact in facts)}: {shown}{more}"


def _contents(paths: set[Path]) -> dict[Path, str]:
    """Return file → a text that is equal for files of equal content."""
    by_size: dict[int, list[Path]] = {}
    found = {path: str(path) for path in paths}
    for path in sorted(paths):
        try:
            by_size.setdefault(path.stat().st_size, []).append(path)
        except OSError:  # decoding names files that cannot be read
            continue
    for path in (path for same in by_size.values() if len(same) > 1 for path in same):
        try:
            found[path] = file_sha256(path)
        except (MediaError, OSError):
            continue
    return found


def _same_audio(group: Sequence[Utterance]) -> str:
    names = " = ".join(turn.id for turn in group[:_SHOWN]) + (" = …" if len(group) > _SHOWN else "")
    files = list(dict.fromkeys(turn.audio.path.name for turn in group if turn.audio is not None))
    return f"{names} ({', '.join(files[:_SHOWN])})"
