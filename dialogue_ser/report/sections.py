"""The parts of report.html, in reading order; each takes what it shows and gives HTML."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import yaml

from dialogue_ser.metrics.run_files import RunFiles
from dialogue_ser.report.html import (
    Picture,
    chip,
    definitions,
    flattened,
    picture,
    ruler,
    scrolling,
    section,
    slice_table,
)
from dialogue_ser.report.settings import summary_pairs
from dialogue_ser.report.tables import (
    METRIC_NAMES,
    class_rows,
    floor_rows,
    format_difference,
    format_interval,
    format_score,
    render_html,
    split_rows,
)
from dialogue_ser.report.theme import colours_of
from dialogue_ser.report.timeline import DialogueView

MOST_SPEAKERS = 12


def verdict(split: Mapping[str, Any], name: str) -> str:
    """One honest sentence about the headline and the strongest floor."""
    counts, headline = split["counts"], split["intervals"]["weighted_f1"]
    text = (
        f"On {counts['dialogues']:,} {name} dialogues ({counts['labelled']:,} labelled turns) the weighted F1 is "
        f"{headline['estimate']:.3f}; resampling the dialogues puts {headline['level']:.0%} of the values in "
        f"{format_interval(headline['low'], headline['high'])}. "
    )
    floors = split.get("floors", {})
    if not floors:
        return text + "No floor was computed to compare it with."
    strongest = max(floors, key=lambda floor: float(floors[floor]["weighted_f1"]))
    lead = floors[strongest]["difference"]
    how = f"{format_difference(lead['estimate'])}, interval {format_interval(lead['low'], lead['high'])}".replace(
        "-", "−"
    )
    if lead["low"] > 0:
        return text + f"It clears its strongest floor, {strongest} ({how})."
    if lead["high"] < 0:
        return text + f"It stays below its strongest floor, {strongest} ({how}): something is wrong, or missing."
    return text + f"It cannot be told apart from its strongest floor, {strongest} ({how})."


def hero(run: RunFiles, scores: Mapping[str, Any], name: str) -> str:
    """The headline number with its interval, the floors, and the other metrics."""
    split = scores["splits"][name]
    headline = split["intervals"]["weighted_f1"]
    warning = ""
    if scores.get("protocol") == "legacy-test-peek":
        warning = "legacy-test-peek: the checkpoint was chosen on this split, so the number is too high."
    elif name == scores.get("dev_split"):
        warning = f"There is no labelled test split: this is {name}, which chose the checkpoint, so it is optimistic."
    tiles = "".join(
        f"<div><b>{format_score(split['scores'][key], 3)}</b><span>{escape(METRIC_NAMES[key])}<br>"
        f"{format_interval(split['intervals'][key]['low'], split['intervals'][key]['high'])}</span></div>"
        for key in ("accuracy", "uar", "macro_f1")
    )
    tiles += f"<div><b>{split['calibration']['ece']:.3f}</b><span>ECE<br>calibration error</span></div>"
    for modality, n in (scores.get("masked") or {}).items():
        tiles += f"<div><b>{int(n):,}</b><span>{escape(str(modality))} turns masked<br>all splits, scored</span></div>"
    floors = {floor: value["weighted_f1"] for floor, value in split.get("floors", {}).items()}
    return (
        '<section id="result" aria-label="Result"><div class="hero"><div class="headline">'
        f"<small>weighted F1, {escape(name)}</small>{headline['estimate']:.3f}"
        f"<em>{headline['level']:.0%} interval {format_interval(headline['low'], headline['high'])}</em></div>"
        f"<div>{ruler('this run', headline, floors)}</div>"
        f'<p class="verdict">{escape(verdict(split, name))}</p>'
        + (f'<p class="verdict warn">{escape(warning)}</p>' if warning else "")
        + f'<div class="tiles">{tiles}</div></div></section>\n'
    )


def scores_section(run: RunFiles, scores: Mapping[str, Any], name: str) -> str:
    """Every split, and the floors of the headline split."""
    body = scrolling(render_html(split_rows(scores)), "Scores of every split")
    split = scores["splits"][name]
    if split.get("floors"):
        body += f"<h3>Against the floors, {escape(name)}</h3>" + scrolling(
            render_html(floor_rows(split, "this run")), "Floors"
        )
        body += (
            "<p>Floors learn from the same train turns, take their regularisation from dev, and see neither speaker "
            "nor context. Intervals resample whole dialogues, paired for differences.</p>"
        )
    notes = "".join(f"<li>{escape(str(note))}</li>" for note in scores.get("notes", []))
    return section("scores", "Scores", body + (f"<ul>{notes}</ul>" if notes else ""))


def curves_section(run: RunFiles, image: Picture) -> str:
    """Training curves with the chosen epoch."""
    best, summary = run.summary.get("best_epoch"), run.summary
    training = run.config.get("training", {})
    metric = str(training.get("select", "weighted_f1"))
    reason = "the last" if training.get("keep") == "last" else f"the best dev {METRIC_NAMES.get(metric, metric)}"
    caption = f"Epoch {best} was kept: {reason}." if best is not None else ""
    facts: list[tuple[str, object]] = [
        ("epochs", len(run.epochs)),
        ("training time", _duration(summary.get("seconds"))),
        ("parameters", f"{summary['n_parameters']:,}" if summary.get("n_parameters") else None),
        ("peak memory", _mebibytes(summary.get("peak_memory_bytes"))),
    ]
    return section("training", "Training", picture(image, caption) + definitions(facts))


def classes_section(split: Mapping[str, Any], name: str, confusion: Picture, bars: Picture) -> str:
    """Which emotions are found, and what they are taken for."""
    never = [label for label, value in split["scores"]["per_class"].items() if value["support"] and not value["f1"]]
    remark = ""
    if never:
        remark = f'<p class="warn">Never found: {escape(", ".join(never))}. Class weights or a focal loss may help.</p>'
    return section(
        "emotions",
        f"Emotion by emotion, {name}",
        remark
        + '<div class="two">'
        + picture(confusion, "Row: what was felt; column: what was said to be felt. Per cent of the row, and turns.")
        + picture(bars, "Line: interval over dialogues. In brackets: gold turns.")
        + "</div>"
        + scrolling(render_html(class_rows(split)), "Scores per class"),
    )


def slices_section(split: Mapping[str, Any]) -> str:
    """Shift against stayed, positions, lengths, speakers."""
    slices = split["slices"]
    speakers = slices.get("speaker", {})
    shown = {speaker: speakers[speaker] for speaker in list(speakers)[:MOST_SPEAKERS]}
    left = len(speakers) - len(shown)
    body = (
        "<p>A speaker's emotion <b>shifted</b> if it differs from the same speaker's previous turn in the dialogue. "
        "Models that follow the mood of a conversation do well where it stayed and are thrown where it shifts. "
        "Position counts a dialogue's turns from 1; length is how many it has.</p>"
        f'<div class="two"><div>{slice_table(slices["emotion_shift"], "emotion")}</div>'
        f"<div>{slice_table(slices['turn_position'], 'position')}</div>"
        f"<div>{slice_table(slices['dialogue_length'], 'length')}</div>"
        f"<div>{slice_table(shown, 'speaker')}{f'<p>and {left} more speakers</p>' if left > 0 else ''}</div></div>"
    )
    return section("conversation", "Does it follow the conversation?", body)


def calibration_section(split: Mapping[str, Any], image: Picture) -> str:
    """Can its confidence be believed?"""
    values = split["calibration"]
    gap = values["confidence"] - values["accuracy"]
    direction = "over-confident" if gap > 0 else "under-confident"
    facts: list[tuple[str, object]] = [
        ("mean confidence", format_score(values["confidence"], 3)),
        ("accuracy", format_score(values["accuracy"], 3)),
        ("on the whole", f"{direction} by {abs(gap):.3f}"),
        ("ECE (15 bins)", format_score(values["ece"], 3)),
        ("largest gap of a bin", format_score(values["mce"], 3)),
        ("Brier score", format_score(values["brier"], 3)),
        ("log-loss, nats", format_score(values["log_loss"], 3)),
    ]
    return section(
        "confidence", "Can its confidence be believed?", f'<div class="two">{picture(image)}{definitions(facts)}</div>'
    )


def dialogues_section(views: Sequence[tuple[DialogueView, str, Picture, Picture | None]]) -> str:
    """Timelines with their transcripts: (view, why chosen, timeline, attention map)."""
    parts = [
        "<p>A tile is a turn in its speaker's lane, coloured by the predicted emotion; where gold differs, the tile is "
        "framed and its lower half shows gold. Arcs lead to the turns looked at most.</p>"
    ]
    for view, reason, timeline, attention in views:
        parts.append(f"<h3>{escape(view.dialogue_id)}: {escape(reason)}</h3>" + picture(timeline, wide=True))
        parts.append(
            f"<details open><summary>Transcript ({len(view)} turns, {view.n_right} of {view.n_labelled} right)"
            "</summary>"
        )
        parts.append(transcript(view) + "</details>")
        if attention is not None:
            parts.append(f"<details><summary>Attention</summary>{picture(attention, wide=True)}</details>")
    return section("dialogues", "Three dialogues" if len(views) == 3 else "Dialogues", "".join(parts))


def transcript(view: DialogueView) -> str:
    """A dialogue as a list of lines with prediction, gold, probabilities and turns looked at."""
    colours, names = colours_of(view.labels), list(dict.fromkeys(view.speakers))
    lines = []
    for turn, (speaker, gold, predicted) in enumerate(zip(view.speakers, view.gold, view.predicted, strict=True)):
        p_C = view.probabilities_TC[turn]
        stack = "".join(
            f'<span style="width:{100 * p:.2f}%;background:{colours[label]}" title="{escape(label)} {p:.2f}"></span>'
            for label, p in zip(view.labels, p_C, strict=True)
        )
        guess = chip(predicted, colours) + f" {p_C[view.labels.index(predicted)]:.2f}"
        if gold is not None and gold != predicted:
            guess += (
                f' <span class="wrong">gold</span> {chip(gold, colours, gold=True)} {p_C[view.labels.index(gold)]:.2f}'
            )
        elif gold is None:
            guess += " unlabelled"
        looked = ", ".join(f"{i + 1} ({weight:.2f})" for i, weight in view.looked_at(turn))
        lane = names.index(speaker) % 4
        lines.append(
            f'<li><span class="n">{turn + 1}</span><div class="said" style="--lane:{lane};--c:{colours[predicted]}">'
            f'<span class="who">{escape(speaker)}</span>{escape(view.texts[turn]) or "<i>(no transcript)</i>"}</div>'
            f'<div class="guess p">{guess}<div class="stack" aria-hidden="true">{stack}</div>'
            f"{f'looks at {looked}' if looked else ''}</div></li>"
        )
    return f'<ol class="turns">{"".join(lines)}</ol>'


def errors_section(errors: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> str:
    """The most confident errors: often the most telling, and sometimes gold is the one that errs."""
    colours = colours_of(labels)
    rows = "".join(
        f'<tr><th scope="row">{escape(e["speaker"])}</th><td>'
        + (f'<span class="p" style="color:var(--soft)">{escape(e["before"])}</span><br>' if e["before"] else "")
        + f"{escape(e['text']) or '<i>(no transcript)</i>'}<br><code>{escape(e['utterance'])}</code></td>"
        f"<td>{chip(e['predicted'], colours)} {e['p_predicted']:.2f}</td>"
        f"<td>{chip(e['gold'], colours, gold=True)} {e['p_gold']:.2f}</td></tr>"
        for e in errors
    )
    names = ("speaker", "line (above: the line before)", "predicted", "gold")
    head = "<tr>" + "".join(f'<th scope="col">{name}</th>' for name in names) + "</tr>"
    body = scrolling(f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>", "Most confident errors")
    return section("errors", "Most confident errors", body if errors else "<p>There is no error.</p>")


def run_section(run: RunFiles) -> str:
    """What the run was: configuration, data, seed, versions, command."""
    config, environment = run.config, dict(run.environment)
    command = environment.pop("command", None)
    if isinstance(command, list):
        command = " ".join(map(str, command))
    body = f"<pre><code>{escape(str(command))}</code></pre>" if command else ""
    body += definitions([*summary_pairs(config), *flattened(environment)])
    if config:
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        body += f"<details><summary>config.yaml</summary><pre><code>{escape(text)}</code></pre></details>"
    return section("run", "What was run", body or "<p>config.yaml and environment.json are absent.</p>")


def _duration(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _mebibytes(n_bytes: float | None) -> str | None:
    return None if n_bytes is None else f"{n_bytes / 2**20:,.0f} MiB"
