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
    """Predict the emotion, or the values, of every turn of new dialogues.

    Args:
        model: run directory, model folder or hub id.
        input: .csv or .jsonl file with one row per turn. Columns: speaker, text, audio (a path), and dialogue if there
            is more than one dialogue.
        out: file to write: .csv, .jsonl or .parquet. If left out, CSV is written to standard output.
        columns: names of the columns in your file, if they are not speaker, text, audio and dialogue, e.g.
            --columns.text Utterance.
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
    if not Path(input).is_file():
        raise MissingDataError(f"{input}: no such file; give a .csv or .jsonl with one turn per row")
    from dialogue_ser.corpus.readers.table import read_dialogues

    # Read before torch is imported, which is slow, so that errors in the rows are shown at once.
    dialogues = read_dialogues(Path(input), columns=columns, audio_root=audio_root, on_bad=on_bad or "error")
    from dialogue_ser.inference.classifier import DialogueClassifier

    classifier = DialogueClassifier.from_pretrained(model, device=device, on_bad=on_bad, trust_code=trust_code)
    table = classifier.predict(dialogues, features=features, batch_size=batch_size)
    if target is None:
        table.to_csv(sys.stdout, index=False)
        return
    write_table(table, target)
    print(f"{len(table)} turns of {table['dialogue_id'].nunique()} dialogues: {target}")


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
