"""Odd and damaged tables of turns: CSV, TSV, JSON, JSON Lines, parquet, xlsx.

Even cases are odd forms that people have, odd cases are tables with a damaged place. Every fourth file is read as
``predict`` reads its input, the others as ``data check`` does.

Survived:

- clear refusal: exit status 2, clear sentences, no traceback, at most 30 of them, and they name what the file is where
  it is no table; a sound file of a form that the documentation names must be read; or
- every dialogue, turn, speaker, text, label and split is the right one; or
- where people mean different things with one form: another result, with a warning that a sound table does not give; or
- in a damaged CSV, TSV or JSON Lines file, which has no checksum: all turns that were not damaged are right, in their
  dialogues and in order, and no turn came in addition but for the damaged lines. Of a file that was cut at its end, the
  whole lines are left. In other JSON, one turn may differ. A file with checksums (gz, parquet with them, xlsx) must be
  right or refused.

Nothing is written, and the file keeps its bytes.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.faults.core import damage
from benchmarks.faults.core.case import Case, Failed, Family, Outcome
from benchmarks.faults.core.damage import Damage
from benchmarks.faults.core.oracle import Refused, answer, command, failures_name, require_equal, short, warnings_given
from benchmarks.faults.table_forms import COLUMNS, ODD, SOUND, Form, Rng, turns

Dialogues = dict[str, list[list[tuple[str, ...]]]]
"""split → dialogues of turns (speaker, text, label)."""


def prepare(material: Path) -> None:
    """Nothing is needed."""


def attack(case: Case) -> Outcome:
    """Write one table and read it."""
    number, is_odd = divmod(case.number, 2)[0], case.number % 2 == 0
    rows = turns(case.rng)
    forms = ODD if is_odd else SOUND
    form = forms[number % len(forms)](rows, case.rng)
    done = None
    if not is_odd:
        assert form.content is not None
        done = _damaged(form.content, case.rng)
    what = f"{forms[number % len(forms)].__qualname__.lstrip('_').partition('.')[0]}, {form.name}"
    what += f": {done.what}" if done else ""
    case.note(what)
    path = case.folder / "data" / form.name
    path.parent.mkdir()
    content = done.content if done else form.content
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with failures_name(what):
        outcome = _read_and_judge(path, form, done, as_input=case.number % 8 in (6, 7))
        left = sorted(found.name for found in path.parent.iterdir())
        if left != [path.name] or (content is not None and path.read_bytes() != content):
            raise Failed(f"the input was changed, or files were written: {left}")
    return Outcome(outcome.how, f"{what}: {outcome.what}")


def _damaged(content: bytes, rng: Rng) -> Damage:
    """Flip a bit, cut, or put in a byte that means something to a reader of tables."""
    share = rng.random()
    if share < 0.45:
        return damage.flip_bit(content, rng)
    if share < 0.6:
        return damage.cut(content, rng)
    if share < 0.7:
        return damage.BLOCKS[int(rng.integers(2))](content, rng)
    at, mark = (
        int(rng.integers(len(content) + 1)),
        [b'"', b"\x00", b"\n", b",", b"\t", b"\r", b"\xff", b"'"][int(rng.integers(8))],
    )
    return Damage(
        content[:at] + mark + content[at:], f"inserted {mark!r} at {at} of {len(content)}", at, at, moves=True
    )


def _read_and_judge(path: Path, form: Form, done: Damage | None, *, as_input: bool) -> Outcome:
    if not as_input:
        ran = command(["data", "check", "--reader", "table", "--path", str(path), "--media", "false"])
        if ran.status == 2:
            return _refused(form, done, ran.err)
    with warnings_given() as logged:
        found = answer(lambda: _read(path, logged, as_input=as_input))
    if isinstance(found, Refused):
        return _refused(form, done, "\n".join(found.problems))
    if form.turns is None:
        if form.may_warn and logged:
            return Outcome("said", short(logged[0]))
        if as_input and form.may_warn:
            return Outcome("equal", "no label is read")
        raise Failed(f"it should be refused, but was read: {short(found)}")
    keys = [key for key in COLUMNS[1:4] if key in form.keys and not (as_input and key == "Emotion")]
    right = _right(form.turns, keys, as_input=as_input, has_splits="Split" in form.keys)
    chosen = _chosen(found, keys)
    try:
        require_equal(chosen, right)
    except Failed as difference:
        if done is None:
            return _ambiguous(form, logged, difference)
        return _local(form, done, right, chosen, logged, difference)
    return Outcome("equal", f"{len(form.turns)} turns")


def _refused(form: Form, done: Damage | None, said: str) -> Outcome:
    if done is None and form.must_read:
        raise Failed(f"a sound table was refused: {short(said)}")
    if done is None and not re.search(form.says, said):
        raise Failed(f"the refusal does not name what the file is or what to do ({form.says}): {short(said)}")
    return Outcome("refused", short(said))


def _read(path: Path, logged: list[str], *, as_input: bool) -> Dialogues:
    """Return what the library reads; warnings of the corpus join those that were logged."""
    from dialogue_ser.corpus.readers import read_corpus
    from dialogue_ser.corpus.readers.table_input import read_dialogues

    if as_input:
        splits: Mapping[str, Sequence[Any]] = {"": read_dialogues(path)}
    else:
        corpus = read_corpus("table", path)
        logged.extend(corpus.warnings)
        splits = corpus.splits
    return {
        split: [[(turn.speaker, turn.text or "", turn.label or "") for turn in dialogue] for dialogue in dialogues]
        for split, dialogues in splits.items()
    }


def _right(rows: Sequence[Mapping[str, Any]], keys: Sequence[str], *, as_input: bool, has_splits: bool) -> Dialogues:
    found: dict[str, dict[str, list[tuple[str, ...]]]] = {}
    for row in rows:
        split = "" if as_input or not has_splits else row["Split"]
        dialogue = found.setdefault(split, {}).setdefault(row["Dialogue_ID"], [])
        dialogue.append(tuple(row[key] for key in keys))
    return {split: list(dialogues.values()) for split, dialogues in found.items()}


def _chosen(found: Dialogues, keys: Sequence[str]) -> Dialogues:
    places = [COLUMNS[1:4].index(key) for key in keys]
    return {
        split: [[tuple(turn[place] for place in places) for turn in dialogue] for dialogue in dialogues]
        for split, dialogues in found.items()
    }


def _ambiguous(form: Form, logged: Sequence[str], difference: Failed) -> Outcome:
    if form.may_warn and logged:
        return Outcome("said", short(logged[0]))
    raise Failed(f"silently read in another way: {difference}")


def _local(
    form: Form, done: Damage, right: Dialogues, found: Dialogues, logged: Sequence[str], difference: Failed
) -> Outcome:
    """Judge a damaged table that was read with another result."""
    assert form.content is not None
    assert form.turns is not None
    if logged and not form.has_checksum:
        return Outcome("said", short(logged[0]))
    if form.name.endswith(".json"):
        return _local_json(form.turns, right, found, difference)
    if form.lines is None:
        raise Failed(f"silently another result: {difference}")
    first = form.content.count(b"\n", 0, done.first) - form.lines
    last = form.content.count(b"\n", 0, max(done.first, done.last - 1)) - form.lines
    if first < 0:
        raise Failed(f"silently another result after damage to the header: {difference}")
    if done.content == form.content[: len(done.content)]:
        last = len(form.turns)
    else:
        last += form.content[done.first : done.last].endswith(b"\n")  # the next line may have joined a damaged one
    whole = [row for number, row in enumerate(form.turns) if not first <= number <= last]
    texts = {row["Utterance"] for row in whole}
    place = right_keys(right).index("text")
    kept_right = _restricted(right, texts, place)
    kept_found = _restricted(found, texts, place)
    require_equal(kept_found, kept_right, "turns that were not damaged: ")
    n_more = sum(turn[place] not in texts for ds in found.values() for d in ds for turn in d)
    if n_more > last - first + 2:
        raise Failed(f"{n_more} turns came from {last - first + 1} damaged lines")
    return Outcome("local", f"only damaged lines differ: {short(difference)}")


def _local_json(rows: Sequence[Mapping[str, Any]], right: Dialogues, found: Dialogues, difference: Failed) -> Outcome:
    """Judge damaged JSON that was read: all turns but one must be right, in their dialogues and in order."""
    place = right_keys(right).index("text")
    n_turns = [sum(len(dialogue) for ds in given.values() for dialogue in ds) for given in (right, found)]
    for damaged in rows:
        texts = {row["Utterance"] for row in rows if row is not damaged}
        if _restricted(found, texts, place) == _restricted(right, texts, place) and n_turns[1] <= n_turns[0]:
            return Outcome("local", f"only one turn differs: {short(difference)}")
    raise Failed(f"silently another result for more than one turn: {difference}")


def right_keys(right: Dialogues) -> tuple[str, ...]:
    """Return what the values of a turn are: a turn always has a speaker and a text here."""
    turn = next(turn for dialogues in right.values() for dialogue in dialogues for turn in dialogue)
    return ("speaker", "text", "label")[: len(turn)]


def _restricted(given: Dialogues, texts: set[str], place: int) -> list[list[tuple[str, ...]]]:
    """Return the dialogues without other turns than those with these texts, each with its split, in one order."""
    kept = [
        [(split, *turn) for turn in dialogue if turn[place] in texts]
        for split, dialogues in given.items()
        for dialogue in dialogues
    ]
    return sorted(dialogue for dialogue in kept if dialogue)


FAMILY = Family(
    name="tables",
    fault="odd and damaged CSV, TSV, JSON, JSON Lines, parquet and xlsx tables",
    one_try="one table, checked and read",
    survives="every undamaged turn right, or a clear refusal; where a form is ambiguous, a warning",
    quick=130,
    full=500,
    prepare=prepare,
    attack=attack,
)
