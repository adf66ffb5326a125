"""The suites of the repository can be read, name what they must, and text alone knows nothing of nEMO."""

import copy
import json
from pathlib import Path

import pytest

from benchmarks import record_suite, tables
from benchmarks.page_tables import encoder_tables, suite_tables
from dialogue_ser.cli.main import main
from dialogue_ser.errors import MissingDataError
from dialogue_ser.evaluation.suite.plan import read_plan
from dialogue_ser.report.readme import RENDERERS
from dialogue_ser.training.config.presets import preset_names

SUITES = sorted((Path(__file__).parents[2] / "benchmarks" / "suites").glob("*.yaml"))
#: Sentences are shared by all emotions, so whatever reads them alone must stay near chance (1/6).
TEXT_LIMIT = 0.20


@pytest.mark.parametrize("file", SUITES, ids=[file.stem for file in SUITES])
def test_a_suite_can_be_run_as_it_stands(file):
    plan = read_plan(file)
    assert plan.suite.name == file.stem
    assert plan.rows
    assert plan.suite.description


def test_every_preset_of_nemo_is_a_row():
    bases = {
        settings.get("base")
        for name in ("nemo", "nemo-networks")
        for settings in read_plan(SUITES[0].with_name(f"{name}.yaml")).suite.systems.values()
    }
    assert bases == {name for name in preset_names() if name.startswith("nemo-")}


def test_nemos_sentences_alone_tell_nothing(nemo: Path, tmp_path):
    """A system that reads the sentences alone and knows more than chance has seen the labels."""
    flags = ["--features.audio=null", "--features.text.encoder=minilm", f"--data.path={nemo}"]
    assert main(["crossval", "--preset", "nemo-egemaps-svm", *flags, "--out", str(tmp_path / "out")]) == 0
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert (scores["pooled"]["n"], list(scores["config"]["features"])) == (1057, ["text"])
    assert scores["pooled"]["uar"] <= TEXT_LIMIT


def test_recorded_tables_of_nemo_name_the_command_of_today():
    results = Path(tables.__file__).parent / "results"  # the module registers its renderers when it is imported
    for name, suite in (("nemo", "nemo"), ("nemo-networks", "nemo-networks"), ("meld-source", "meld-source")):
        assert f"dialogue-ser benchmark benchmarks/suites/{suite}.yaml`" in RENDERERS[name](results)


def test_the_better_svm_of_a_kind_is_the_floor_of_a_network():
    floors = [
        {"uses_unlabelled_test_recordings": kind, "pooled": {"ua": ua}}
        for kind, ua in ((False, 0.1), (False, 0.3), (True, 0.5))
    ]
    assert encoder_tables.best_floors({"rows": floors}) == {False: 0.3, True: 0.5}


def test_the_results_of_a_suite_are_kept_with_their_command_and_make_a_table(suite_run, tmp_path, monkeypatch):
    monkeypatch.setattr(record_suite, "RESULTS", tmp_path)
    assert record_suite.main([str(suite_run / "out"), "my.yaml"]) == 0
    kept = json.loads((tmp_path / "suite-small.json").read_text())
    expected = copy.deepcopy(json.loads((suite_run / "out" / "results.json").read_text()))
    assert kept == {**expected, "command": "dialogue-ser benchmark my.yaml"}
    table = suite_tables.suite(tmp_path, "suite-small")
    assert "| mine |" in table
    assert "`dialogue-ser benchmark my.yaml`" in table
    assert "| calm |" in suite_tables.classes(tmp_path, "suite-small").replace("  ", " ")
    with pytest.raises(MissingDataError, match="no results of a suite"):
        record_suite.main([str(tmp_path)])
