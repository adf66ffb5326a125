"""The sections of the report of a run. Each function returns a template with its content."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import yaml

from dialogue_ser.errors import shown_problems
from dialogue_ser.metrics.predictions import ClassPredictions
from dialogue_ser.metrics.table import METRICS, heading_of, metric_key
from dialogue_ser.report.figures.class_figures import (
    class_bars,
    confusion_heat_map,
    reliability_diagram,
    training_curves,
)
from dialogue_ser.report.figures.gallery import file_stem
from dialogue_ser.report.figures.ruler import ruler
from dialogue_ser.report.figures.theme import colours_of
from dialogue_ser.report.figures.timeline import DialogueView, attention_heat_map, dialogue_view, emotion_timeline
from dialogue_ser.report.sections.composition import Maker, Section, Subject, Tile, interval_tile, part_note
from dialogue_ser.report.sections.highlights import confident_errors, instructive_dialogues
from dialogue_ser.report.sections.settings import flattened, summary_pairs
from dialogue_ser.report.sections.tables import (
    class_rows,
    floor_rows,
    format_difference,
    format_interval,
    format_score,
    peek_warnings,
    split_rows,
)
from dialogue_ser.report.sections.value_sections import VALUE_MAKERS
from dialogue_ser.tasks.base import Task

MOST_SPEAKERS = 12


def verdict(task: Task, split: Mapping[str, Any], name: str) -> str:
    """Return the result in two sentences: the headline, and the comparison with the strongest floor."""
    metric = METRICS[task.default_metric]
    counts, headline = split["counts"], split["intervals"][metric.key]
    text = (
        f"On {counts['dialogues']:,} {name} dialogues ({counts['labelled']:,} labelled turns) the {metric.heading} is "
        f"{headline['estimate']:.3f}. {headline['level']:.0%} of the values lie in "
        f"{format_interval(headline['low'], headline['high'])} if the dialogues are resampled. "
    )
    floors = split.get("floors", {})
    if not floors:
        return text + "No floor was computed, so there is nothing to compare it with."
    strongest = max(floors, key=lambda floor: metric.sign * float(floors[floor][metric.key]))
    lead = floors[strongest]["difference"]
    by = f"{format_difference(lead['estimate'])}, interval {format_interval(lead['low'], lead['high'])}".replace(
        "-", "−"
    )
    if metric.sign * lead["low"] > 0 and metric.sign * lead["high"] > 0:
        return text + f"This is better than the strongest floor, {strongest} ({by})."
    if metric.sign * lead["low"] < 0 and metric.sign * lead["high"] < 0:
        return text + f"This is worse than the strongest floor, {strongest} ({by}): something is wrong or missing."
    return text + f"This is not clearly different from the strongest floor, {strongest} ({by})."


def result(subject: Subject) -> Section:
    """Return the section with the headline and its interval, the floors, warnings, and the other metrics."""
    name, split, scores, task = subject.split_name, subject.split, subject.scores, subject.task
    headline, intervals = split["intervals"][task.default_metric], split["intervals"]
    warnings = peek_warnings(scores)
    if scores.get("protocol") == "legacy-test-peek":
        warnings.append("legacy-test-peek: this split chose the checkpoint, so the number is too high.")
    elif name == scores.get("dev_split") and not subject.run.keeps_last:
        warnings.append(
            f"There is no labelled test split. This is {name}, which chose the checkpoint, so the number is too high."
        )
    others = [key for key in task.headline if key != task.default_metric]
    tiles = [interval_tile(split["scores"][key], intervals[key], heading_of(key)) for key in others]
    if "calibration" in split:
        tiles.append(Tile(value=format_score(split["calibration"]["ece"], 3), name="ECE", remark="calibration error"))
    tiles += [
        Tile(value=f"{int(n):,}", name=f"turns without {modality}", remark="all splits; still scored")
        for modality, n in (scores.get("masked") or {}).items()
    ]
    floors = {floor: value[task.default_metric] for floor, value in split.get("floors", {}).items()}
    context = {
        "caption": f"{heading_of(task.default_metric)}, {name}",
        "interval": headline,
        "drawn": ruler("this run", headline, floors),
        "verdict": verdict(task, split, name),
        "warnings": warnings,
        "tiles": tiles,
    }
    return Section(template="result", context=context)


def scores(subject: Subject) -> Section:
    """Return the section with the scores of every split, and the floors of the headline split."""
    context = {
        "split_name": subject.split_name,
        "split_rows": split_rows(subject.scores),
        "floor_rows": floor_rows(subject.scores, subject.split, "this run") if subject.split.get("floors") else [],
        "notes": shown_problems(subject.scores.get("notes", [])),
    }
    return Section(template="scores", context=context)


def training(subject: Subject) -> Section | None:
    """Return the section with the training curves and the chosen epoch; None if there are no epochs."""
    run = subject.run
    if not run.epochs:
        return None
    settings, summary = run.config.get("training") or {}, run.summary
    select, best = str(settings.get("select") or subject.task.default_metric), summary.get("best_epoch")
    metric = summary.get("select") or metric_key(select)
    reason = "it is the last one" if run.keeps_last else f"it has the best {heading_of(metric)} on dev"
    facts: list[tuple[str, object]] = [
        ("epochs", len(run.epochs)),
        ("training time", _duration(summary.get("seconds"))),
        ("parameters", f"{summary['n_parameters']:,}" if summary.get("n_parameters") else None),
        ("peak memory", _mebibytes(summary.get("peak_memory_bytes"))),
    ]
    curves = subject.gallery.draw(
        "training_curves",
        lambda theme: training_curves(run.epochs, best, metric, theme),
        "Loss and score per epoch on train and dev",
    )
    caption = f"The run keeps epoch {best}: {reason}." if best is not None else ""
    return Section(template="training", context={"curves": curves, "caption": caption, "facts": facts})


def emotions(subject: Subject) -> Section:
    """Return the section about classes: how well each is found, and confusions."""
    split, name, labels = subject.split, subject.split_name, subject.task.names
    per_class = split["scores"]["per_class"]
    confusion = subject.gallery.draw(
        "confusion_matrix",
        lambda theme: confusion_heat_map(split["scores"]["confusion"], labels, theme),
        f"Confusion matrix of {name}; the table of classes beside it has the same facts",
    )
    bars = subject.gallery.draw(
        "class_f1",
        lambda theme: class_bars(per_class, split.get("class_intervals", {}), theme),
        "F1 of every class with its interval; the table below has the numbers",
    )
    context = {
        "split_name": name,
        "never_found": [label for label, value in per_class.items() if value["support"] and not value["f1"]],
        "confusion": confusion,
        "bars": bars,
        "class_rows": class_rows(split),
    }
    return Section(template="emotions", context=context)


def conversation(subject: Subject) -> Section:
    """Return the section with scores by emotion shift, position and length of the dialogue, and speaker."""
    slices = subject.split["slices"]
    speakers = slices.get("speaker", {})
    shown = {speaker: speakers[speaker] for speaker in list(speakers)[:MOST_SPEAKERS]}
    context = {
        "slices": slices,
        "speakers": shown,
        "n_more_speakers": len(speakers) - len(shown),
        "metric": subject.task.default_metric,
        "heading": heading_of(subject.task.default_metric),
    }
    return Section(template="conversation", context=context)


def confidence(subject: Subject) -> Section:
    """Return the section that compares confidence with accuracy."""
    values = subject.split["calibration"]
    diagram = subject.gallery.draw(
        "reliability",
        lambda theme: reliability_diagram(values, theme),
        f"Reliability diagram, ECE {values['ece']:.3f}",
    )
    gap = values["confidence"] - values["accuracy"]
    direction = "over-confident" if gap > 0 else "under-confident"
    facts: list[tuple[str, object]] = [
        ("mean confidence", format_score(values["confidence"], 3)),
        ("accuracy", format_score(values["accuracy"], 3)),
        ("on average", f"{direction} by {abs(gap):.3f}"),
        ("ECE (15 bins)", format_score(values["ece"], 3)),
        ("largest difference in a bin", format_score(values["mce"], 3)),
        ("Brier score", format_score(values["brier"], 3)),
        ("log-loss, nats", format_score(values["log_loss"], 3)),
    ]
    return Section(template="confidence", context={"diagram": diagram, "facts": facts})


def dialogues(subject: Subject) -> Section:
    """Return the section with a few dialogues: timelines, transcripts and attention."""
    chosen = instructive_dialogues(class_predictions(subject))
    context = {
        "dialogues": [_dialogue(subject, dialogue_id, reason) for dialogue_id, reason in chosen],
        "colours": colours_of(subject.task.names),
    }
    return Section(template="dialogues", context=context)


def class_predictions(subject: Subject) -> ClassPredictions:
    """Return the predictions of a page about classes."""
    assert isinstance(subject.predictions, ClassPredictions)
    return subject.predictions


def _dialogue(subject: Subject, dialogue_id: str, reason: str) -> dict[str, object]:
    predictions, draw = class_predictions(subject), subject.gallery.draw
    view = dialogue_view(predictions, dialogue_id, subject.run.attention(predictions.splits[0], dialogue_id))
    file = file_stem(f"{view.split}_{dialogue_id}")
    alt = f"Emotion timeline of {dialogue_id}: {len(view)} turns; the transcript below says the same"
    timeline = draw(f"timeline_{file}", partial(emotion_timeline, view), alt)
    attention = None
    if view.attention:
        first = next(iter(view.attention))
        attention = draw(
            f"attention_{file}",
            partial(attention_heat_map, view, first),
            f"Attention {first} of {dialogue_id}, from the turn of the row to the turn of the column",
        )
    part, most_turns = view.shown_part(), subject.run.attention_limit(view.split, dialogue_id)
    notes = [part_note(slice(part.n_before, part.n_before + len(part)), len(view), "with the most emotion shifts")]
    if most_turns is not None:
        notes.append(
            f"The run stored attention of dialogues of up to {most_turns:,} turns, so no attention is shown here. The "
            "setting attention_turns changes this limit."
        )
    return {
        "view": view,
        "reason": reason,
        "lines": lines_of(view),
        "timeline": timeline,
        "attention": attention,
        "notes": [note for note in notes if note],
    }


def lines_of(view: DialogueView) -> list[dict[str, object]]:
    """Return the transcript of a dialogue, one mapping per turn.

    The keys are speaker, lane (number of the speaker's lane), text, gold, predicted, p (label → probability), and
    attended (pairs of a turn, counted from 1, and the weight of the attention to it).
    """
    names = list(dict.fromkeys(view.speakers))
    return [
        {
            "speaker": speaker,
            "lane": names.index(speaker) % 4,
            "text": view.texts[turn],
            "gold": view.gold[turn],
            "predicted": view.predicted[turn],
            "p": dict(zip(view.labels, map(float, view.probabilities_TC[turn]), strict=True)),
            "attended": [(i + 1, weight) for i, weight in view.attended_turns(turn)],
        }
        for turn, speaker in enumerate(view.speakers)
    ]


def errors(subject: Subject) -> Section:
    """Return the section with the most confident errors. Sometimes the gold label is the wrong one."""
    predictions = class_predictions(subject)
    context = {"errors": confident_errors(predictions), "colours": colours_of(predictions.labels)}
    return Section(template="errors", context=context)


def settings(subject: Subject) -> Section:
    """Return the section about how the run was made: configuration, data, seed, versions, command."""
    config, environment = subject.run.config, dict(subject.run.environment)
    command = environment.pop("command", None)
    context = {
        "command": " ".join(map(str, command)) if isinstance(command, list) else command,
        "facts": [*summary_pairs(config), *flattened(subject.scores.get("evaluated", {})), *flattened(environment)],
        "config": yaml.safe_dump(config, sort_keys=False, allow_unicode=True) if config else "",
    }
    return Section(template="run", context=context)


#: Every section that the page of a run can have; the task names those that the page shows.
MAKERS: Mapping[str, Maker] = {
    "result": result,
    "scores": scores,
    "training": training,
    "emotions": emotions,
    "conversation": conversation,
    "confidence": confidence,
    "dialogues": dialogues,
    "errors": errors,
    "run": settings,
    **VALUE_MAKERS,
}


def _duration(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _mebibytes(n_bytes: float | None) -> str | None:
    return None if n_bytes is None else f"{n_bytes / 2**20:,.0f} MiB"
