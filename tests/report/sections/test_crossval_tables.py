import json

import pytest

from dialogue_ser.evaluation.published import published_rows
from dialogue_ser.report.sections.crossval_tables import (
    confusion_rows,
    document_rows,
    fold_rows,
    group_rows,
    published_table,
    score_rows,
)


@pytest.fixture(scope="module")
def scores(tmp_path_factory, write_crossval):
    folder = write_crossval(tmp_path_factory.mktemp("tables") / "run", ["neutral"])
    return json.loads((folder / "scores.json").read_text())


@pytest.fixture(scope="module")
def one_fold(tmp_path_factory, write_crossval):
    folder = write_crossval(tmp_path_factory.mktemp("tables") / "run", [], folds=("Ses01F",), published=[])
    return json.loads((folder / "scores.json").read_text())


def test_rows_of_folds_end_with_their_mean_the_scores_over_all_folds_and_the_intervals(scores):
    rows = fold_rows(scores)
    assert [row["fold"] for row in rows] == [
        "Ses01F", "Ses01M", "Ses02F", "Ses02M", "mean ± std", "over all folds", "95 % over folds"
    ]  # fmt: skip
    first, mean, over_all_folds, intervals = rows[0], *rows[-3:]
    assert (first["turns"], first["chosen on dev"]) == (20, "C 0.01")
    assert first["UA (macro recall)"] == f"{scores['folds'][0]['uar']:.3f}"
    assert (
        mean["AUC (one against the rest)"]
        == f"{scores['fold_mean']['auc']['mean']:.3f} ± {scores['fold_mean']['auc']['std']:.3f}"
    )
    assert (over_all_folds["turns"], over_all_folds["macro F0.5"]) == (80, f"{scores['pooled']['macro_f05']:.3f}")
    assert over_all_folds["dev UA (macro recall)"] == f"{scores['dev']['uar']:.3f}"
    wa = scores["intervals"]["accuracy"]
    assert intervals["accuracy (WA)"] == f"[{wa['low']:.3f}, {wa['high']:.3f}]"
    assert intervals["AUC (one against the rest)"] == "–"


def test_a_single_fold_has_no_mean(one_fold):
    assert [row["fold"] for row in fold_rows(one_fold)] == ["Ses01F", "over all folds", "95 % over dialogues"]
    assert "mean ± std of folds" not in score_rows(one_fold)[0]


def test_every_score_has_a_row_and_micro_f1_names_what_it_leaves_out(scores, one_fold):
    rows = {str(row["score"]): row for row in score_rows(scores)}
    assert list(rows) == [
        "UA (macro recall)", "weighted F1", "accuracy (WA)", "macro F1", "macro precision", "weighted precision",
        "macro F0.5", "weighted F0.5", "AUC (one against the rest)", "micro F1 without neutral",
    ]  # fmt: skip
    assert rows["UA (macro recall)"]["over all folds"] == f"{scores['pooled']['uar']:.3f}"
    assert rows["accuracy (WA)"]["over all folds"] == f"{scores['pooled']['accuracy']:.3f}"
    assert rows["weighted F0.5"]["dev (used to choose)"] == f"{scores['dev']['weighted_f05']:.3f}"
    assert "micro F1" not in str(score_rows(one_fold))


def test_speakers_and_confusions_have_rows(scores):
    rows = group_rows(scores, scores["speakers"], "speaker")
    assert [(row["speaker"], row["turns"]) for row in rows] == [(name, 20) for name in scores["speakers"]]
    assert rows[1]["accuracy (WA)"] == f"{scores['speakers']['Ses01M']['accuracy']:.3f}"
    assert confusion_rows([[3, 1], [0, 2]], ["a", "b"]) == [
        {"gold": "a", "as a": 3, "as b": 1}, {"gold": "b", "as a": 0, "as b": 2}
    ]  # fmt: skip


def test_published_numbers_are_marked_and_come_after_measured_ones(scores, one_fold):
    rows = published_table(scores)
    assert [row["numbers"] for row in rows[:2]] == ["measured here: over all folds", "measured here: mean of folds"]
    assert all(str(row["numbers"]).startswith("published: ") for row in rows[2:])
    assert len(rows) == 34
    assert rows[0]["precision"] == f"{scores['pooled']['weighted_precision']:.4f}"
    assert {row["scenario"] for row in published_table(scores, same_conditions=True)} == {"improvised", None}
    assert (rows[0]["classes"], rows[0]["scenario"], rows[0]["modalities"]) == ("4", "improvised", "audio")
    assert rows[2]["WA"] == "0.7323 ± 0.0407"
    assert rows[2]["numbers"] == "published: quoted by E1"
    assert published_table(one_fold) == []


def test_numbers_that_a_document_does_not_give_are_blank():
    rows = document_rows([row.to_dict() for row in published_rows() if row.document == "E4"])
    own, _, quoted = rows[-3:]
    assert (own["numbers"], own["WA"], own["UA"]) == ("published: E4", "0.3500", "–")
    assert (own["classes"], own["scenario"], own["protocol"]) == ("10", None, None)
    assert (quoted["numbers"], quoted["WA"], quoted["classes"]) == ("published: quoted by E4", "0.9120", None)
