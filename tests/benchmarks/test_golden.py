"""The comparison with published implementations: what is equal, what is not, and what cannot be read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from benchmarks import golden
from benchmarks.golden import main
from benchmarks.page_tables import golden_tables  # noqa: F401  (registers its table)
from dialogue_ser.report.readme import RENDERERS
from tests.models.published.test_bc_lstm import plain
from tests.support.published_models import golden_tensors, linear_shapes, random_state, rnn_shapes, save_golden

SETTINGS = {"text": 4, "hidden": 2, "head": 3, "attention": False, "classes": 3, "parties": 9, "dropout": 0.25}
Tensors = dict[str, Tensor]


@pytest.fixture(scope="module")
def tensors() -> Tensors:
    shapes = rnn_shapes("lstm.", "lstm", 4, 2, 2) | linear_shapes("linear.", 4, 3) | linear_shapes("smax_fc.", 3, 3)
    state = random_state(shapes)
    return golden_tensors(lambda state, dialogue: plain(state, dialogue, attention=False), state, {"text": 4})


@pytest.fixture
def said(tmp_path: Path, tensors: Tensors, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Write one file with changes, run the command on its folder; return exit status and the last column."""

    def run(change: Callable[[Tensors], Any] = lambda tensors: None, **settings: object) -> tuple[int, str]:
        changed = dict(tensors)
        change(changed)
        save_golden(tmp_path, "one", settings.pop("system", "bc_lstm"), {**SETTINGS, **settings}, changed)  # type: ignore[arg-type]
        status = main([str(tmp_path)])
        return status, capsys.readouterr().out

    return run


def test_an_equal_file_is_said_to_be_equal(said) -> None:
    status, text = said()
    assert status == 0
    assert "1 of 1 are equal" in text
    assert text.splitlines()[1].split()[:2] == ["bc-lstm", "one"]


def _bend(name: str, by: float) -> Callable[[Tensors], None]:
    def change(tensors: Tensors) -> None:
        tensors[name] = tensors[name].clone()
        tensors[name].view(-1)[0] += by

    return change


def _drop(name: str) -> Callable[[Tensors], None]:
    return lambda tensors: tensors.pop(name)  # type: ignore[return-value]


def _add(name: str) -> Callable[[Tensors], None]:
    return lambda tensors: tensors.update({name: torch.ones(2, dtype=torch.float64)})


def _norm(name: str) -> str:
    return f"alone/grad_norm_nll/{name}"


def _put(name: str, value: object) -> Callable[[Tensors], None]:
    return lambda tensors: tensors.update({name: torch.tensor(value)})


def _cut(name: str, dimension: int) -> Callable[[Tensors], None]:
    """Drop the last place of a dimension."""
    return lambda tensors: tensors.update(
        {name: tensors[name].narrow(dimension, 0, tensors[name].shape[dimension] - 1)}
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_bend("state/lstm.weight_hh_l1", 1e-6), "FAILED"),
        (_bend("alone/log_probs", 2e-9), "FAILED"),
        (_bend(_norm("smax_fc.bias"), 1e-6), "FAILED"),
        (_add(_norm("no.such.weight")), "FAILED"),
        (_put(_norm("no.such.weight"), 0.5), "gradient of no.such.weight differs"),
        (_put(_norm("smax_fc.bias"), float("inf")), "gradient of smax_fc.bias differs"),
        (_drop(_norm("lstm.weight_hh_l1")), "gradient of lstm.weight_hh_l1 differs"),
        (_cut("input/text", 2), "input/text is [3, 5, 3], the settings say 4 features"),
        (_cut("input/text", 1), "input/text is [3, 4, 4], but input/lengths says [3, 5] turns"),
        (_put("input/lengths", [5.0, 1.0, 4.0]), "input/lengths: expected"),
        (_put("input/lengths", [5, 0, 4]), "input/lengths: expected"),
        (_drop("input/label"), "the safetensors file lacks input/label"),
        (_put("state/smax_fc.bias", [1, 2, 3]), "smax_fc.bias: found torch.int64, expected floats"),
        (_add("state/gate.weight"), "gate.weight: unknown"),
        (_drop("state/smax_fc.bias"), "smax_fc.bias: missing"),
        (_drop("alone/log_probs"), "alone/log_probs"),
        (_drop("input/text"), "lacks input/text"),
        (
            lambda tensors: [tensors.pop(name) for name in list(tensors) if name.startswith("alone/grad")],
            "grad_norm_nll",
        ),
        (
            lambda tensors: tensors.update({"alone/log_probs": tensors["alone/log_probs"][:1]}),
            "alone/log_probs is [1, 3]",
        ),
    ],
)
def test_what_differs_or_is_missing_fails(change, words, said) -> None:
    status, text = said(change)
    assert (status, "0 of 1 are equal" in text) == (1, True)
    assert words in text


