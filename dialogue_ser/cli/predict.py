"""``dialogue-ser predict MODEL INPUT``."""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dialogue_ser.errors import ConfigError, MissingDataError, unknown_name

if TYPE_CHECKING:
    import pandas as pd

WRITERS: dict[str, Callable[["pd.DataFrame", Path], None]] = {
    ".csv": lambda table, path: table.to_csv(path, index=False),
    ".jsonl": lambda table, path: table.to_json(path, orient="records", lines=True, force_ascii=False),
    ".parquet": lambda table, path: table.to_parquet(path, index=False),
}


def predict(model: str, input: str, out: str | None = None, batch_size: int = 32, device: str = "auto") -> None:  # noqa: A002 - the flag's name
    """Label new dialogues: one row per turn with speaker, and text and/or audio.

    Args:
        model: run directory, model folder or hub id.
        input: .csv or .jsonl; columns speaker, text, audio (a path), and dialogue_id where there are several dialogues.
        out: .csv, .jsonl or .parquet, by its ending; CSV to standard output if left away.
        batch_size: dialogues at a time.
        device: auto, cpu or cuda.
    """
    target = None if out is None else Path(out)
    if target is not None and target.suffix.lower() not in WRITERS:
        raise ConfigError(f"--out {out}: {unknown_name('ending', target.suffix, WRITERS)}")
    if target is not None and not target.parent.is_dir():
        raise ConfigError(f"--out {out}: the folder {target.parent} does not exist; create it or write elsewhere")
    if not Path(input).is_file():
        raise MissingDataError(f"{input}: no such file; give a .csv or .jsonl with one turn per row")
    from dialogue_ser.corpus.readers.table import read_dialogues

    dialogues = read_dialogues(Path(input))  # before torch is imported: bad rows are told at once
    from dialogue_ser.inference.classifier import DialogueClassifier

    table = DialogueClassifier.from_pretrained(model, device=device).predict(dialogues, batch_size=batch_size)
    if target is None:
        table.to_csv(sys.stdout, index=False)
        return
    write_table(table, target)
    print(f"{len(table)} turns of {table['dialogue_id'].nunique()} dialogues: {target}")


def write_table(table: "pd.DataFrame", target: Path) -> None:
    """Write predictions in the format of the file's ending, whole or not at all."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=target.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        WRITERS[target.suffix.lower()](table, temporary)
        temporary.chmod(0o644)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
