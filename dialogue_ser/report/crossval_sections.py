"""The parts of a cross-validation's report.html, in reading order; each takes what it shows and gives HTML."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from dialogue_ser.report.crossval_tables import confusion_rows, fold_rows, group_rows, published_table, score_rows
from dialogue_ser.report.html import Picture, definitions, picture, ruler, scrolling, section
from dialogue_ser.report.tables import class_rows, format_interval, format_mean_std, format_score, render_html

_TILES = {"wa": "WA (accuracy)", "macro_f1": "macro F1", "weighted_f1": "weighted F1", "macro_f05": "macro F0.5"}


def verdict(scores: Mapping[str, Any]) -> str:
    """What was found, in two sentences."""
    pooled, headline, folds = scores["pooled"], scores["intervals"]["ua"], len(scores["folds"])
    chance = 1 / len(scores["labels"])
    text = (
        f"On {pooled['n']:,} labelled test utterances of {folds} fold{'s' if folds > 1 else ''} "
        f"({scores['protocol']}) the UA of {scores['system']} is {pooled['ua']:.3f}, guessing gives {chance:.3f}; "
        f"resampling {scores['interval_over']} puts {headline['level']:.0%} of the values in "
        f"{format_interval(headline['low'], headline['high'])}."
    )
    if folds > 1:
        mean = scores["fold_mean"]["ua"]
        text += f" The folds' own UA is {format_mean_std(mean['mean'], mean['std'], 3)}."
    return text


def cautions(scores: Mapping[str, Any]) -> list[str]:
    """What one must know before comparing the scores with others, one sentence each; often there is nothing."""
    found = []
    if scores["uses_unlabelled_test_recordings"]:
        found.append(
            "Transforms learnt from the test speakers' unlabelled recordings: the scores stand apart from those of "
            "systems that meet each test utterance alone."
        )
    both = sum(bool(set(fold["speakers"]["train"]) & set(fold["speakers"]["test"])) for fold in scores["folds"])
    if both:
        found.append(
            f"In {both} of {len(scores['folds'])} folds speakers of test are in train too: new ones will fare worse."
        )
    lacking = sum(0 in fold["labels"]["test"].values() for fold in scores["folds"])
    if lacking:
        found.append(
            f"In {lacking} of {len(scores['folds'])} folds a class has no test turn: it counts as never found, which "
            "lowers UA and macro scores there and in the mean over folds."
        )
    if scores["cut_dialogues"]:
        found.append(
            f"The folds cut {scores['cut_dialogues']:,} dialogues: their turns are met without those of other parts as "
            "context, while other turns of the same conversation were learnt from or chosen on."
        )
    counts = scores["utterances"]
    if counts["tested"] < counts["all"]:
        found.append(f"{counts['tested']:,} of {counts['all']:,} utterances were tested.")
    return found


def hero(scores: Mapping[str, Any]) -> str:
    """The headline with its interval, the other scores, and what to beware of."""
    pooled, interval = scores["pooled"], scores["intervals"]["ua"]
    tiles = "".join(
        f"<div><b>{format_score(pooled[key], 3)}</b><span>{name}<br>"
        f"{format_interval(scores['intervals'][key]['low'], scores['intervals'][key]['high'])}</span></div>"
        for key, name in _TILES.items()
    )
    tiles += f"<div><b>{format_score(pooled['auc'], 3)}</b><span>AUC<br>one against the rest</span></div>"
    warnings = "".join(f'<p class="verdict warn">{escape(text)}</p>' for text in cautions(scores))
    return (
        '<section id="result" aria-label="Result"><div class="hero"><div class="headline">'
        f"<small>UA, all test turns</small>{interval['estimate']:.3f}"
        f"<em>{interval['level']:.0%} interval {format_interval(interval['low'], interval['high'])}</em></div>"
        f"<div>{ruler('this system', interval, {'chance': 1 / len(scores['labels'])})}</div>"
        f'<p class="verdict">{escape(verdict(scores))}</p>{warnings}<div class="tiles">{tiles}</div></div></section>\n'
    )


def scores_section(scores: Mapping[str, Any]) -> str:
    """Every score, pooled and per fold, and what the reader noticed."""
    facts: list[tuple[str, object]] = [
        ("corpus", f"{scores['config']['data']['reader']}, {scores['config']['data']['labels']}"),
        ("scenario", scores["scenario"]),
        ("protocol", scores["protocol"]),
    ]
    body = definitions(facts) + scrolling(render_html(score_rows(scores)), "Scores")
    body += (
        "<p>Pooled: all test turns as one set. Macro: mean over classes; weighted: by gold turns: so macro recall is UA"
        " and weighted recall WA. Pooled AUC compares probabilities of different folds' models with each other.</p>"
    )
    notes = "".join(f"<li>{escape(str(note))}</li>" for note in scores["notes"])
    return section("scores", "Scores", body + (f"<h3>What the reader noticed</h3><ul>{notes}</ul>" if notes else ""))


def published_section(scores: Mapping[str, Any]) -> str:
    """The documents' own numbers beside the measured ones; empty where there are none on this corpus."""
    rows = published_table(scores)
    if not rows:
        return ""
    body = (
        '<p class="warn">Rows marked published are what the documents print. They were not measured here: data, folds '
        "and details differ, most of all where classes, scenario or protocol do.</p>"
    )
    body += scrolling(render_html(rows), "Published numbers beside measured ones")
    titles = dict.fromkeys((row["document"], row["title"]) for row in scores["published"])
    body += definitions(list(titles))
    body += (
        "<p>Measured precision, recall and F0.5 are weighted by gold turns; the documents do not say which average "
        "theirs are.</p>"
    )
    return section("published", "Beside published numbers", body)


