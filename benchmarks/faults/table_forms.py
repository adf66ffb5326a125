"""The forms in which people keep tables of turns. Every form writes the same turns, or says in which way it is odd."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Rng = np.random.Generator
Turn = Mapping[str, Any]
COLUMNS = ("Dialogue_ID", "Speaker", "Utterance", "Emotion", "Split")
_LABELS = ("joy", "anger", "neutral")
_WORDS = (
    "well",
    "no",
    "I see, you know",
    'he said "go"',
    "naïve café",
    "NA",
    "None",
    "10 %",
    "so; what",
    "ça va?",
    "嗯",
    "🙂 ok",
)
_SIZES = {"train": 4, "dev": 1, "test": 2}


@dataclass(frozen=True)
class Form:
    """A file and what a reader may make of it.

    Args:
        name: name of the file.
        content: its bytes; None = a folder of this name.
        turns: the turns that it holds, in order; None = there is no right way to read it, so it must be refused.
        may_warn: whether another result is right too, if a warning says so, because people mean different things.
        lines: for forms with one turn a line, the place of the first turn's line; None for all others.
        has_checksum: whether a checksum in the file covers all that it says.
        keys: what of a turn the file says: a form may lack labels or splits.
        must_read: whether it must be read: it is a form that the documentation names, so a refusal is a failure.
        says: a refusal must match this pattern: it names what the file is, or the way out.
    """

    name: str
    content: bytes | None
    turns: Sequence[Turn] | None
    may_warn: bool = False
    lines: int | None = None
    has_checksum: bool = False
    keys: tuple[str, ...] = field(default=COLUMNS)
    must_read: bool = False
    says: str = ""


def turns(rng: Rng) -> list[Turn]:
    """Return some dialogues; every text occurs once."""
    rows: list[Turn] = []
    number = 0
    for split, n in _SIZES.items():
        for dialogue in range(n):
            for _ in range(int(rng.integers(2, 5))):
                text = f"{rng.choice(_WORDS)} {number} {rng.choice(_WORDS)}"
                label = _LABELS[number % 3] if split == "train" else str(rng.choice(_LABELS))
                values = (f"{split}{dialogue}", str(rng.choice(["Ann", "Bo", "Cy"])), text, label, split)
                rows.append(dict(zip(COLUMNS, values, strict=True)))
                number += 1
    return rows


def as_csv(
    rows: Sequence[Turn],
    delimiter: str = ",",
    quoting: Literal[0, 1, 2, 3] = csv.QUOTE_MINIMAL,
    columns: Sequence[str] = (),
    end: str = "\n",
) -> str:
    """Return a CSV text."""
    out = io.StringIO()
    chosen = columns or list(rows[0])
    plain = quoting == csv.QUOTE_NONE
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end, quotechar=None if plain else '"')
    writer.writerow(chosen)
    writer.writerows([row[name] for name in chosen] for row in rows)
    return out.getvalue()


def _plain(rows: list[Turn], rng: Rng) -> Form:
    return Form("turns.csv", as_csv(rows).encode(), rows, lines=1, must_read=True)


def _tab(rows: list[Turn], rng: Rng) -> Form:
    return Form("turns.tsv", as_csv(rows, "\t").encode(), rows, lines=1, must_read=True)


def _semicolon(rows: list[Turn], rng: Rng) -> Form:
    return Form("turns.csv", as_csv(rows, ";").encode(), rows, lines=1, says="(?i)option delimiter|semicolon")


def _unquoted(rows: list[Turn], rng: Rng) -> Form:
    return Form("turns.tsv", as_csv(rows, "\t", csv.QUOTE_NONE).encode(), rows, lines=1, must_read=True)


def _quoted(rows: list[Turn], rng: Rng) -> Form:
    return Form("turns.csv", as_csv(rows, quoting=csv.QUOTE_ALL).encode(), rows, lines=1, must_read=True)


def _bom(rows: list[Turn], rng: Rng) -> Form:
    return Form("turns.csv", as_csv(rows).encode("utf-8-sig"), rows, lines=1, must_read=True)


def _utf16(rows: list[Turn], rng: Rng) -> Form:
    return Form("turns.csv", as_csv(rows).encode("utf-16"), rows, says="UTF-16")


def _latin(rows: list[Turn], rng: Rng) -> Form:
    return Form("turns.csv", as_csv(rows).encode("cp1252", "replace"), None, says="encoding")


def _line_ends(rows: list[Turn], rng: Rng) -> Form:
    end = str(rng.choice(["\r\n", "\r"]))
    return Form("turns.csv", as_csv(rows, end=end).encode(), rows, must_read=True)


def _blank_end(rows: list[Turn], rng: Rng) -> Form:
    return Form("turns.csv", as_csv(rows).encode() + b"\n" * int(rng.integers(1, 5)), rows, lines=1, must_read=True)


def _gzipped(rows: list[Turn], rng: Rng) -> Form:
    return Form("turns.csv.gz", gzip.compress(as_csv(rows).encode(), mtime=0), rows, has_checksum=True, says="gz")


def _json_lines(rows: list[Turn], rng: Rng) -> Form:
    lines = [json.dumps(row, ensure_ascii=bool(rng.integers(2))) for row in rows]
    return Form("turns.jsonl", ("\n".join(lines) + "\n").encode(), rows, lines=0, must_read=True)


def _json_array(rows: list[Turn], rng: Rng) -> Form:
    return Form("turns.json", json.dumps(rows, indent=[None, 1][int(rng.integers(2))]).encode(), rows, says="JSON")


def _json_dialogues(rows: list[Turn], rng: Rng) -> Form:
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row["Dialogue_ID"], []).append({k: v for k, v in row.items() if k != "Dialogue_ID"})
    return Form("turns.json", json.dumps(found, ensure_ascii=False).encode(), rows, says="JSON")


def _parquet(rows: list[Turn], rng: Rng) -> Form:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), out, write_page_checksum=True)
    return Form("turns.parquet", out.getvalue(), rows, has_checksum=True, says="(?i)parquet")


def _xlsx(rows: list[Turn], rng: Rng) -> Form:
    from openpyxl import Workbook

    book, out = Workbook(), io.BytesIO()
    sheet = book.active
    assert sheet is not None
    sheet.append(list(COLUMNS))
    for row in rows:
        sheet.append([row[name] for name in COLUMNS])
    book.save(out)
    return Form("turns.xlsx", out.getvalue(), rows, has_checksum=True, says="(?i)excel|xlsx|spreadsheet")


def _more_columns(rows: list[Turn], rng: Rng) -> Form:
    columns = [*COLUMNS, "Season", "note"]
    rng.shuffle(columns)
    more = [{**row, "Season": 3, "note": "" if number % 2 else "x,y"} for number, row in enumerate(rows)]
    return Form("turns.csv", as_csv(more, columns=columns).encode(), rows, lines=1, must_read=True)


def _header_case(rows: list[Turn], rng: Rng) -> Form:
    changed = [str.upper, str.lower, str.title][int(rng.integers(3))]
    return Form(
        "turns.csv",
        as_csv([{changed(k): v for k, v in row.items()} for row in rows]).encode(),
        rows,
        lines=1,
        must_read=True,
    )


def _index_column(rows: list[Turn], rng: Rng) -> Form:
    return Form("turns.csv", as_csv([{"": number, **row} for number, row in enumerate(rows)]).encode(), rows, lines=1)


def _split_names(rows: list[Turn], rng: Rng) -> Form:
    names = {
        "train": ["Train", "TRAIN", "train"],
        "dev": ["VALIDATION", "valid", "val"],
        "test": ["Test", "TEST", "test"],
    }
    chosen = {split: str(rng.choice(usual)) for split, usual in names.items()}
    return Form("turns.csv", as_csv([{**row, "Split": chosen[row["Split"]]} for row in rows]).encode(), rows, True)


def _without(name: str) -> Callable[[list[Turn], Rng], Form]:
    def write(rows: list[Turn], rng: Rng) -> Form:
        kept = tuple(column for column in COLUMNS if column != name)
        return Form("turns.csv", as_csv(rows, columns=kept).encode(), rows, True, keys=kept)

    return write


def _blank_between(rows: list[Turn], rng: Rng) -> Form:
    kept = COLUMNS[1:]
    lines = as_csv(rows, columns=kept).splitlines()
    starts = {i for i, row in enumerate(rows) if i and row["Dialogue_ID"] != rows[i - 1]["Dialogue_ID"]}
    text = "\n".join([lines[0], *("\n" * (i in starts) + line for i, line in enumerate(lines[1:]))])
    return Form("turns.csv", f"{text}\n".encode(), rows, True, keys=kept)


def _restarting_ids(rows: list[Turn], rng: Rng) -> Form:
    return Form(
        "turns.csv",
        as_csv([{**row, "Dialogue_ID": row["Dialogue_ID"][-1]} for row in rows]).encode(),
        rows,
        True,
        says="(?i)split",
    )


def _label_case(rows: list[Turn], rng: Rng) -> Form:
    cases = (str.upper, str.title, str.lower)
    odd = [{**row, "Emotion": cases[int(rng.integers(3))](row["Emotion"])} for row in rows]
    return Form("turns.csv", as_csv(odd).encode(), rows, True)


def _several_labels(rows: list[Turn], rng: Rng) -> Form:
    cell = str(rng.choice(["joy,anger", "['joy', 'anger']", "joy|anger", "joy/anger", "joy;anger"]))
    odd = [{**row, "Emotion": cell if number % 4 == 1 else row["Emotion"]} for number, row in enumerate(rows)]
    return Form("turns.csv", as_csv(odd).encode(), None, True, says="(?i)labels")


def _long_text(rows: list[Turn], rng: Rng) -> Form:
    odd = [{**rows[0], "Utterance": "word " * int(rng.integers(100, 60_000)) + "end"}, *rows[1:]]
    return Form("turns.csv", as_csv(odd).encode(), odd, must_read=True)


def _long_ids(rows: list[Turn], rng: Rng) -> Form:
    times = int(rng.choice([20, 100, 2500]))
    odd = [{**row, "Dialogue_ID": row["Dialogue_ID"] * times} for row in rows]
    return Form("turns.csv", as_csv(odd).encode(), rows)


def _huge_number(rows: list[Turn], rng: Rng) -> Form:
    digits = "9" * int(rng.choice([25, 400, 5000]))
    name = str(rng.choice(["start", "end", "StartTime"]))
    content = as_csv([{**row, name: digits} for row in rows]).encode()
    return Form("turns.csv", content, rows if name == "StartTime" else None)  # a column of the last name means nothing


def _deep_json(rows: list[Turn], rng: Rng) -> Form:
    depth = int(rng.choice([2000, 20_000, 200_000]))
    name = str(rng.choice(["turns.json", "turns.jsonl"]))
    return Form(name, b'{"text": ' + b"[" * depth + b"]" * depth + b"}\n", None)


def _double_keys(rows: list[Turn], rng: Rng) -> Form:
    lines = [json.dumps(row)[:-1] + ', "Emotion": "joy"}' for row in rows]
    return Form("turns.jsonl", "\n".join(lines).encode(), None)


def _double_columns(rows: list[Turn], rng: Rng) -> Form:
    lines = as_csv(rows).splitlines()
    return Form("turns.csv", "\n".join(f"{line},{line.rsplit(',', 1)[-1]}" for line in lines).encode(), None)


def _nothing(rows: list[Turn], rng: Rng) -> Form:
    suffix = str(rng.choice([".csv", ".tsv", ".jsonl", ".json", ".parquet", ".xlsx", ".csv.gz", ""]))
    contents = (
        b"",
        b"\xef\xbb\xbf",
        b"\n\n\n",
        b"\x00" * 300,
        b"\x89PNG\r\n\x1a\n" + rng.bytes(300),
        b"null",
        b"[]",
        b"{}",
        None,
    )
    return Form(f"turns{suffix}", contents[int(rng.integers(len(contents)))], None)


def _other_files(rows: list[Turn], rng: Rng) -> Form:
    texts = (
        ("turns.srt", "1\n00:00:00,500 --> 00:00:02,000\nann: Where were you?\n"),
        ("turns.vtt", "WEBVTT\n\n00:00.500 --> 00:02.000\n<v ann>Where were you?\n"),
        ("turns.rttm", "SPEAKER a 1 0.5 1.5 <NA> <NA> ann <NA> <NA>\n"),
        ("turns.xml", "<turns><turn speaker='ann'>Where were you?</turn></turns>"),
        ("turns.txt", "Ann: Where were you?\nBo: At home.\n"),
    )
    name, text = texts[int(rng.integers(len(texts)))]
    return Form(
        str(rng.choice([name, "turns.csv"])),
        text.encode(),
        None,
        says="(?i)srt|vtt|subtitle|rttm|xml|not a (CSV|table)|no column|header",
    )


#: Forms that are written as they should be, and can be damaged.
SOUND: tuple[Callable[[list[Turn], Rng], Form], ...] = (
    _plain, _tab, _semicolon, _quoted, _bom, _json_lines, _json_array, _json_dialogues, _gzipped, _parquet, _xlsx,
    _more_columns, _index_column,
)  # fmt: skip
#: Forms that are odd.
ODD: tuple[Callable[[list[Turn], Rng], Form], ...] = (
    *SOUND, _unquoted, _utf16, _latin, _line_ends, _blank_end, _header_case, _split_names, _without("Split"),
    _without("Dialogue_ID"), _without("Speaker"), _without("Emotion"), _blank_between, _restarting_ids, _label_case,
    _several_labels, _long_text, _long_ids, _huge_number, _deep_json, _double_keys, _double_columns, _nothing,
    _other_files,
)  # fmt: skip
