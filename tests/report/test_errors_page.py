import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from dialogue_ser.errors import MissingDataError
from dialogue_ser.evaluation.errors.analyse import analyse_errors
from dialogue_ser.report.errors_page import missing_runs, verdict, write_errors_report

pytestmark = pytest.mark.usefixtures("blank_pictures")

HOSTILE = "<script>alert(1)</script> & \u202e\u0645\u0631\u062d\u0628\u0627 {{ 7 * 7 }}"


def dialogue(n: int, text: str | None = "hello", name: str = "d", speaker: str = "Ann") -> list[tuple]:
    return [("test", name, speaker, text, "ab"[i % 2]) for i in range(n)]


def pages(folder: Path, **settings) -> tuple[str, str]:
    out = analyse_errors(folder, **settings)
    page = write_errors_report(out)
    other = out / "dialogues.html"
    return page.read_text(), other.read_text() if other.is_file() else ""


def numbers(n: int, c: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(c), n)


class Reader(HTMLParser):
    """Collects the tags, and the classes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in ("meta", "img", "source", "br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_pages_show_every_system_group_and_turn_and_are_well_formed(tmp_path, write_error_suite):
    turns = dialogue(40, "one two three") + dialogue(4, name="other", speaker="Bo")
    systems = {name: {s: numbers(44, seed=s + 10 * i) for s in (1, 2)} for i, name in enumerate(("x", "y", "z"))}
    page, dialogues = pages(write_error_suite(tmp_path / "s", turns, systems, reference="z"), systems="x,y")
    for name in ("classes", "confusions", "speakers", "shifts", "positions", "lengths", "agreement", "dialogues"):
        assert f'<section id="{name}"' in page
    for text in (page, dialogues):
        assert Reader(text).open == []
        assert "script" not in Reader(text).tags
    assert page.count('<a href="dialogues.html') == 4
    assert dialogues.count("<li>") == 44
    assert len(re.findall(r"\d of 2 seeds right", dialogues)) == 88
    assert dialogues.count("✓ right") + dialogues.count("✗ wrong") == 88
    widths = [float(one) for one in re.findall(r"width:([\d.]+)%;background", dialogues)]
    assert sum(widths) == pytest.approx(88 * 100, abs=2)


def test_text_of_others_is_shown_and_never_markup(tmp_path, write_error_suite):
    turns = dialogue(6, HOSTILE, name="<img src=x>", speaker="<b>Ann</b>")
    systems = {"<i>x</i>": {1: numbers(6)}, "y": {1: numbers(6, seed=1)}}
    page, dialogues = pages(write_error_suite(tmp_path / "s", turns, systems))
    for text in (page, dialogues):
        assert not {"script", "i"} & set(Reader(text).tags)
        assert "<script>" not in text
        assert "<i>x" not in text
        assert "<img src=x>" not in text
    assert "<b>Ann" not in dialogues
    assert "{{ 7 * 7 }}" in dialogues
    assert '<span dir="auto" class="text">&lt;script&gt;' in dialogues


def test_a_long_dialogue_is_cut_with_a_message_and_a_long_text_too(tmp_path, write_error_suite):
    n = 2000
    p = np.full((n, 2), 0.5)
    other = p.copy()
    other[1000:1060] = (0.9, 0.1)
    folder = write_error_suite(tmp_path / "s", dialogue(n, "x" * 1300), {"x": {1: p}, "y": {1: other}})
    _, dialogues = pages(folder)
    assert dialogues.count("<li>") == 60
    assert "The page shows turns 1001 to 1060 of 2,000, those with the largest differences." in dialogues
    assert "x" * 1200 + "…" in dialogues
    assert "x" * 1201 not in dialogues
    stored = json.loads((folder / "errors" / "errors.json").read_text())
    assert len(stored["dialogues"]["shown"][0]["lines"]) == n


def test_a_corpus_without_text_and_turns_without_label_have_words_in_their_place(tmp_path, write_error_suite):
    turns = [("test", "d", "Ann", None, gold) for gold in ("a", None, "b")]
    page, dialogues = pages(write_error_suite(tmp_path / "s", turns, {"x": {1: numbers(3)}, "y": {1: numbers(3)}}))
    assert dialogues.count("(no transcript)") == 3
    assert dialogues.count("unlabelled") == 1
    assert 'id="lengths"' not in page


def test_a_regression_shows_dimensions_and_values(tmp_path, write_error_suite):
    gold = [(1.0, 2.0), (np.nan, 3.0), (3.0, 1.0), (2.0, 2.0)]
    turns = [("test", "d", "Ann", "x", None)] * 4
    systems = {"x": {1: [(1.5, 2.0)] * 4}, "y": {1: gold[:1] * 4, 2: [(3.0, 2.5)] * 4}}
    page, dialogues = pages(write_error_suite(tmp_path / "s", turns, systems, ("v", "w"), gold_values=gold))
    assert '<section id="dimensions"' in page
    assert 'id="classes"' not in page
    assert "<div>v <b>1.50</b> (+0.50)</div>" in dialogues
    assert "<div>v <b>1.50</b></div>" in dialogues  # gold is not known there
    assert "gold: v –, w 3.00" in dialogues
    assert all(Reader(text).open == [] for text in (page, dialogues))


def test_one_system_has_no_page_of_dialogues_and_the_page_of_an_earlier_analysis_goes(tmp_path, write_error_suite):
    systems = {"x": {1: numbers(4)}, "y": {1: numbers(4, seed=1)}}
    folder = write_error_suite(tmp_path / "s", dialogue(4), systems)
    assert pages(folder)[1]
    write_error_suite(folder, dialogue(4), {"x": {1: numbers(4), 2: None}})
    page, dialogues = pages(folder)
    assert dialogues == ""
    assert "dialogues.html" not in page
    assert "1 run not finished, and therefore missing here: x/seed2." in page


def test_the_agreement_of_many_systems_is_a_table_too(tmp_path, write_error_suite):
    systems = {f"s{i}": {1: numbers(6, seed=i)} for i in range(11)}
    page, _ = pages(write_error_suite(tmp_path / "s", dialogue(6), systems))
    table = page.partition("Table: share of turns with the same label")[2].partition("</table>")[0]
    assert table.count("<tr>") == 12
    assert table.count("–</td>") == 11  # one seed has no pair
    assert Reader(page).open == []


def test_the_verdict_says_who_is_best_what_is_missing_and_where_the_pair_differs(tmp_path, write_error_suite):
    turns = [turn for i in range(30) for turn in dialogue(4, name=f"d{i}")]
    gold = np.arange(120) % 4 % 2
    good, weak = ([(1 - p, p) for p in np.where(gold, high, 1 - high)] for high in (0.9, 0.2))
    folder = write_error_suite(tmp_path / "s", turns, {"good": {1: good, 2: good}, "weak": {1: weak}})
    errors = json.loads((analyse_errors(folder) / "errors.json").read_text())
    text = " ".join(verdict(errors))
    assert "2 systems, 120 labelled turns of 30 dialogues. good has the best weighted F1: 1.0000." in text
    assert "At least one system is right at 100.0% of the turns, and no system at 0.0%." in text
    assert "Two seeds of one system give the same label at 100.0% of the turns on average;" in text
    assert "good is better than weak in " in text
    assert "good is worse" not in text
    assert missing_runs(errors) == ""
    assert missing_runs(errors | {"missing": ["a/seed1"] * 12}).endswith("and 2 more.")


def test_a_folder_without_an_analysis_is_an_error(tmp_path):
    with pytest.raises(MissingDataError, match="run dialogue-ser errors"):
        write_errors_report(tmp_path)
