"""Compare systems with outputs of their published implementations: ``python -m benchmarks.golden FOLDER``.

A file NAME.json and NAME.safetensors hold a published model: its settings and weights, a batch, and for each dialogue
run alone the log-probabilities and the norm of the gradient of every published parameter, all in float64. The system
is built by ``load_published``. A row fails if a log-probability differs by more than 1e-9, a norm by more than 1e-7 of
itself, or if the file cannot be represented. The exit status is then 1.
"""

import argparse
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from benchmarks.results_files import write_result
from dialogue_ser import __version__
from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import DialogueSerError
from dialogue_ser.features.text.published_context import input_strings, name_of, turn_text
from dialogue_ser.models.loaders import loader_of

RESULTS = Path(__file__).parent / "results"
MOST_DIFFERENCE = 1e-9
MOST_GRADIENT_DIFFERENCE = 1e-7
#: A norm below this share of the largest one is rounding, e.g. the bias of keys, which softmax takes out again.
ROUNDING = 1e-12
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
    """Return the row of one JSON file. Whatever goes wrong becomes the row's problem."""
    row = Row("?", path.stem)
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        if about.get("system") == "emoberta":
            different, total = different_strings(about)
            problem = f"{different} of {total} input strings differ" if different or not total else ""
            number = float(different) if total else None
            return replace(row, system="emoberta", difference=number, gradient_difference=0.0, problem=problem)
        row = replace(row, system=SYSTEMS.get(about["system"], about["system"]))
        golden = safetensors.torch.load_file(path.with_suffix(".safetensors"))
        log_probs_NC, norms = outputs_alone(row.system, golden, about["settings"])
        right_NC = golden["alone/log_probs"].double()
        if right_NC.shape != log_probs_NC.shape:
            raise ValueError(f"alone/log_probs is {list(right_NC.shape)}, the model gives {list(log_probs_NC.shape)}")
        difference = float((log_probs_NC - right_NC).abs().max())
        return replace(row, difference=difference, gradient_difference=_worst_norm(norms, golden))
    except DialogueSerError as error:
        return replace(row, problem="; ".join(error.problems or [str(error)]))
    except Exception as error:  # a file of any content must not end the table
        return replace(row, problem=f"{type(error).__name__}: {error}")


def different_strings(about: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many input strings or labels of EmoBERTa differ from the published ones, and how many there are."""
    different = total = 0
    for case in about["cases"]:
        labels, mode = about["label_numbers"][case["dataset"]], case["speaker_mode"] or "none"
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


def _worst_norm(norms: Mapping[str, Tensor], golden: Mapping[str, Tensor]) -> float:
    """Return the largest relative difference of a norm; infinity if the weights lack a parameter that has a norm."""
    prefix = "alone/grad_norm_nll/"
    right = {name.removeprefix(prefix): float(value) for name, value in golden.items() if name.startswith(prefix)}
    if not right:
        raise ValueError("the file has no alone/grad_norm_nll")
    if right.keys() - norms.keys():
        return float("inf")
    ours_P = torch.stack([norms[name] for name in right])
    right_P = torch.tensor(list(right.values()), dtype=torch.float64)
    smallest = ROUNDING * right_P.max()
    difference_P = (ours_P - right_P).abs() / torch.maximum(right_P, smallest)
    is_rounding_P = (ours_P <= smallest) & (right_P <= smallest)
    return float(difference_P.masked_fill(is_rounding_P, 0.0).max())  # a NaN stays one


def table_of(rows: Sequence[Row]) -> str:
    """Return the rows as an aligned table."""
    cells = [("system", "configuration", "log-probabilities", "gradient norms", "")]
    for row in rows:
        numbers = ["-" if n is None else f"{n:.1e}" for n in (row.difference, row.gradient_difference)]
        cells.append((row.system, row.configuration, *numbers, "equal" if row.is_equal else f"FAILED {row.problem}"))
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
