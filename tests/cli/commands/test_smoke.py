import json
import re

import pytest

from dialogue_ser.training.config.presets import load_preset, preset_names

#: Presets that name a protocol are cross-validated, the others trained.
CROSSVAL = [name for name in preset_names() if load_preset(name).data.cut.protocol != "none"]
#: These presets run on as many turns as --smoke uses, the others on a third, which is faster and shows errors as well.
WHOLE = ("meld-textcnn", "nemo-egemaps-svm-speaker-norm", "source-asr-attention-linguistic")


@pytest.fixture
def few_turns(request, monkeypatch):
    """Use a third of the turns, except for the presets in WHOLE."""
    if request.node.callspec.params["name"] not in WHOLE:
        monkeypatch.setattr("dialogue_ser.training.dry_run.smoke.N_DIALOGUES", {"train": 4, "dev": 1, "test": 1})


@pytest.fixture(autouse=True)
def _no_data(monkeypatch, tmp_path, shared_store):
    """A machine without corpora and without a hub. All presets share one feature store."""
    monkeypatch.setenv("DIALOGUE_SER_CACHE", str(shared_store))
    monkeypatch.setenv("DIALOGUE_SER_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for writer in (
        "page.write_report",
        "crossval_page.write_crossval_report",
    ):  # writing pages takes longer than all the rest
        monkeypatch.setattr(f"dialogue_ser.report.{writer}", lambda run: run / "report.html")


def unexpected(err: str) -> list[str]:
    """Return the lines except the expected ones about classes that a split of the small corpus lacks."""
    return [line for line in err.splitlines() if not re.match(r"split (dev|test) has no turn of ", line)]


@pytest.mark.usefixtures("few_turns")
@pytest.mark.parametrize("name", sorted(set(preset_names()) - set(CROSSVAL)))
def test_every_preset_trains_at_reduced_size_and_says_what_it_costs_in_full(name, cli, tmp_path):
    status, text, err = cli("train", "--preset", name, "--smoke", "--out", tmp_path / "run")
    assert (status, unexpected(err)) == (0, [])
    cost = re.search(r"full size: ([\d.]+) M parameters, ([\d.]+) M multiply-adds an utterance, (\d+) MiB", text)
    assert cost is not None
    assert min(float(number) for number in cost.groups()) > 0
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert scores["splits"]["test"]["scores"]["n"] > 0


@pytest.mark.usefixtures("few_turns")
@pytest.mark.parametrize("name", CROSSVAL)
def test_every_preset_of_a_protocol_is_cross_validated_at_reduced_size(name, cli, tmp_path):
    status, text, err = cli("crossval", "--preset", name, "--smoke", "--out", tmp_path / "run")
    assert (status, unexpected(err)) == (0, [])
    assert ("full size: " in text) == (load_preset(name).crossval.estimator == "none")
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert scores["pooled"]["n"] > 0


def test_a_smoke_run_without_out_leaves_the_current_folder_alone(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, text, _ = cli("train", "--preset", "meld-textcnn", "--smoke")
    assert status == 0
    assert "smoke-meld-textcnn" in text
    assert not list(tmp_path.iterdir())


def test_smoke_does_not_resume_a_run(cli, tmp_path):
    cli("train", "--preset", "meld-textcnn", "--smoke", "--out", tmp_path / "run")
    status, _, err = cli("train", "--resume", tmp_path / "run", "--smoke")
    assert (status, "leave --resume out" in err) == (2, True)
