import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml
from markupsafe import escape

from dialogue_ser.errors import DialogueSerError, MissingDataError
from dialogue_ser.evaluation.run import evaluate_run
from dialogue_ser.report.page import headline_split, write_report
from dialogue_ser.runs.run_files import REPORT, REPORT_WITHOUT_TEXTS, RunFiles
from dialogue_ser.tasks.classification import Classification

VOID = {"meta", "br", "img", "source", "link", "hr", "input", "circle", "line"}


class _Page(HTMLParser):
    """Collects ids, links, image sources and text, and checks that every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.add(tag)
        self.ids += [values["id"]] if values.get("id") else []
        self.links += [values["href"]] if values.get("href") else []
        self.images += [values] if tag == "img" else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def full_run(tmp_path_factory: pytest.TempPathFactory, write_run: Callable[..., Path]) -> Path:
    run = write_run(tmp_path_factory.mktemp("report") / "demo")
    evaluate_run(run, n_resamples=200)
    write_report(run)
    return run


@pytest.fixture(scope="module")
def html(full_run: Path) -> str:
    return (full_run / "report.html").read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_every_link_leads_to_a_part_of_it(html: str) -> None:
    page = _Page(html)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} == set(Classification.sections) <= set(page.ids)


def test_the_page_loads_nothing_and_runs_no_script(html: str) -> None:
    assert not re.search(r"https?://|//cdn|url\(|@import", html)
    assert "default-src 'none'" in html
    page = _Page(html)
    assert "script" not in page.tags
    assert page.images
    assert all((image["src"] or "").startswith("data:image/png;base64,") and image["alt"] for image in page.images)


def test_transcripts_are_escaped(html: str) -> None:
    assert "<b>right now</b>" not in html
    assert "&lt;b&gt;right now&lt;/b&gt; &amp; I mean it" in html


def test_the_headline_its_interval_and_the_floors_are_those_of_scores_json(full_run: Path, html: str) -> None:
    scores = evaluate_run(full_run, n_resamples=200)["splits"]["test"]
    page = _Page(html)
    headline = scores["intervals"]["weighted_f1"]
    assert f"{headline['estimate']:.3f}95% interval [{headline['low']:.3f}, {headline['high']:.3f}]" in page.text
    for floor, value in scores["floors"].items():
        assert f"{floor} {value['weighted_f1']:.3f}" in page.text
    assert "3turns without audioall splits" in page.text


def test_figures_are_also_written_as_png_files(full_run: Path) -> None:
    names = {path.name for path in (full_run / "figures").iterdir()}
    assert {"training_curves.png", "confusion_matrix.png", "class_f1.png", "reliability.png"} <= names
    assert sum(name.startswith("timeline_test_") for name in names) == 3
    assert sum(name.startswith("attention_test_") for name in names) == 3
    assert all((full_run / "figures" / name).read_bytes().startswith(b"\x89PNG") for name in names)


def test_ids_of_thousands_of_characters_have_a_page_and_figures(tmp_path: Path, run_dir: Path) -> None:
    path = run_dir / "predictions.parquet"
    frame = pd.read_parquet(path)
    for column in ("dialogue_id", "utterance_id", "speaker"):
        frame[column] = frame[column].astype(str) + "é/" * 2500
    frame.to_parquet(path, index=False)
    page = write_report(run_dir)
    timelines = [file.name for file in (run_dir / "figures").glob("timeline_*")]
    assert len(timelines) == len(set(timelines)) == 3
    assert page.stat().st_size < 20_000_000


@pytest.mark.usefixtures("blank_pictures")
def test_a_page_says_that_a_long_dialogue_has_no_attention(tmp_path: Path, full_run: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(full_run, run, ignore=shutil.ignore_patterns("figures", "attention*"))
    names = pd.read_parquet(run / "predictions.parquet")["dialogue_id"].astype(str).unique()
    too_long = {f"test/{name.removeprefix('test/')}": 1500 for name in names}
    (run / "attention.json").write_text(json.dumps({"turns": {}, "most_turns": 1000, "too_long": too_long}))
    page = _Page(write_report(run).read_text(encoding="utf-8"))
    assert page.text.count("stored attention of dialogues of up to 1,000 turns, so no attention is shown here") == 3


@pytest.mark.usefixtures("blank_pictures")
def test_predictions_alone_give_a_page_without_the_parts_that_need_more(tmp_path: Path, full_run: Path) -> None:
    frame = pd.read_parquet(full_run / "predictions.parquet")
    frame[frame["split"] != "test"].to_parquet(tmp_path / "predictions.parquet")
    page = _Page(write_report(tmp_path).read_text(encoding="utf-8"))
    assert set(page.ids) >= {"result", "emotions", "dialogues"}
    assert "training" not in page.ids
    assert "There is no labelled test split. This is dev" in page.text
    assert not list((tmp_path / "figures").glob("attention*"))


def test_a_hostile_label_speaker_and_run_name_cannot_break_out(tmp_path: Path, full_run: Path) -> None:
    run = tmp_path / "x"
    shutil.copytree(
        full_run, run, ignore=shutil.ignore_patterns("figures", "attention*", "metrics.jsonl", "scores.json")
    )
    attack = '"><script>alert(1)</script>$x_{'
    frame = pd.read_parquet(run / "predictions.parquet")
    frame = frame.replace({"gold": {"joy": attack}, "predicted": {"joy": attack}}).rename(
        columns={"p_joy": f"p_{attack}"}
    )
    frame = frame.assign(speaker=attack, text=attack, dialogue_id=frame["dialogue_id"] + "/../" + attack)
    frame.to_parquet(run / "predictions.parquet")
    (run / "config.yaml").write_text("name: '</title><script>1</script>'\nseed: 1\n")
    page = _Page(write_report(run).read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert attack in page.text
    assert {path.parent.name for path in run.rglob("*.png")} == {"figures"}


@pytest.mark.usefixtures("blank_pictures")
def test_a_run_that_test_has_chosen_says_so_beside_its_headline(tmp_path: Path, full_run: Path) -> None:
    run = tmp_path / "peek"
    shutil.copytree(full_run, run)
    path = run / "scores.json"
    path.write_text(path.read_text().replace('"protocol": "dev"', '"protocol": "legacy-test-peek"'))
    assert "this split chose the checkpoint, so the number is too high" in write_report(run).read_text(encoding="utf-8")


def test_predictions_without_any_gold_are_refused_and_nothing_is_written(tmp_path: Path, full_run: Path) -> None:
    frame = pd.read_parquet(full_run / "predictions.parquet")
    frame.assign(gold=pd.Series([None] * len(frame), dtype=object)).to_parquet(tmp_path / "predictions.parquet")
    with pytest.raises(DialogueSerError, match="no split has gold"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError):
        write_report(tmp_path)


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        (("train", "dev", "test"), "test"),
        (("train", "dev", "ood"), "ood"),
        (("train", "dev"), "dev"),
        (("train",), "train"),
    ],
)
def test_the_headline_split_was_not_used_to_train_or_to_choose_if_there_is_one(
    splits: tuple[str, ...], expected: str
) -> None:
    assert headline_split({"splits": {name: {} for name in splits}}) == expected


@pytest.mark.parametrize("kind", ["run_dir", "value_run_dir"])
def test_the_page_that_wandb_gets_has_no_text_and_no_command_line(kind, request, blank_pictures):
    folder = request.getfixturevalue(kind)
    write_report(folder)
    assert not (folder / REPORT_WITHOUT_TEXTS).exists()
    config = yaml.safe_load((folder / "config.yaml").read_text())
    environment = json.loads((folder / "environment.json").read_text())
    environment["command"] = ["dialogue-ser", "--data.path=/home/somebody/secret.csv"]
    (folder / "environment.json").write_text(json.dumps(environment))
    (folder / "config.yaml").write_text(yaml.safe_dump(config | {"wandb": {"mode": "offline"}}))
    write_report(folder)
    with_texts, without = ((folder / name).read_text() for name in (REPORT, REPORT_WITHOUT_TEXTS))
    texts = [str(escape(text)) for text in RunFiles(folder).predictions.frame["text"].dropna()]
    assert any(text in with_texts for text in texts)
    assert "secret.csv" in with_texts
    assert not [text for text in texts if text in without]
    assert "secret.csv" not in without
    (folder / REPORT_WITHOUT_TEXTS).unlink()
    (folder / "config.yaml").write_text(yaml.safe_dump(config | {"wandb": {"mode": "offline", "texts": True}}))
    write_report(folder)
    assert not (folder / REPORT_WITHOUT_TEXTS).exists()
