import pytest

from dialogue_ser.report.sections import error_tables as tables


def system(label: str, score: float, reference: str = "", **more) -> dict:
    items = {
        "a": {"f1": {"mean": score, "std": 0.01}, "support": 40}, "b": {"f1": {"mean": 0.5, "std": 0.02}, "support": 3}
    }  # fmt: skip
    return {
        "label": label, "reference": reference, "seeds": [1, 2], "scores": {"weighted_f1": {"mean": score, "std": 0.0}},
        "items": items, "confusion": [[30.0, 10.0], [1.0, 2.0]], **more,
    }  # fmt: skip


@pytest.fixture
def errors() -> dict:
    return {
        "metric": "weighted_f1", "few_turns": 20, "labels": ["a", "b"],
        "systems": [system("base", 0.5), system("better", 0.55, "base"), system("worse", 0.3, "base")],
        "item_differences": [None, None], "groupings": [],
        "agreement": {"equal": [[0.9, 0.6, 0.7], [0.6, None, 0.8], [0.7, 0.8, 0.7]]},
    }  # fmt: skip


def test_the_best_system_comes_first_and_differences_are_to_the_reference(errors):
    table = tables.item_table(errors, "f1")
    assert [(row["label"], row["is_reference"]) for row in table["rows"]] == [
        ("better", False), ("base", True), ("worse", False)
    ]  # fmt: skip
    first = [row["cells"][0] for row in table["rows"]]
    assert [cell["text"] for cell in first] == ["0.550", "0.500", "0.300"]
    assert [cell["difference"] for cell in first] == ["+0.050", "", "−0.200"]
    assert [cell["colour"] for cell in first] == [19, 0, -38]
    assert first[0]["spread"] == "± 0.010"


def test_a_small_group_is_marked_and_has_no_difference(errors):
    table = tables.item_table(errors, "f1")
    assert [head["is_small"] for head in table["heads"]] == [False, True]
    assert table["rows"][0]["cells"][1] == {
        "text": "0.500", "spread": "± 0.020", "difference": "", "colour": 0, "is_small": True
    }  # fmt: skip


def test_only_the_table_of_f1_has_the_difference_of_the_pair(errors):
    errors["item_differences"] = [{"estimate": 0.05, "low": 0.01, "high": 0.1}, None]
    assert tables.item_table(errors, "f1")["difference"] == [
        {"text": "+0.050", "interval": "[0.01, 0.10]", "is_sure": True}, {"text": "–", "interval": "", "is_sure": False}
    ]  # fmt: skip
    for system in errors["systems"]:
        system["items"] = {name: {**one, "recall": one["f1"]} for name, one in system["items"].items()}
    assert tables.item_table(errors, "recall")["difference"] is None


def test_more_confusion_is_worse(errors):
    errors["systems"][1]["confusion"] = [[38.0, 2.0], [1.0, 2.0]]
    table = tables.confusion_table(errors)
    assert [(head["name"], head["n"]) for head in table["heads"]] == [("a → b", "40 turns"), ("b → a", "3 turns")]
    better = table["rows"][0]["cells"][0]
    assert (better["text"], better["difference"], better["colour"]) == ("0.050", "−0.200", 38)


def test_a_grouping_has_the_difference_of_the_pair_and_sure_groups_are_listed_by_size(errors):
    values = [{"mean": 0.5, "std": 0.0}, {"mean": 0.4, "std": 0.0}, {"mean": 0.3, "std": 0.0}]
    spans = [(0.02, 0.01, 0.03), (0.2, 0.1, 0.3), (-0.1, -0.2, 0.1)]
    errors["groupings"] = [
        {
            "kind": "turn_position",
            "groups": [{"name": name, "n": 50, "is_small": False} for name in ("1", "2–3", "4+")],
            "scores": {name: {"weighted_f1": values, "accuracy": values} for name in ("base", "better", "worse")},
            "differences": [{"estimate": e, "low": low, "high": high} for e, low, high in spans],
        }
    ]
    table = tables.group_table(errors, errors["groupings"][0], "weighted_f1")
    assert [cell["is_sure"] for cell in table["difference"]] == [True, True, False]
    assert table["difference"][2] == {"text": "−0.100", "interval": "[−0.20, 0.10]", "is_sure": False}
    assert tables.group_table(errors, errors["groupings"][0], "accuracy")["difference"] is None
    assert tables.sure_groups(errors) == {"better": ["position: 2–3 (+0.200)", "position: 1 (+0.020)"], "worse": []}


def test_agreement_is_told_for_seeds_and_for_systems(errors):
    text = tables.agreement_sentence(errors)
    assert text == (
        "Two seeds of one system give the same label at 80.0% of the turns on average; runs of two different systems "
        "give the same label at 70.0% of the turns."
    )
    assert tables.agreement_sentence(errors | {"agreement": {"ccc": [[None]]}}).startswith("There is one run")


def test_rows_of_right_turns_have_shares(errors):
    errors["right"] = {
        "n": 50, "n_systems": 3,
        "classes": {"a": {"n": 40, "all": 20, "some": 10, "none": 10}, "b": {"n": 0, "all": 0, "some": 0, "none": 0}},
        "systems": {name: {"right": 0.5, "alone": 2, "alone_wrong": 1} for name in ("base", "better", "worse")},
    }  # fmt: skip
    errors["gains"] = {"better": {"reference": "base", "both": 20, "gained": 5, "lost": 1, "neither": 24}}
    assert tables.right_rows(errors)[0]["no system right"] == "10 (25%)"
    assert tables.right_rows(errors)[1]["no system right"] == "0"
    better, base = tables.system_rows(errors)[:2]
    assert (better["gained"], better["lost"], better["reference"]) == ("5 (10%)", "1 (2%)", "base")
    assert base["gained"] == ""
