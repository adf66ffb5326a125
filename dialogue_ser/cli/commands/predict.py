"""``dialogue-ser predict MODEL INPUT``."""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dialogue_ser.errors import ConfigError, MissingDataError, unknown_name

if TYPE_CHECKING:
    import pandas as pd

WRITERS: dict[str, Callable[["pd.DataFrame", Path], None]] = {
    ".csv": lambda table, path: table.to_csv(path, index=False),
    ".jsonl": lambda table, path: table.to_json(path, orient="records", lines=True, force_ascii=False),
    ".parquet": lambda table, path: table.to_parquet(path, index=False),
}


def predict(
    model: str,
    input: str,  # noqa: A002 - the name users see
    out: str | None = None,
    columns: dict[str, str] | None = None,
    audio_root: str | None = None,
    features: dict[str, str] | None = None,
    on_bad: Literal["error", "mask"] | None = None,
    batch_size: int = 32,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    trust_code: bool = False,
) -> None:
    """Label new dialogues: one row per turn with speaker, and text and/or audio.

    Args:
        model: run directory, model folder or hub id.
        input: .csv or .jsonl; columns speaker, text, audio (a path), and dialogue where there are several dialogues.
        out: .csv, .jsonl or .parquet, by its ending; CSV to standard output if left out.
        columns: role → column where the names differ, e.g. --columns.text Utterance.
        audio_root: folder of the audio paths; the input's own if left out.
        features: modality → file of precomputed features keyed by utterance id, e.g. --features.audio FILE.
        on_bad: what to do with audio that cannot be decoded; as in training if left out.
        batch_size: dialogues at a time, at most.
        device: where to run.
        trust_code: allow a model that is your own code, or whose encoder is (its import runs code).
    """
    target = None if out is None else _target(out, input)
    if not Path(input).is_file():
        raise MissingDataError(f"{input}: no such file; give a .csv or .jsonl with one turn per row")
    from dialogue_ser.corpus.readers.table import read_dialogues

    # Before torch is imported: bad rows are told at once.
    dialogues = read_dialogues(Path(input), columns=columns, audio_root=audio_root, on_bad=on_bad or "error")
    from dialogue_ser.inference.classifier import DialogueClassifier

    classifier = DialogueClassifier.from_pretrained(model, device=device, on_bad=on_bad, trust_code=trust_code)
    table = classifier.predict(dialogues, features=features, batch_size=batch_size)
    if target is None:
        table.to_csv(sys.stdout, index=False)
        return
    write_table(table, target)
    print(f"{len(table)} turns of {table['dialogue_id'].nunique()} dialogues: {target}")


def _target(out: str, source: str) -> Path:
    """Where to write, refused before any work is done."""
    target = Path(out)
    if os.path.isdir(target):  # noqa: PTH112 - Path.is_dir raises for a name that is too long
        raise ConfigError(f"--out {out}: is a folder; name a file in it, e.g. {target / 'predictions.csv'}")
    if target.resolve() == Path(source).resolve():
        raise ConfigError(f"--out {out}: is the input itself, which is never changed; write to another file")
    if target.suffix.lower() not in WRITERS:
        raise ConfigError(f"--out {out}: {unknown_name('ending', target.suffix, WRITERS)}")
    if not target.parent.is_dir():
        raise ConfigError(f"--out {out}: the folder {target.parent} does not exist; create it or write elsewhere")
    return target


def write_table(table: "pd.DataFrame", target: Path) -> None:
    """Write predictions in the format of the file's ending, whole or not at all.

    Raises:
        ConfigError: it cannot be written there.
    """
    temporary: Path | None = None
    try:
        # A short name of its own: one made of the target's could be too long for the file system.
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
