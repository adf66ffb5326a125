import hashlib
import json
from pathlib import Path

import pytest

from dialogue_ser.evaluation.suite.draws import Tuning
from dialogue_ser.evaluation.suite.suite_file import read_suite
from dialogue_ser.search_space.parameters import parameter_of

SYSTEMS = Path(__file__).parents[3] / "benchmarks" / "suites" / "meld-systems.yaml"


def drawn(text: object, name: str = "x", n: int = 5) -> list:
    parameter, tuning = parameter_of(text), Tuning(trials=8, seed=3)
    return [tuning.draw(name, parameter, trial) for trial in range(1, n + 1)]


def test_a_draw_depends_on_seed_trial_and_name_only():
    assert drawn({"min": 0.0, "max": 1.0}) == drawn({"min": 0.0, "max": 1.0})
    assert drawn({"min": 0.0, "max": 1.0}) != drawn({"min": 0.0, "max": 1.0}, "y")
    one = Tuning(trials=2, seed=1).draw("x", parameter_of({"min": 0.0, "max": 1.0}), 1)
    assert one != Tuning(trials=2, seed=2).draw("x", parameter_of({"min": 0.0, "max": 1.0}), 1)


def test_a_suite_that_was_begun_continues_with_the_same_values_to_the_last_bit():
    suite, problems = read_suite(SYSTEMS)
    assert problems == []
    tuning = suite.tuning
    assert tuning is not None
    values = {
        f"{system}/{name}": [repr(tuning.draw(name, one, trial)) for trial in range(1, tuning.trials + 1)]
        for system in suite.systems
        for name, one in tuning.of(system).items()
    }
    assert values["bigru/model.options.hidden_dim"] == ["64", "150", "150", "100", "150", "150", "64", "64"]
    assert values["icon/optimizer.learning_rate"][:3] == [
        "0.0009743057538473397",
        "0.0008009787938165194",
        "0.0006905896714579821",
    ]
    # Noted by the version that ran the suite. A change here gives the trials of half-done suites other settings.
    text = json.dumps(values, sort_keys=True)
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "9bafdbaa3142f6d19cbd7d5115b125a596f1252f1ffd062160630c143360e97b"
    )


@pytest.mark.parametrize(
    ("parameter", "kind"),
    [
        ("{value: 3}", int),
        ("{values: [a, b]}", str),
        ("{values: [1.5, 2.5], probabilities: [0.1, 0.9]}", float),
        ("{min: 0, max: 0.5}", float),
        ("{distribution: q_log_uniform_values, min: 8, max: 256, q: 8}", int),
        ("{distribution: normal, mu: 0.3, sigma: 0.1}", float),
        ("{distribution: q_beta, a: 2, b: 2, q: 0.1}", float),
    ],
)
def test_tuning_takes_the_shapes_of_a_sweep(tmp_path, parameter, kind):
    path = tmp_path / "suite.yaml"
    path.write_text(f"base: meld-text\nsystems: {{erc: bigru}}\ntuning: {{parameters: {{a.b: {parameter}}}}}\n")
    suite, problems = read_suite(path)
    assert problems == []
    assert {type(suite.tuning.draw("a.b", suite.tuning.parameters["a.b"], trial)) for trial in range(5)} == {kind}


def test_every_mistake_of_a_parameter_has_its_line(tmp_path):
    path = tmp_path / "suite.yaml"
    path.write_text(
        "base: meld-text\nsystems: {erc: bigru}\ntuning:\n  parameters:\n    a: {min: low, max: high}\n"
        "    b: {parameters: {c: {value: 1}}}\n"
    )
    _, problems = read_suite(path)
    assert [problem.removeprefix(f"{path}:") for problem in problems] == [
        "5: tuning.parameters.a: min: found the text 'low', expected a number",
        "5: tuning.parameters.a: max: found the text 'high', expected a number",
        "6: tuning.parameters.b: parameters are not nested here; write the name of the setting with dots",
    ]