@pytest.mark.parametrize("difference", [9e-10, -9e-10])
def test_differences_of_rounding_are_equal(difference, said) -> None:
    assert said(_bend("alone/log_probs", difference))[0] == 0


def test_numbers_that_are_no_numbers_fail(said) -> None:
    assert said(_bend("alone/log_probs", float("nan")))[0] == 1
    assert said(_bend(_norm("smax_fc.bias"), float("nan")))[0] == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"window": 3}, "published setting window: is not known for this system"),
        ({"attention": "dot"}, "published setting attention: found 'dot'"),
        ({"hidden": 5}, "lstm.weight_ih_l0: found [8, 4], expected [20, 4]"),
        ({"system": "who_knows"}, "model who_knows: no published weights are known"),
    ],
)
def test_an_option_or_a_system_that_is_not_known_fails_by_name(settings, words, said) -> None:
    status, text = said(**settings)
    assert status == 1
    assert words in text


def test_damaged_files_fail_and_the_others_are_compared(tmp_path, tensors, capsys) -> None:
    for name in "abcdefghi":
        save_golden(tmp_path, name, "bc_lstm", SETTINGS, tensors)
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.safetensors").write_bytes((tmp_path / "b.safetensors").read_bytes()[:100])
    (tmp_path / "c.safetensors").unlink()
    (tmp_path / "d.json").write_text(json.dumps(["bc_lstm"]))
    (tmp_path / "e.json").write_text(json.dumps({"system": "bc_lstm", "settings": [1]}))
    (tmp_path / "f.json").write_bytes(b"\xff")
    (tmp_path / "g.json").unlink()
    (tmp_path / "h.json").unlink()
    (tmp_path / "h.json").mkdir()
    assert main([str(tmp_path)]) == 1
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines()[1:-1]}
    words = {
        "a": "a.json cannot be read as JSON",
        "b": "b.safetensors: cannot be read as safetensors",
        "c": "c.json has no c.safetensors beside it",
        "d": 'd.json does not say its "system"',
        "e": 'e.json does not say the "settings"',
        "f": "f.json cannot be read as JSON",
        "g": "g.safetensors has no g.json beside it",
        "h": "h.json cannot be read as JSON",
    }
    assert all(words[name] in lines[name] for name in words)
    assert lines["i"].endswith("equal")
    assert len(lines) == 9


def test_weights_without_a_json_are_not_passed_over(tmp_path, tensors, capsys) -> None:
    save_golden(tmp_path, "one", "bc_lstm", SETTINGS, tensors).unlink()
    assert main([str(tmp_path)]) == 1
    assert "0 of 1 are equal" in capsys.readouterr().out


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()], ids=["no folder", "empty"])
def test_a_folder_without_files_is_a_mistake_of_the_caller(make, tmp_path, capsys) -> None:
    make(tmp_path / "x")
    with pytest.raises(SystemExit) as caught:
        main([str(tmp_path / "x")])
    assert caught.value.code == 2
    assert "name the folder of the golden files" in capsys.readouterr().err


def test_single_precision_files_are_compared_in_double(said) -> None:
    def to_single(tensors: Tensors) -> None:
        name = "state/smax_fc.bias"
        tensors[name] = tensors[name].float()

    assert said(to_single)[0] == 1, "rounded weights give other numbers, and no error"


def test_the_record_has_versions_command_and_rows_and_becomes_a_table(tmp_path, tensors, monkeypatch, capsys) -> None:
    monkeypatch.setattr(golden, "RESULTS", tmp_path / "results")
    for name, system in (("one", "bc_lstm"), ("two", "who_knows")):
        save_golden(tmp_path / "files", name, system, SETTINGS, tensors)
    assert main([str(tmp_path / "files"), "--record"]) == 1
    result = json.loads((tmp_path / "results" / "golden.json").read_text())
    assert result["command"] == "python -m benchmarks.golden FOLDER --record"
    assert result["versions"]["torch"] == torch.__version__
    assert [row["is_equal"] for row in result["rows"]] == [True, False]
    text = RENDERERS["golden"](tmp_path / "results")
    assert "1 of 2" in text
    assert str(tmp_path) not in text


@pytest.fixture(scope="module")
def published() -> Path:
    """Folder of published outputs; skips where it is absent."""
    folder = Path(__file__).parents[3] / "shared" / "golden"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    return folder


@pytest.mark.parametrize("name", ["bc_lstm", "bc_lstm__attention"])
def test_the_published_outputs_are_reproduced(name: str, published: Path) -> None:
    assert golden.check_file(published / f"{name}.json").is_equal
    assert "alone/log_probs" in safetensors.torch.load_file(published / f"{name}.safetensors")
