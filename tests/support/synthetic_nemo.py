"""A corpus in nEMO's layout, made up: tones whose loudness and pitch tell the emotion, each speaker on a scale."""

from pathlib import Path

import numpy as np
import soundfile

HEADER = "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage"
SPEAKERS = {"AA0": ("female", 27), "BB0": ("male", 31), "CC0": ("female", 24), "DD0": ("male", 45)}
EMOTIONS = ("anger", "fear", "happiness", "neutral", "sadness", "surprised")
RATE = 24000


def row(name: str, emotion: str, speaker: str, gender: str = "female", age: str = "27") -> str:
    return f"{name}\t{emotion}\tŻółta łódź, {name}.\tżółta łódź\t{speaker}\t{gender}\t{age}"


def write_table(folder: Path, *rows: str, clips: bool = True) -> Path:
    """data.tsv of these rows (CRLF, as published), and empty clips."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data.tsv").write_bytes("\r\n".join([HEADER, *rows, ""]).encode())
    (folder / "samples").mkdir(exist_ok=True)
    for line in rows if clips else ():
        (folder / "samples" / line.split("\t")[0]).touch()
    return folder


def write_nemo(folder: Path, n_each: int = 3, seconds: float = 0.4) -> Path:
    """``n_each`` clips of every speaker and emotion, with sound."""
    rng = np.random.default_rng(0)
    rows, t = [], np.arange(int(seconds * RATE)) / RATE
    for number, (speaker, (gender, age)) in enumerate(SPEAKERS.items()):
        for place, emotion in enumerate(EMOTIONS):
            for i in range(n_each):
                rows.append((f"{speaker}_{emotion}_{i}.flac", emotion, speaker, gender, str(age)))
                pitch = 100 * (1 + 0.25 * place) * (1 + 0.02 * number) * (1 + 0.01 * rng.standard_normal())
                sound = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 6))
                sound = 0.05 * (1 + place % 3) * sound * (1 + 0.3 * np.sin(2 * np.pi * (2 + place) * t))
                noise = 0.001 * rng.standard_normal(len(t))
                (folder / "samples").mkdir(parents=True, exist_ok=True)
                soundfile.write(folder / "samples" / rows[-1][0], sound + noise, RATE)
    return write_table(folder, *(row(*parts) for parts in rows), clips=False)
