"""The model card: facts that you must know before you use a model, from the files of the run directory."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from dialogue_ser.metrics.table import heading_of
from dialogue_ser.report.page import headline_split, scores_of
from dialogue_ser.report.sections.run_sections import verdict
from dialogue_ser.report.sections.settings import summary_pairs
from dialogue_ser.report.sections.tables import (
    Row,
    class_rows,
    dimension_rows,
    floor_rows,
    markdown_text,
    render_markdown,
    split_rows,
)
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.tasks import task_of_scores
from dialogue_ser.tasks.base import Task


def model_card(run_dir: Path) -> str:
    """Return the model card of a run as markdown with the metadata ("front matter") of the Hugging Face hub.

    Args:
        run_dir: run directory with ``predictions.parquet``; the other files are optional.

    Raises:
        MissingDataError: there is no run directory, or it has no predictions.
        DialogueSerError: a file is damaged, or the predictions have no gold labels.
    """
    run = RunFiles(Path(run_dir))
    scores = scores_of(run)
    split_name, task = headline_split(scores), task_of_scores(scores)
    split, name = scores["splits"][split_name], markdown_text(split_name)
    parts = [
        f"---\n{_yaml(front_matter(run, scores))}---",
        f"# {markdown_text(run.name)}",
        _task_sentence(task),
        _settings(run),
        "## Use",
        _usage(run),
        "## Results",
        _protocol(scores, split_name, keeps_last=run.keeps_last),
        verdict(task, split, name),
        _table(split_rows(scores)),
        _floors(scores, split, name),
        _details(split, name),
        _conversation(split, name, task),
        "## Limits",
        _limits(split, scores),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def front_matter(run: RunFiles, scores: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata that the Hugging Face hub reads; ``model-index`` has the metrics of the headline split."""
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


class _Dumper(yaml.SafeDumper):
    """Writes YAML without ``<``, so that a program that takes the front matter for HTML finds no tag in it."""


def _quoted_if_tag(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if "<" in text else None)


_Dumper.add_representer(str, _quoted_if_tag)


def _yaml(values: Mapping[str, Any]) -> str:
    text: str = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text.replace("<", r"\x3C")  # it stands only between double quotes, where YAML reads this as <


def _table(rows: Sequence[Row]) -> str:
    return render_markdown(rows, has_words_of_users=True)


def _settings(run: RunFiles) -> str:
    pairs = [(name, text) for name, text in summary_pairs(run.config) if text not in (None, "")]
    if run.summary.get("n_parameters"):
        pairs.append(("parameters", f"{run.summary['n_parameters']:,}"))
    return "\n".join(f"- **{name}**: {markdown_text(text)}" for name, text in pairs)


def _usage(run: RunFiles) -> str:
    lines = [
        "from dialogue_ser import DialogueClassifier",
        "",
        'classifier = DialogueClassifier.from_pretrained("PATH_OR_HUB_NAME")',
    ]
    if "audio" in (run.config.get("features") or {}):
        how = "Run `dialogue-ser predict MODEL turns.csv` on a table of turns (speaker, text, audio path), or load it:"
        return f"{how}\n\n{_code(lines)}"
    lines.append('classifier.predict([("Monica", "You ate my sandwich?"), ("Ross", "It was a very good sandwich.")])')
    return _code(lines)


def _code(lines: list[str]) -> str:
    return "```python\n" + "\n".join(lines) + "\n```"


def _protocol(scores: Mapping[str, Any], name: str, keeps_last: bool) -> str:
    if scores.get("protocol") == "legacy-test-peek":
        return "**legacy-test-peek**: the reported split chose the checkpoint, so these numbers are too high."
    if keeps_last:
        return (
            "The checkpoint is the one of the last epoch; no split chose it. Intervals come from resampled dialogues."
        )
    dev = markdown_text(scores.get("dev_split", "dev"))
    if name == scores.get("dev_split"):
        return (
            f"There is no labelled test split. {dev} chose the checkpoint and gives these numbers: they are too high."
        )
    return f"{dev} chose the checkpoint. Intervals come from resampled dialogues."


def _task_sentence(task: Task) -> str:
    names = markdown_text(", ".join(task.names))
    if task.gives_probabilities:
        return f"The model predicts the emotion of every turn of a dialogue, one of: {names}."
    return f"The model predicts values of every turn of a dialogue, on the scales of its corpus: {names}."


def _floors(scores: Mapping[str, Any], split: Mapping[str, Any], name: str) -> str:
    if not split.get("floors"):
        return ""
    table = _table(floor_rows(scores, split, "this model"))
    return f"Comparison with floors (systems that know almost nothing), {name}:\n\n{table}"


def _details(split: Mapping[str, Any], name: str) -> str:
    """Return the table of classes or of dimensions."""
    if "per_class" in split["scores"]:
        return f"Per class, {name}:\n\n{_table(class_rows(split))}"
    intervals = {**split.get("dimension_intervals", {}), "": split["intervals"]}
    return f"Per dimension, {name}:\n\n{_table(dimension_rows(split['scores'], intervals))}"


def _conversation(split: Mapping[str, Any], name: str, task: Task) -> str:
    if "emotion_shift" not in split["slices"]:
        return ""
    key = task.default_metric
    rows = [
        {"the speaker's emotion": slice_name, "turns": value["n"], heading_of(key): value[key]}
        for slice_name, value in split["slices"]["emotion_shift"].items()
    ]
    return f"Turns where the speaker's emotion shifted or stayed, {name}:\n\n{_table(rows)}"


def _limits(split: Mapping[str, Any], scores: Mapping[str, Any]) -> str:
    weak = [
        f"{markdown_text(label)} (F1 {value['f1']:.2f}, {value['support']} turns)"
        for label, value in split["scores"].get("per_class", {}).items()
        if value["f1"] < 0.3
    ]
    lines = [
        "- The model predicts how the annotators of one corpus would label a turn. It does not know what anyone feels. "
        "Do not use it to judge people.",
        "- Expect worse results for other languages, topics, cultures and recording conditions than in the corpus.",
        *(
            [f"- Its confidence differs from its accuracy by {split['calibration']['ece']:.3f} on average (ECE)."]
            if "calibration" in split
            else []
        ),
        "- The training corpus has its own licence. Check that it allows your use.",
    ]
    if weak:
        lines.append(f"- Classes that it rarely or never finds: {', '.join(weak)}.")
    for modality, n in (scores.get("masked") or {}).items():
        if n:
            lines.append(
                f"- {n} turns of all splits had no usable {markdown_text(modality)}. They were scored without it."
            )
    return "\n".join(lines)