def folds_section(scores: Mapping[str, Any], image: Picture) -> str:
    """Every fold: scores, and how many turns of which class it had."""
    counts = [
        {"fold": fold["name"], "part": part, "utterances": fold["utterances"][part], **fold["labels"][part]}
        for fold in scores["folds"]
        for part in fold["labels"]
    ]
    body = picture(image) + scrolling(render_html(fold_rows(scores)), "Scores of every fold")
    body += "<details><summary>Utterances of every fold and part</summary>"
    body += scrolling(render_html(counts), "Utterances of every fold and part") + "</details>"
    return section("folds", "Fold by fold", body)


def classes_section(scores: Mapping[str, Any], confusion: Picture, bars: Picture, roc: Picture) -> str:
    """Which emotions are found, what they are taken for, and how well their probabilities rank."""
    split = {"scores": scores["pooled"], "class_intervals": scores["class_intervals"]}
    counts = confusion_rows(scores["pooled"]["confusion"], scores["labels"])
    body = (
        '<div class="two">'
        + picture(confusion, "Row: gold; column: predicted. Per cent of the row, and turns.")
        + picture(bars, f"Line: interval over {scores['interval_over']}. In brackets: gold turns.")
        + "</div>"
        + scrolling(render_html(class_rows(split)), "Scores per class")
        + picture(roc, "By each class's probability, all test turns together.")
        + "<details><summary>Confusion matrix as a table</summary>"
        + scrolling(render_html(counts), "Confusion matrix")
        + "</details>"
    )
    return section("emotions", "Emotion by emotion, all test turns", body)


def groups_section(scores: Mapping[str, Any]) -> str:
    """Scores per speaker, and per session, scenario, … where the corpus says them."""
    groups: Sequence[tuple[str, Mapping[str, Any]]] = [("speaker", scores["speakers"]), *scores["attributes"].items()]
    tables = "".join(
        f"<div>{scrolling(render_html(group_rows(found, name)), f'Scores per {name}')}</div>" for name, found in groups
    )
    remark = "<p>UA counts classes that a group lacks as never found, so that groups of few turns look worse by it.</p>"
    return section("speakers", "Who and where", f'{remark}<div class="two">{tables}</div>')
