"""Model card text: what a stranger must know before using the model, from the run directory's files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dialogue_ser.metrics.table import heading_of
from dialogue_ser.report.page import headline_split, scores_of
from dialogue_ser.report.sections.run_sections import verdict
from dialogue_ser.report.sections.settings import summary_pairs
from dialogue_ser.report.sections.tables import class_rows, dimension_rows, floor_rows, render_markdown, split_rows
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.tasks import task_of_scores
from dialogue_ser.tasks.base import Task


def model_card(run_dir: Path) -> str:
    """Markdown with Hugging Face front matter.

    Args:
        run_dir: run directory with ``predictions.parquet``; other files are used where they are.

    Raises:
        MissingDataError: no run directory, or no predictions in it.
        DialogueSerError: damaged files, or predictions without any gold label.
    """
    run = RunFiles(Path(run_dir))
    scores = scores_of(run)
    name, task = headline_split(scores), task_of_scores(scores)
    split = scores["splits"][name]
    parts = [
        f"---\n{yaml.safe_dump(front_matter(run, scores), sort_keys=False, allow_unicode=True)}---",
        f"# {run.name}",
        _what(task),
        _settings(run),
        "## Use",
        _usage(run),
        "## Results",
        _protocol(scores, name, keeps_last=run.keeps_last),
        verdict(task, split, name),
        render_markdown(split_rows(scores)),
        _floors(scores, split, name),
        _details(split, name),
        _conversation(split, name, task),
        "## Limits",
        _limits(split, scores),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def front_matter(run: RunFiles, scores: Mapping[str, Any]) -> dict[str, Any]:
    """The card's metadata, as the Hugging Face hub reads it (``model-index`` with the headline split's metrics)."""
    name, task = headline_split(scores), task_of_scores(scores)
    corpus = str((run.config.get("data") or {}).get("reader", "unknown"))
    modalities = list(run.config.get("features") or {})
    metrics = [
        {"type": key, "name": heading_of(key), "value": round(float(scores["splits"][name]["scores"][key]), 4)}
        for key in task.headline
    ]
    kind = {"type": "emotion-recognition-in-conversation", "name": "Emotion recognition in conversation"}
    result = {"task": kind, "dataset": {"type": corpus, "name": corpus, "split": name}, "metrics": metrics}
    return {
        "library_name": "dialogue-ser",
        "tags": ["emotion-recognition", "conversation", "dialogue", *modalities],
        "datasets": [corpus],
        "metrics": ["f1", "accuracy"] if task.gives_probabilities else list(task.headline),
        "model-index": [{"name": run.name, "results": [result]}],
    }


def _settings(run: RunFiles) -> str:
    pairs = [(name, text) for name, text in summary_pairs(run.config) if text not in (None, "")]
    if run.summary.get("n_parameters"):
        pairs.append(("parameters", f"{run.summary['n_parameters']:,}"))
    return "\n".join(f"- **{name}**: {text}" for name, text in pairs)


def _usage(run: RunFiles) -> str:
    lines = [
        "from dialogue_ser import DialogueClassifier",
        "",
        'classifier = DialogueClassifier.from_pretrained("PATH_OR_HUB_NAME")',
    ]
    if "audio" in (run.config.get("features") or {}):
        how = "Give `dialogue-ser predict MODEL turns.csv` a row per turn: speaker, text, audio path. Or load it:"
        return f"{how}\n\n{_code(lines)}"
    lines.append('classifier.predict([("Monica", "You ate my sandwich?"), ("Ross", "It was a very good sandwich.")])')
    return _code(lines)


def _code(lines: list[str]) -> str:
    return "```python\n" + "\n".join(lines) + "\n```"


def _protocol(scores: Mapping[str, Any], name: str, keeps_last: bool) -> str:
    if scores.get("protocol") == "legacy-test-peek":
        return "**legacy-test-peek**: the checkpoint was chosen on the reported split, so these numbers are too high."
    if keeps_last:
        return "The checkpoint is that of the last epoch; no split chose it. Intervals resample whole dialogues."
    if name == scores.get("dev_split"):
        return (
            f"There is no labelled test split: the numbers are of {name}, which chose the checkpoint, so they are high."
        )
    return f"The checkpoint was chosen on {scores.get('dev_split', 'dev')}. Intervals resample whole dialogues."


def _what(task: Task) -> str:
    names = ", ".join(task.names)
    if task.gives_probabilities:
        return f"Emotion of every turn of a dialogue, one of: {names}."
    return f"Values of every turn of a dialogue, on the scales of its corpus: {names}."


def _floors(scores: Mapping[str, Any], split: Mapping[str, Any], name: str) -> str:
    if not split.get("floors"):
        return ""
    return f"Against floors, {name}:\n\n{render_markdown(floor_rows(scores, split, 'this model'))}"


def _details(split: Mapping[str, Any], name: str) -> str:
    """Every class, or every dimension."""
    if "per_class" in split["scores"]:
        return f"Per class, {name}:\n\n{render_markdown(class_rows(split))}"
    intervals = {**split.get("dimension_intervals", {}), "": split["intervals"]}
    return f"Per dimension, {name}:\n\n{render_markdown(dimension_rows(split['scores'], intervals))}"


def _conversation(split: Mapping[str, Any], name: str, task: Task) -> str:
    if "emotion_shift" not in split["slices"]:
        return ""
    key = task.default_metric
    rows = [
        {"the speaker's emotion": slice_name, "turns": value["n"], heading_of(key): value[key]}
        for slice_name, value in split["slices"]["emotion_shift"].items()
    ]
    return f"Where the speaker's emotion shifted or stayed, {name}:\n\n{render_markdown(rows)}"


def _limits(split: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    weak = [
        f"{label} (F1 {value['f1']:.2f}, {value['support']} turns)"
        for label, value in split["scores"].get("per_class", {}).items()
        if value["f1"] < 0.3
    ]
    lines = [
        "- It predicts what annotators of one corpus would have said about acted or staged speech; it does not know "
        "what anyone feels. Do not use it to judge people.",
        "- Other languages, topics, cultures and recording conditions than the training corpus: unknown, expect worse.",
        *(
            [f"- Its confidence is off by {split['calibration']['ece']:.3f} on average (ECE)."]
            if "calibration" in split
            else []
        ),
        "- The training corpus has its own licence; ask whether it covers your use.",
    ]
    if weak:
        lines.append(f"- Rarely or never found: {', '.join(weak)}.")
    for modality, n in (scores.get("masked") or {}).items():
        if n:
            lines.append(
                f"- {n} turns of all splits had no usable {modality}; they were masked in it and still scored."
            )
    return "\n".join(lines)
