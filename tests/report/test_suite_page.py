import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from dialogue_ser.errors import MissingDataError
from dialogue_ser.report.figures.suite_figures import heat_map
from dialogue_ser.report.suite_page import cautions, verdict, write_suite_report


@pytest.fixture
def folder(suite_run, tmp_path) -> Path:
    (tmp_path / "out").mkdir()
    shutil.copy(suite_run / "out" / "results.json", tmp_path / "out")
    return tmp_path / "out"


def change(folder: Path, **values) -> dict:
    results = json.loads((folder / "results.json").read_text()) | values
    (folder / "results.json").write_text(json.dumps(results))
    return results


def test_all_files_have_every_system(folder):
    page = write_suite_report(folder)
    for name in ("index.html", "table.md", "table.tex", "table.csv"):
        text = (folder / name).read_text()
        assert all(label in text for label in ("erc", "blind", "mine")), name
    assert {file.name for file in (folder / "figures").iterdir()} == {
        "systems.png", "differences.png", "classes.png", "cost.png"
    }  # fmt: skip
    assert page.read_text().count("<h2") >= 3


@pytest.mark.usefixtures("blank_pictures")
def test_the_csv_has_plain_numbers_and_the_latex_table_one_line_for_each_system(folder):
    results = change(folder)
    write_suite_report(folder)
    with (folder / "table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, entry in zip(rows, results["rows"], strict=True):
        assert float(row["weighted_f1_mean"]) == entry["test"]["weighted_f1"]["mean"]
        assert float(row["f1_calm_std"]) == entry["classes"]["calm"]["std"]
    assert rows[1]["p_value"] == ""
    assert float(rows[0]["p_value_holm"]) == results["rows"][0]["comparison"]["p_value_holm"]
    lines = (folder / "table.tex").read_text().splitlines()
    assert sum(line.endswith("\\\\") for line in lines) == 4
    assert "95 \\% interval" in "\n".join(lines)


@pytest.mark.usefixtures("blank_pictures")
def test_words_of_users_make_no_markup(folder):
    results = change(folder, name="<b>&_%")
    results["rows"][0]["label"] = results["rows"][0]["system"] = "=<script>|_$"
    change(folder, rows=results["rows"])
    write_suite_report(folder)
    assert "<script>" not in (folder / "index.html").read_text()
    assert "<script>" not in (folder / "table.md").read_text()
    assert "\\_\\$" in (folder / "table.tex").read_text()
    assert "\n'=<script>" in (folder / "table.csv").read_text()


def test_the_verdict_names_the_best_system_and_what_is_certain(folder):
    results = change(folder)
    best = max(results["rows"], key=lambda row: row["test"]["weighted_f1"]["mean"])
    assert verdict(results).startswith(f"{best['label']} has the best weighted F1: ")
    for row in results["rows"]:
        if row["comparison"]:
            row["comparison"]["is_significant"] = row["label"] == "mine"
    assert "these differ from blind: mine (" in verdict(results)
    assert cautions(results) == []
    assert "too high" in cautions(results | {"protocol": "legacy-test-peek"})[0]
    assert "1 run" in cautions(results | {"failed": {"a/seed1": "why"}})[0]


@pytest.mark.usefixtures("blank_pictures")
def test_failed_runs_and_published_numbers_stand_apart_from_measured_ones(folder):
    from dialogue_ser.evaluation.published import published_rows_for

    published = [row for row in published_rows_for("meld", 7, "") if row["same_conditions"]]
    change(folder, failed={"bad/seed1": "it <broke>"}, published=published)
    write_suite_report(folder)
    text = (folder / "table.md").read_text()
    measured, _, rest = text.partition("## Failed runs")
    assert "EmoBERTa" not in measured
    assert "&lt;broke&gt;" in rest
    assert "EmoBERTa" in rest.partition("## Published numbers, not measured here")[2]
    page = (folder / "index.html").read_text()
    assert page.index('id="failed"') < page.index('id="published"')
    assert "were not measured here" in page


def test_a_map_shows_a_number_for_each_cell_and_a_dash_where_there_is_none():
    figure = heat_map(np.array([[0.25, np.nan], [1.0, -0.1]]), ["a $x$", "b" * 99], ["c", "d"])
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["0.250", "–", "1.000", "-0.100"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a $x$", "b" * 39 + "…"]


def test_a_map_of_many_rows_can_be_drawn_without_numbers():
    figure = heat_map(np.ones((30, 30)), ["a"] * 30, ["b"] * 30, with_numbers=False)
    assert not figure.axes[0].texts


@pytest.mark.usefixtures("blank_pictures")
def test_the_page_links_to_the_error_analysis_if_there_is_one(folder):
    assert "Error analysis" not in write_suite_report(folder).read_text()
    (folder / "errors").mkdir()
    (folder / "errors" / "index.html").write_text("")
    assert '<a href="errors/index.html">Error analysis</a>' in write_suite_report(folder).read_text()


def test_a_folder_without_results_is_an_error(tmp_path):
    with pytest.raises(MissingDataError, match="has no results of a suite"):
        write_suite_report(tmp_path)


@pytest.mark.usefixtures("blank_pictures")
def test_a_score_whose_epoch_test_chose_stands_beside_the_honest_one_and_is_called_too_high(folder):
    results = change(folder, protocol="legacy-test-peek")
    results["rows"][0]["peek"] = {"mean": 0.7654, "std": 0.0, "gap": 0.0123, "epochs": [3]}
    change(folder, protocol="legacy-test-peek", rows=results["rows"])
    write_suite_report(folder)
    table = (folder / "table.md").read_text()
    head, first = table.splitlines()[2], table.splitlines()[4]
    cells = dict(
        zip((name.strip() for name in head.split("|")), (one.strip() for one in first.split("|")), strict=True)
    )
    assert cells["epoch by test (too high)"] == "0.7654"
    assert cells["gap"] == "+0.0123"
    assert "Do not publish it as a score" in (folder / "index.html").read_text().replace("\n", " ")
