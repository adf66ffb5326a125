"""``dialogue-ser encoders``, ``models``, ``presets``, ``presets show NAME`` and ``published``: lists and settings."""

import re
from importlib import resources
from itertools import takewhile

from dialogue_ser.cli.tables import show_list
from dialogue_ser.training.config.files import dump_config
from dialogue_ser.training.config.presets import load_preset, own_presets, preset_names


def encoders() -> None:
    """List the utterance encoders: the frozen ones, and those that are trained as a part of the model."""
    from dialogue_ser.encoders import TRAINED_ENCODERS
    from dialogue_ser.features.registry import list_encoders

    rows = [(info.name, info.origin, info.description) for info in list_encoders()]
    rows += [(name, "trained", encoder.description) for name, encoder in TRAINED_ENCODERS.items()]
    show_list("utterance encoders (--features.MODALITY.encoder NAME)", ("name", "origin", "what it computes"), rows)
    print("also: your own encoder as package.module:function or package.module:Class")


def models() -> None:
    """List the dialogue models that --model.name accepts."""
    from dialogue_ser.models import MODELS

    rows = [
        (
            entry.name,
            f"{entry.origin} {entry.target}" if entry.origin == "entry point" else _first_line(MODELS.find(entry.name)),
        )
        for entry in MODELS.entries()
    ]
    show_list("dialogue models (--model.name NAME)", ("name", "description"), rows)
    print("also: your own model as package.module:Class")


def presets() -> None:
    """List the presets of runs, for --preset: those of the package, and those in presets/ of the working folder."""
    rows = [(name, preset_summary(name)) for name in preset_names()]
    show_list("run presets (dialogue-ser train --preset NAME)", ("name", "what it runs"), rows)


def published() -> None:
    """List the scores that documents publish. None of them was measured by this package."""
    from dialogue_ser.evaluation.published import READ, SCORES, published_rows
    from dialogue_ser.report.sections.tables import format_mean_std

    found = published_rows()
    rows = []
    for row in found:
        classes = f"{row.classes} classes" if row.classes else ""
        conditions = ", ".join(part for part in (row.corpus, classes, row.scenario, row.protocol) if part)
        scores = ", ".join(f"{SCORES[name]} {format_mean_std(*score)}" for name, score in row.scores.items())
        by = f"quoted by {row.document}" if row.is_quoted else row.document
        inputs = " + ".join(row.modalities) + (f" ({row.features})" if row.features else "")
        epoch = f"epoch chosen on {row.epoch}; " if row.epoch else ""
        rows.append((f"published: {by}", row.system, inputs, conditions, scores, f"{epoch}read in {READ[row.read]}"))
    headings = (
        "numbers",
        "system",
        "inputs",
        "corpus, classes, scenario, protocol (as far as stated)",
        "scores",
        "notes",
    )
    show_list("published scores; nothing here was measured by this package", headings, rows)
    documents = {row.document: (row.document, row.preset, row.title) for row in found}
    show_list("documents", ("name", "preset that follows it", "title"), documents.values())


def presets_show(name: str) -> None:
    """Print all settings of a preset as YAML, defaults included.

    Args:
        name: name of the preset; 'dialogue-ser presets' lists them.
    """
    print(dump_config(load_preset(name, trust_code=True)), end="")  # nothing of it is run


def preset_summary(name: str) -> str:
    """Return the first sentence of the comment at the top of a preset's file."""
    own = own_presets().get(name)
    packaged = resources.files("dialogue_ser.presets") / f"{name}.yaml"
    text = packaged.read_text(encoding="utf-8") if own is None else own.read_text(encoding="utf-8", errors="replace")
    comment = " ".join(line.lstrip("# ") for line in takewhile(lambda line: line.startswith("#"), text.splitlines()))
    summary = re.split(r"(?<=\.)\s+(?=[A-Z(])", comment, maxsplit=1)[0].strip()
    return summary if own is None else f"{summary or 'no comment'} ({own})"


def _first_line(documented: object) -> str:
    return (documented.__doc__ or "").strip().partition("\n")[0]
