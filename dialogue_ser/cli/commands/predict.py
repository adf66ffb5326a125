"""``dialogue-ser predict MODEL INPUT``."""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dialogue_ser.errors import ConfigError, MissingDataError, unknown_name
from dialogue_ser.foreign_text.spreadsheet_cells import guard
from dialogue_ser.foreign_text.terminal_text import visible

if TYPE_CHECKING:
    import pandas as pd

    from dialogue_ser.corpus.readers.table_input import TableInput

WRITERS: dict[str, Callable[["pd.DataFrame", Path], None]] = {
    ".csv": lambda table, path: guarded(table).to_csv(path, index=False),
    ".jsonl": lambda table, path: table.to_json(path, orient="records", lines=True, force_ascii=False),
    ".parquet": lambda table, path: table.to_parquet(path, index=False),
}


def predict(
    model: str,
    input: str,  # noqa: A002 - the name users see
    out: str | None = None,
    columns: dict[str, Any] | None = None,
    dialogue: Literal["column", "blank-lines", "file", "none"] | None = None,
    options: dict[str, Any] | None = None,
    audio_root: str | None = None,
    features: dict[str, str] | None = None,
    on_bad: Literal["error", "mask"] | None = None,
    batch_size: int = 32,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    trust_code: bool = False,
) -> None:
    """Predict the emotion, or the values, of every turn of new dialogues.

    Args:
        model: run directory, model folder or hub id.
        input: CSV, TSV, JSON, JSON Lines, Excel or parquet file with one row per turn. Columns: speaker, text, audio (a
            path), and dialogue if there is more than one dialogue.
        out: file to write: .csv, .jsonl or .parquet. If left out, CSV is written to standard output. It has one row for
            each row of the input, in the same order, and keeps the other columns of the input. In CSV, a
            text that begins like a formula (=, +, -, @) gets an apostrophe in front, for spreadsheets.
        columns: names of the columns in your file, if they are not speaker, text, audio and dialogue, e.g.
            --columns.text Utterance. Several columns can name the dialogue: --columns.dialogue '[Season, Episode]'.
        dialogue: which rows are one dialogue. column = columns name it; blank-lines = blank lines separate dialogues;
            file = the whole file is one dialogue; none = every row is a dialogue of its own. If left out: the first of
            column, blank-lines and none that the file allows.
        options: how the file is written, as for the reader table: encoding, delimiter, quoting and sheet, as YAML or
            JSON, e.g. '{encoding: cp1252}'.
        audio_root: folder that the audio paths start from. If left out: the folder of the input file.
        features: files of precomputed features with one row per utterance id, by modality, e.g. --features.audio FILE.
        on_bad: what to do with audio that cannot be decoded. error = stop; mask = predict the turn without its audio.
            If left out: as in training.
        batch_size: largest number of dialogues that are computed together. Reduce it if memory runs out.
        device: device for the computation: cpu, cuda (a GPU), or auto, which takes a GPU if there is one.
        trust_code: allow a model or an encoder that is your own code. Loading it runs that code, so allow only code
            that you trust.
    """
    target = None if out is None else _target(out, input)
    if not os.path.isfile(input):  # noqa: PTH113 - Path.is_file raises for a name that is too long
        if os.path.isfile(model):  # noqa: PTH113
            raise ConfigError(f"predict {model} {input}: the model comes first: predict {input} {model}")
        raise MissingDataError(f"{input}: no such file; give a table with one turn per row, e.g. a CSV or Excel file")
    from dialogue_ser.corpus.parsing.files import file_format
    from dialogue_ser.corpus.readers.table_input import read_input

    # Read before torch is imported, which is slow, so that errors in the rows are shown at once.
    given = read_input(
        Path(input),
        columns,
        audio_root=audio_root,
        on_bad=on_bad or "error",
        dialogue=dialogue,
        form=file_format(options or {}, where="--options"),
    )
    for warning in given.warnings:
        print(f"note: {visible(warning)}", file=sys.stderr)
    from dialogue_ser.inference.classifier import DialogueClassifier

    classifier = DialogueClassifier.from_pretrained(model, device=device, on_bad=on_bad, trust_code=trust_code)
    table = classifier.predict(given.dialogues, features=features, batch_size=batch_size)
    table = with_input_columns(table, given)
    if target is None:
        written: str = guarded(table).to_csv(index=False)
        print(visible(written) if sys.stdout.isatty() else written, end="")
        return
    write_table(table, target)
    print(f"{len(table)} turns of {table['dialogue_id'].nunique()} dialogues: {target}")


def with_input_columns(table: "pd.DataFrame", given: "TableInput") -> "pd.DataFrame":
    """Put predictions into the order of the input's rows, and add the columns of the input that they lack.

    Text and speaker are there already, and so is the dialogue if one column names it. A column whose name the
    predictions use for something else gets the prefix ``input_``.
    """
    import pandas as pd

    single = given.columns.single
    known = {single.get("text"), single.get("speaker")}
    if len(given.columns.dialogue) == 1:
        known.update(given.columns.dialogue)
    names = [name for name in next(iter(given.rows.values())).values if name not in known]
    ordered = table.set_index("utterance_id", drop=False).loc[list(given.rows)].reset_index(drop=True)
    added = pd.DataFrame({name: [row.values[name] for row in given.rows.values()] for name in names})
    taken = set(ordered.columns)
    return pd.concat(
        [ordered, added.rename(columns={name: f"input_{name}" for name in names if name in taken})], axis=1
    )


def guarded(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return the table with an apostrophe before every text that a spreadsheet would compute."""
    from pandas.api.types import is_numeric_dtype

    def guard_text(cell: object) -> object:
        return guard(cell) if isinstance(cell, str) else cell

    written = table.rename(columns=guard)
    for name in [name for name in written if not is_numeric_dtype(written[name])]:
        written[name] = written[name].map(guard_text)
    return written


def _target(out: str, input_file: str) -> Path:
    """Return the file to write. Raises ConfigError, before any work is done, if it cannot be written."""
    target = Path(out)
    if os.path.isdir(target):  # noqa: PTH112 - Path.is_dir raises for a name that is too long
        raise ConfigError(f"--out {out}: is a folder; name a file in it, e.g. {target / 'predictions.csv'}")
    if target.resolve() == Path(input_file).resolve():
        raise ConfigError(f"--out {out}: is the input itself and would be overwritten; write to another file")
    if target.suffix.lower() not in WRITERS:
        raise ConfigError(f"--out {out}: {unknown_name('ending', target.suffix, WRITERS)}")
    if not target.parent.is_dir():
        raise ConfigError(f"--out {out}: the folder {target.parent} does not exist; create it or write elsewhere")
    return target


def write_table(table: "pd.DataFrame", target: Path) -> None:
    """Write predictions in the format that the file's ending names. A failed write leaves no file behind.

    Raises:
        ConfigError: the file cannot be written.
    """
    temporary: Path | None = None
    try:
        # The temporary name is short: a name made from the target's could be too long for the file system.
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".predict-", suffix=target.suffix)
        os.close(handle)
        temporary = Path(name)
        WRITERS[target.suffix.lower()](table, temporary)
        temporary.chmod(0o644)
        temporary.replace(target)
    except OSError as error:
        raise ConfigError(f"--out {target}: cannot be written ({error.strerror or error}); write elsewhere") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
