import json
import re
from html import unescape

import pytest

from dialogue_ser.errors import DialogueSerError, MissingDataError
from dialogue_ser.report.crossval_page import write_crossval_report
from dialogue_ser.report.sections.crossval_sections import cautions, verdict
from dialogue_ser.tasks import task_of_scores
from dialogue_ser.tasks.classification import Classification

SECTIONS = Classification.crossval_sections


@pytest.fixture(scope="module")
def done(tmp_path_factory, write_crossval):
    folder = write_crossval(tmp_path_factory.mktemp("page") / "run", [])
    report = write_crossval_report(folder)
    assert report == folder / "report.html"
    return folder, report.read_text(encoding="utf-8"), json.loads((folder / "scores.json").read_text())


def text_of(html):
    return unescape(re.sub(r"<[^>]+>", " ", html))


def test_page_and_figures_are_written(done):
    folder, html, _ = done
    assert sorted(path.name for path in (folder / "figures").iterdir()) == [
        "class_f1.png", "confusion_matrix.png", "folds.png", "roc.png"
    ]  # fmt: skip
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (folder / "figures").iterdir())
    assert html.count("<figure>") == 4
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert re.findall(r'<a href="#([^"]+)">[A-Z]\w+</a>', html) == list(SECTIONS)
    assert set(SECTIONS) <= set(ids)


def test_the_page_loads_nothing_and_escapes_transcripts(done):
    _, html, _ = done
    assert not re.search(r"https?://|//cdn|url\(|@import|<script", html)
    assert "default-src 'none'" in html
    assert "<b>fine</b>" not in html
    assert "3 turns have no clip &amp; are masked" in html


def test_the_page_says_what_scores_json_says(done):
    _, html, scores = done
    text = text_of(html)
    for value in (
        f"{scores['pooled']['uar']:.3f}",
        f"{scores['pooled']['auc']:.3f}",
        f"{scores['fold_mean']['weighted_f05']['mean']:.3f} ± {scores['fold_mean']['weighted_f05']['std']:.3f}",
        f"{scores['pooled']['per_class']['sad']['auc']:.3f}",
        "leave-one-speaker-out-partner-dev",
        "improvised",
        "Ses02M",
        "linear-svm",
    ):
        assert value in text
    assert verdict(task_of_scores(scores), scores) in text
    assert "emotion-rnn" not in re.sub(r"<details.*?</details>", "", html, flags=re.DOTALL)  # it was not trained
    for row in scores["folds"][0]["labels"]["test"].values():
        assert f'<td class="num">{row}</td>' in html


def test_published_numbers_are_marked_as_not_measured(done, tmp_path, write_crossval):
    _, html, _ = done
    text = text_of(html)
    assert "published: E3" in text
    assert "They were not measured here" in text
    assert "0.7208" in text
    without = write_crossval_report(write_crossval(tmp_path / "run", [], published=[])).read_text(encoding="utf-8")
    assert "published" not in re.sub(r"<style>.*?</style>", "", without, flags=re.DOTALL)


def test_the_verdict_names_chance_and_the_folds(done):
    _, _, scores = done
    said = verdict(task_of_scores(scores), scores)
    assert "80 labelled test utterances of 4 folds" in said
    assert "guessing gives 0.250" in said
    assert f"The mean UA (macro recall) of the folds is {scores['fold_mean']['uar']['mean']:.3f} ± " in said
    one = {**scores, "folds": scores["folds"][:1], "interval_over": "dialogues"}
    assert "of 1 fold (" in verdict(task_of_scores(one), one)
    assert "if the dialogues are resampled" in verdict(task_of_scores(one), one)
    assert "of the folds is" not in verdict(task_of_scores(one), one)


def test_cautions_name_what_makes_scores_incomparable(done):
    _, _, scores = done
    assert cautions(scores) == []
    same = [{**scores["folds"][0], "speakers": {"train": ["A", "B"], "dev": ["B"], "test": ["A"]}}]
    changed = {
        "uses_unlabelled_test_recordings": True,
        "cut_dialogues": 151,
        "utterances": {"all": 5531, "tested": 553},
        "folds": same,
    }
    first, second, third, fourth = cautions({**scores, **changed})
    rare = {"anger": 7, "disgust": 0}
    fold = {**scores["folds"][1], "labels": {"test": rare, "dev": rare}}
    assert cautions({**scores, "folds": [scores["folds"][0], fold]}) == [
        "In 1 of 2 folds a class has no test turn: it counts as never found, which lowers UA and macro scores there "
        "and in the mean over folds.",
        "In 1 of 2 folds a class has no dev turn: it counts as never found in the scores that choose.",
    ]
    assert "unlabelled recordings" in first
    assert "In 1 of 1 folds speakers of test are in train too" in second
    assert "cut 151 dialogues" in third
    alone = [{**scores["folds"][0], "speakers": {part: ["speaker"] for part in ("train", "dev", "test")}}]
    assert cautions({**scores, "folds": alone}) == [
        "The corpus names only one speaker, so it is unknown whether these scores hold for other speakers."
    ]
    assert fourth == "553 of 5,531 utterances were tested."


def test_a_folder_without_a_cross_validation_is_refused(tmp_path, write_run, write_crossval):
    with pytest.raises(MissingDataError, match="no finished cross-validation"):
        write_crossval_report(write_run(tmp_path / "plain"))
    with pytest.raises(MissingDataError, match="no such run directory"):
        write_crossval_report(tmp_path / "nowhere")
    folder = write_crossval(tmp_path / "old", [])
    scores = json.loads((folder / "scores.json").read_text())
    del scores["scenario"], scores["published"]
    (folder / "scores.json").write_text(json.dumps(scores))
    with pytest.raises(DialogueSerError, match="lacks scenario, published; run the cross-validation again"):
        write_crossval_report(folder)
