import numpy as np
import pandas as pd
import pytest

from dialogue_ser.report.figures.gallery import Gallery
from dialogue_ser.report.html import render_page
from dialogue_ser.report.page import write_report
from dialogue_ser.report.sections.composition import Subject
from dialogue_ser.report.sections.settings import subtitle
from dialogue_ser.report.sections.value_sections import VALUE_MAKERS
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.tasks.regression import Regression


@pytest.fixture
def run(tmp_path):
    """A run directory that contains only predictions of values."""
    rng = np.random.default_rng(3)
    rows = [
        (split, f"{split}/d{d}", f"{split}/d{d}_utt{t}", t, "ab"[t % 2], f"<b>line {t}</b>")
        for split, n in (("train", 6), ("dev", 4), ("test", 5))
        for d in range(n)
        for t in range(5)
    ]
    frame = pd.DataFrame(rows, columns=["split", "dialogue_id", "utterance_id", "turn", "speaker", "text"])
    for name in ("valence", "arousal"):
        frame[f"gold_{name}"] = rng.normal(3, 1, len(frame)).round(2)
        frame[f"predicted_{name}"] = frame[f"gold_{name}"] * 0.6 + rng.normal(1.2, 0.3, len(frame))
    frame.loc[::7, "gold_arousal"] = np.nan
    frame.to_parquet(tmp_path / "predictions.parquet", index=False)
    return tmp_path


def subject_of(run) -> Subject:
    files, task = RunFiles(run), Regression(("valence", "arousal"))
    test = files.predictions.split("test")
    scores = {"dimensions": list(task.names), "splits": {"test": task.summary(test, n_resamples=50)}}
    return Subject(run=files, scores=scores, split_name="test", predictions=test, task=task, gallery=Gallery())


@pytest.mark.parametrize("name", VALUE_MAKERS)
def test_each_section_renders_with_its_context(run, name) -> None:
    section = VALUE_MAKERS[name](subject_of(run))
    assert section is not None
    page = render_page("run", "", {name: section})
    assert f'id="{name}"' in page
    assert "<b>line" not in page  # text from data is escaped


def test_a_page_about_values_has_its_sections_and_none_about_classes(run) -> None:
    page = write_report(run).read_text()
    for name in ("result", "dimensions", "courses", "deviations"):
        assert f'id="{name}"' in page
    for name in ("emotions", "confidence"):
        assert f'id="{name}"' not in page
    assert {"values.png"} <= {file.name for file in (run / "figures").iterdir()}


def test_the_line_under_the_title_names_dimensions_and_no_label_set() -> None:
    data = {"reader": "table", "labels": "emotion", "targets": ["valence", "arousal"]}
    assert subtitle({"task": "regression", "data": data, "seed": 1}) == "table valence, arousal · seed 1"
    assert subtitle({"task": "regression", "data": {**data, "targets": []}, "seed": 1}) == "table · seed 1"
    assert subtitle({"data": data, "seed": 1}) == "table emotion · seed 1"


def test_single_utterances_have_no_courses(run) -> None:
    frame = pd.read_parquet(run / "predictions.parquet")
    frame["dialogue_id"] = frame["utterance_id"]
    frame.to_parquet(run / "predictions.parquet", index=False)
    assert 'id="courses"' not in write_report(run).read_text()
