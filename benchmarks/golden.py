"""Compare systems with outputs of their published implementations: ``python -m benchmarks.golden FOLDER``.

A file NAME.json and NAME.safetensors hold a published model: its settings and weights, a batch, and for each dialogue
run alone the log-probabilities and the norm of the gradient of every published parameter, all in float64. The system
is built by ``load_published``. A row fails if a log-probability differs by more than 1e-9, a norm by more than 1e-7 of
itself, or if the file cannot be represented or lacks its other half. The exit status is then 1.

Long because every way in which a file can be wrong is named in its row.
"""

import argparse
import json
import math
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.results_files import write_result
from dialogue_ser import __version__
from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import DialogueSerError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.features.text.published_context import input_strings, name_of, turn_text
from dialogue_ser.models.loaders import loader_of, read_tensors

RESULTS = Path(__file__).parent / "results"
MOST_DIFFERENCE = 1e-9
MOST_GRADIENT_DIFFERENCE = 1e-7
#: A norm below this share of the largest one is rounding, e.g. the bias of keys, which softmax takes out again.
ROUNDING = 1e-12
#: Tensors that every file must have beside its weights and features.
NEEDED = ("input/lengths", "input/speaker", "input/label", "alone/log_probs")
#: Published name of a system → ours.
SYSTEMS = {
    "bc_lstm": "bc-lstm",
    "cosmic": "cosmic",
    "dag_erc": "dag-erc",
    "dialoguecrn": "dialogue-crn",
    "dialoguegcn": "dialogue-gcn",
    "dialogue_rnn": "dialogue-rnn",
    "graphsmile": "graphsmile",
    "m3net": "m3net",
    "mm_dfn": "mm-dfn",
    "mmgcn": "mmgcn",
    "sdt": "sdt",
}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        system: our name of the system.
        configuration: name of the file.
        difference: largest difference of a log-probability; None = it could not be computed.
        gradient_difference: largest relative difference of a gradient's norm.
        problem: why the row could not be computed.
    """

    system: str
    configuration: str
    difference: float | None = None
    gradient_difference: float | None = None
    problem: str = ""

    @property
    def is_equal(self) -> bool:
        """Whether both differences are small enough."""
        if self.difference is None or self.gradient_difference is None or self.problem:
            return False
        return self.difference <= MOST_DIFFERENCE and self.gradient_difference <= MOST_GRADIENT_DIFFERENCE


def check_file(path: Path) -> Row:
    """Return the row of one JSON file, or of weights without one. Whatever goes wrong becomes the row's problem."""
    row = Row("?", path.stem)
    try:
        if path.suffix != ".json":
            raise ValueError(f"{path.name} has no {path.stem}.json beside it, which says its system and settings")
        about = _json_of(path)
        if not isinstance(about, dict) or not isinstance(about.get("system"), str):
            raise ValueError(f'{path.name} does not say its "system"')
        row = replace(row, system=SYSTEMS.get(about["system"], about["system"]))
        if about["system"] == "emoberta":
            different, total = different_strings(about)
            problem = f"{different} of {total} input strings differ" if different or not total else ""
            number = float(different) if total else None
            return replace(row, difference=number, gradient_difference=0.0, problem=problem)
        if not isinstance(about.get("settings"), dict):
            raise ValueError(f'{path.name} does not say the "settings" of the system')
        weights = path.with_suffix(".safetensors")
        if not weights.exists():
            raise ValueError(f"{path.name} has no {weights.name} beside it")
        golden = read_tensors(weights)
        return _compared(row, golden, about["settings"])
    except DialogueSerError as error:
        return replace(row, problem="; ".join(error.problems or [str(error)]))
    except KeyError as error:
        return replace(row, problem=f"{error.args[0]}: is missing" if error.args else "KeyError")
    except ValueError as error:
        return replace(row, problem=str(error))
    except Exception as error:  # a file of any content must not end the table
        return replace(row, problem=f"{type(error).__name__}: {error}")


def _json_of(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} cannot be read as JSON: {error}") from error


