from pathlib import Path

import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.evaluation.suite.plan import Plan, read_plan


@pytest.fixture
def folder(tmp_path, write_suite, monkeypatch) -> Path:
    write_suite(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def plan_of(folder: Path, text: str, **settings) -> Plan:
    (folder / "suite.yaml").write_text(text)
    return read_plan(folder / "suite.yaml", **settings)


def test_every_system_and_encoder_has_a_run_for_each_seed(folder):
    plan = plan_of(
        folder,
        "base: quickstart\nseeds: [4, 7]\nsettings: {training.epochs: 2}\n"
        "systems: {a: bigru, b: {model: {options: {hidden_dim: 32}}, loss.class_weights: none}}\n"
        "encoders: {both: {}, text: {features: {audio: null}}, words: {base: meld-text, training.epochs: 5}}\n"
        "reference: a\n",
    )
    assert [row.label for row in plan.rows] == [f"{s} · {e}" for s in "ab" for e in ("both", "text", "words")]
    configs = {row.label: row.config for row in plan.rows}
    assert set(configs["a · text"].features) == {"text"}
    assert set(configs["a · both"].features) == {"text", "audio"}
    assert "audio" not in configs["b · text"].model.options["projection"]
    assert configs["b · both"].model.options["hidden_dim"] == 32
    assert configs["b · both"].model.options["attention"] == "matching"  # a mapping is merged, as in a file
    assert configs["b · both"].loss.class_weights == "none"
    assert (configs["a · words"].training.epochs, configs["a · words"].data.reader) == (5, "meld")
    cells = plan.cells(Path("out"))
    assert [cell.seed for cell in cells] == [4] * 6 + [7] * 6
    assert len({cell.folder for cell in cells}) == len({cell.key for cell in cells}) == 12
    assert {cell.config.seed for cell in cells} == {4, 7}
    assert plan.reference_of(plan.rows[4]) is plan.rows[1]
    assert plan.reference_of(plan.rows[1]) is None


def test_a_folder_belongs_to_settings_and_code_and_no_run_of_another_row_moves(folder):
    text = (folder / "suite.yaml").read_text()

    def folders(text: str) -> dict[str, Path]:
        return {cell.key: cell.folder for cell in plan_of(folder, text, trust_code=True).cells(folder)}

    before = folders(text)
    assert folders(text.replace("reference: blind", "")) == before
    other = folders(text.replace("options: {hidden_dim: 6}", "options: {hidden_dim: 7}"))
    assert {key for key in before if other[key] != before[key]} == {"blind/seed1", "blind/seed2"}
    module = folder / "my_small_model.py"
    module.write_text(module.read_text().replace("hidden: int = 6", "hidden: int = 8"))
    changed = folders(text)
    assert {key for key in before if changed[key] != before[key]} == {"mine/seed1", "mine/seed2"}


WRONG = """\
name: wrong
base: base.yaml
seeds: [1]
settings: {training.epochs: many}
systems:
  one: {model.name: bigrou}
  two:
    model.name: bigru
    trainin.epochs: 3
  three: {base: quickstrat}
metrics: [macro_f1, nothing]
reference: blind
"""


def test_wrong_settings_are_named_with_their_lines_all_in_one_error(folder):
    with pytest.raises(ConfigError) as caught:
        plan_of(folder, WRONG)
    text = str(caught.value)
    assert "suite.yaml:4: settings.training.epochs: training.epochs: found 'many'" in text
    assert "suite.yaml:10: systems.three.base: unknown preset 'quickstrat'; did you mean 'quickstart'" in text
    assert "suite.yaml:12: reference: unknown system 'blind'" in text
    with pytest.raises(ConfigError) as caught:
        plan_of(folder, WRONG.replace("many", "3").replace("quickstrat", "quickstart"))
    assert "suite.yaml:9: systems.two.trainin.epochs: " in str(caught.value)
    with pytest.raises(ConfigError, match=r"suite\.yaml:11: metrics\.1: unknown metric 'nothing'"):
        plan_of(folder, "base: base.yaml\n" + "#\n" * 9 + "metrics: [macro_f1, nothing]\nsystems: {a: bigru}\n")
    with pytest.raises(ConfigError, match=r"suite\.yaml:2: systems\.one\.model\.name: unknown model 'bigrou'"):
        plan_of(folder, "base: base.yaml\nsystems: {one: {model.name: bigrou}}\n")
    with pytest.raises(
        ConfigError, match=r"suite\.yaml:3: systems\.b\.features\.text\.encoder: unknown encoder 'minilmm'"
    ):
        plan_of(folder, "base: base.yaml\nsystems:\n  b: {features.text.encoder: minilmm}\n")
    with pytest.raises(ConfigError, match="there is no base"):
        plan_of(folder, "systems: {one: bigru}\n")
    with pytest.raises(ConfigError, match="names a base, too"):
        plan_of(folder, "systems: {one: {base: quickstart}}\nencoders: {e: {base: meld-text}}\n")


def test_labels_of_flags_are_checked_like_those_of_the_file(folder):
    text = "base: quickstart\nseeds: [1]\nsystems: {erc: bigru, mine: {model.name: bigru, training.epochs: 3}}\n"
    with pytest.raises(ConfigError) as error:
        plan_of(folder, text, systems={"..": "bigru", "ERC": "bigru"})
    assert [problem.partition(":")[0] for problem in error.value.problems] == ["--systems...", "--systems.ERC"]
    epochs = [plan_of(folder, text, systems={"mine": name}).rows[1].config.training.epochs for name in ("bigru", "cmn")]
    assert epochs[0] == 3  # the flag names the same model, so the settings of the file stay
    assert epochs[1] != 3


def test_rows_and_metrics_of_another_task_are_refused_before_anything_is_trained(folder):
    text = (
        "base: quickstart\nmetrics: [ccc, macro_f1]\nsystems:\n  a: bigru\n"
        "  b: {model.name: bigru, data.labels: sentiment}\n"
    )
    with pytest.raises(ConfigError) as error:
        plan_of(folder, text)
    rows, metric = error.value.problems
    assert ":5: systems.b: data.labels is 'sentiment', and 'emotion' for a" in rows
    assert ":2: metrics.0: ccc is a metric of regression" in metric


def test_code_that_the_file_names_needs_trust_or_a_flag(folder):
    text = (folder / "suite.yaml").read_text()
    with pytest.raises(ConfigError, match=r"suite\.yaml:7: systems\.mine\.model\.name: 'my_small_model:Mine' is code"):
        plan_of(folder, text)
    assert len(plan_of(folder, text, trust_code=True).rows) == 3
    assert len(plan_of(folder, text, trust_code={"my_small_model:Mine"}).rows) == 3
    without = text.replace('  mine: {model.name: "my_small_model:Mine"}\n', "")
    flagged = plan_of(folder, without, systems={"own": "my_small_model:Mine"}, trust_code={"my_small_model:Mine"})
    assert flagged.rows[-1].config.model.name == "my_small_model:Mine"
    with pytest.raises(ConfigError, match="is code"):
        plan_of(folder, "base: base.yaml\nsystems: {a: bigru}\nmetrics: ['os:system']\n")


def test_cross_validations_have_the_protocol_of_their_base_or_the_default_one(folder):
    plan = plan_of(folder, "base: nemo-egemaps-svm\nsystems: {svm: {}}\nprotocol: crossval\n")
    assert plan.rows[0].config.data.cut.protocol == "leave-one-speaker-out"


def test_runs_of_a_suite_are_one_group_in_wandb_with_their_system_and_seed_as_tags(write_suite, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    plan = read_plan(write_suite(tmp_path), trust_code=True)
    cells = plan.cells(tmp_path / "out")
    assert {(cell.config.wandb.group, cell.config.wandb.job_type) for cell in cells} == {(plan.suite.name, "suite")}
    assert {cell.config.wandb.tags[0] for cell in cells} == {cell.row.system for cell in cells}
    assert {cell.config.wandb.tags[-1] for cell in cells} == {f"seed{cell.seed}" for cell in cells}