def _compared(row: Row, golden: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Row:
    """Return the row with both differences; a row that fails says what differs most."""
    missing = [name for name in NEEDED if name not in golden]
    if missing:
        raise ValueError(f"the safetensors file lacks {', '.join(missing)}")
    log_probs_NC, norms = outputs_alone(row.system, golden, settings)
    right_NC = golden["alone/log_probs"].double()
    if right_NC.shape != log_probs_NC.shape:
        raise ValueError(f"alone/log_probs is {list(right_NC.shape)}, the model gives {list(log_probs_NC.shape)}")
    difference = float((log_probs_NC - right_NC).abs().max())
    gradient_difference, worst = _worst_norm(norms, golden)
    row = replace(row, difference=difference, gradient_difference=gradient_difference)
    problems = [
        text
        for text, number, most in (
            ("log-probabilities differ", difference, MOST_DIFFERENCE),
            (f"gradient of {worst} differs", gradient_difference, MOST_GRADIENT_DIFFERENCE),
        )
        if not number <= most  # true for NaN, too
    ]
    return replace(row, problem="; ".join(problems))


def different_strings(about: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many input strings or labels of EmoBERTa differ from the published ones, and how many there are."""
    different = total = 0
    for case in about["cases"]:
        labels, mode = about["label_numbers"][case["dataset"]], case.get("speaker_mode") or "none"
        turns = case["turns"]
        texts = [turn_text(name_of(turn["speaker"]), turn["utterance"], mode) for turn in turns]
        strings = input_strings(
            texts,
            case["token_counts"],
            past=case["num_past"],
            future=case["num_future"],
            max_tokens=case["max_tokens"],
        )
        ours = [
            (text, labels[turn["emotion"]])
            for text, turn in zip(strings, turns, strict=True)
            if turn["emotion"] in labels
        ]
        right = [(example["input"], example["label"]) for example in case["examples"]]
        different += sum(a != b for a, b in zip_longest(ours, right))
        total += max(len(ours), len(right))
    return different, total


def outputs_alone(
    system_name: str, golden: Mapping[str, Tensor], settings: Mapping[str, Any]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return log-probabilities ``[N, C]`` and published parameter → norm of its gradient, each dialogue run alone."""
    state = {name.removeprefix("state/"): value for name, value in golden.items() if name.startswith("state/")}
    state = {
        name: value.double().requires_grad_() if value.is_floating_point() else value for name, value in state.items()
    }
    system, values = loader_of(system_name)(state, settings)
    _check_inputs(golden, system.inputs)
    system.double().load_state_dict({name: value.detach() for name, value in values.items()})
    system.eval()
    n_turns = int(golden["input/lengths"].sum())
    log_probs = []
    for dialogue, length in enumerate(golden["input/lengths"].tolist()):
        batch = _batch_of(golden, dialogue, length)
        log_probs_TC = system(batch).scores_BTS[0].log_softmax(-1)
        (-log_probs_TC.gather(1, batch.label[0, :, None]).sum() / n_turns).backward()
        log_probs.append(log_probs_TC.detach())
    return torch.cat(log_probs), _gradient_norms(state, system, values)


def _check_inputs(golden: Mapping[str, Tensor], inputs: Mapping[str, InputSpec]) -> None:
    """Refuse a file whose features are not those that the settings say."""
    lengths_B = golden["input/lengths"]
    if lengths_B.ndim != 1 or not lengths_B.numel() or lengths_B.is_floating_point() or int(lengths_B.min()) < 1:
        raise ValueError("input/lengths: expected the number of turns of each dialogue, whole numbers from 1 on")
    longest = len(lengths_B), int(lengths_B.max())
    problems = []
    for name, spec in inputs.items():
        found = golden.get(f"input/{name}")
        if found is None:
            problems.append(f"the safetensors file lacks input/{name}")
        elif found.ndim != 3 or found.shape[2] != spec.dim:
            problems.append(f"input/{name} is {list(found.shape)}, the settings say {spec.dim} features")
        elif found.shape[0] != longest[0] or found.shape[1] < longest[1]:
            problems.append(f"input/{name} is {list(found.shape)}, but input/lengths says {list(longest)} turns")
    if problems:
        raise ValueError("; ".join(problems))


def _batch_of(golden: Mapping[str, Tensor], dialogue: int, length: int) -> DialogueBatch:
    """Return one dialogue as a batch of its own, without padding."""
    inputs = {name.removeprefix("input/"): value for name, value in golden.items() if name.startswith("input/")}
    features = {
        name: value[dialogue : dialogue + 1, :length].double() for name, value in inputs.items() if value.ndim == 3
    }
    is_real_BT = torch.ones(1, length, dtype=torch.bool)
    return DialogueBatch(
        features=features,
        is_present=dict.fromkeys(features, is_real_BT),
        speaker=inputs["speaker"][dialogue : dialogue + 1, :length].long(),
        n_turns=torch.tensor([length]),
        label=inputs["label"][dialogue : dialogue + 1, :length].long(),
        is_real_turn=is_real_BT,
        utterance_ids=(tuple(f"golden/dia{dialogue}_utt{turn}" for turn in range(length)),),
    )


def _gradient_norms(
    state: Mapping[str, Tensor], system: torch.nn.Module, values: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return published name → norm of the gradient, by the chain rule from the gradients of our parameters."""
    pairs = [
        (values[name], parameter.grad)
        for name, parameter in system.named_parameters()
        if parameter.grad is not None and values[name].requires_grad
    ]
    leaves = {name: value for name, value in state.items() if value.requires_grad}
    outputs, gradients = [value for value, _ in pairs], [gradient for _, gradient in pairs]
    found = torch.autograd.grad(outputs, list(leaves.values()), gradients, allow_unused=True)
    return {
        name: torch.zeros((), dtype=torch.float64) if gradient is None else gradient.norm()
        for name, gradient in zip(leaves, found, strict=True)
    }


def _worst_norm(norms: Mapping[str, Tensor], golden: Mapping[str, Tensor]) -> tuple[float, str]:
    """Return the largest relative difference of a norm, and whose.

    It is infinite if a norm is not finite, belongs to no parameter of the weights, or is lacking.
    """
    prefix = "alone/grad_norm_nll/"
    right = {name.removeprefix(prefix): float(value) for name, value in golden.items() if name.startswith(prefix)}
    if not right:
        raise ValueError("the safetensors file has no alone/grad_norm_nll")
    largest = max(float(value) for value in norms.values())
    wrong = right.keys() - norms.keys()
    wrong |= {name for name, value in norms.items() if name not in right and float(value) > ROUNDING * largest}
    wrong |= {name for name, value in {**norms, **right}.items() if not math.isfinite(value)}
    if wrong:
        return math.inf, ", ".join(sorted(wrong))
    ours_P = torch.stack([norms[name] for name in right])
    right_P = torch.tensor(list(right.values()), dtype=torch.float64)
    smallest = ROUNDING * right_P.max()
    difference_P = (ours_P - right_P).abs() / torch.maximum(right_P, smallest)
    is_rounding_P = (ours_P <= smallest) & (right_P <= smallest)
    worst, place = difference_P.masked_fill(is_rounding_P, 0.0).max(0)
    return float(worst), list(right)[int(place)]


def table_of(rows: Sequence[Row]) -> str:
    """Return the rows as an aligned table."""
    cells = [("system", "configuration", "log-probabilities", "gradient norms", "")]
    for row in rows:
        numbers = ["-" if n is None else f"{n:.1e}" for n in (row.difference, row.gradient_difference)]
        problem = " ".join(row.problem.split())  # a row is one line
        cells.append((row.system, row.configuration, *numbers, "equal" if row.is_equal else f"FAILED {problem}"))
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    return "\n".join(
        "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[4]]).rstrip()
        for row in cells
    )


def record(rows: Sequence[Row]) -> Path:
    """Write the rows and how they were made."""
    result = {
        "versions": {"python": platform.python_version(), "dialogue-ser": __version__, "torch": torch.__version__},
        "command": "python -m benchmarks.golden FOLDER --record",
        "limits": {"log_probabilities": MOST_DIFFERENCE, "gradient_norms": MOST_GRADIENT_DIFFERENCE},
        "rows": [{**asdict(row), "is_equal": row.is_equal} for row in rows],
    }
    return write_result(RESULTS, "golden.json", result)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return 1 if a row fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.golden", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of NAME.json and NAME.safetensors")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/golden.json")
    options = parser.parse_args(arguments)
    paths = sorted(options.folder.glob("*.json"))
    with_json = {path.stem for path in paths}
    paths += sorted(path for path in options.folder.glob("*.safetensors") if path.stem not in with_json)
    if not paths:
        parser.error(f"{options.folder}: has no JSON file; name the folder of the golden files")
    rows = [check_file(path) for path in paths]
    print(table_of(rows))
    n_failed = sum(not row.is_equal for row in rows)
    print(f"{len(rows) - n_failed} of {len(rows)} are equal")
    if options.record:
        print(f"written: {record(rows)}")
    return int(n_failed > 0)


if __name__ == "__main__":
    sys.exit(main())
