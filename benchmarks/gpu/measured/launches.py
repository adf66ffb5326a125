"""A part: how many kernels a train step launches, and which operations cost the GPU and the host most.

On a CPU operations are counted in place of launches.
"""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.child import Part
from benchmarks.gpu.measured.kernels import forced
from benchmarks.gpu.measured.steps import batch_of, learner_of
from dialogue_ser.models import MODELS

STEPS, TOP, DIM = 3, 12, 1152
LENGTHS = (24, 20, 18, 17, 16, 15, 14, 13, 12, 11, 11, 10, 10, 9, 9, 8, 8, 8, 7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1)
"""Turns of 32 dialogues, spread as MELD's are."""
SIZES = {"global_dim": 100, "party_dim": 100, "emotion_dim": 100, "hidden_dim": 100}


def profiled(model: str, options: Mapping[str, Any], part: Part) -> dict[str, Any]:
    """A trainer's step, on average over a few."""
    lengths = LENGTHS[8::8] if part.is_quick else LENGTHS
    learner = learner_of(model, options, ["vector"], part.device, dim=DIM)
    batch = batch_of(["vector"], lengths, dim=DIM)
    batch = batch.pin_memory() if part.is_cuda else batch
    for step in range(2):
        learner.step([batch], step)
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * part.is_cuda
    with profile(activities=activities) as profiler:
        for step in range(STEPS):
            learner.step([batch], step)
    events = profiler.key_averages()
    on_host = [event for event in events if event.device_type == DeviceType.CPU]
    on_device = [event for event in events if event.device_type != DeviceType.CPU]  # kernels, copies, fills
    launches = sum(event.count for event in on_host if "LaunchKernel" in event.key)  # CUDA's own and Triton's
    operations = sum(event.count for event in on_host if event.key.startswith("aten::"))
    return {
        "turns": sum(lengths),
        "steps_of_the_recurrence": max(lengths),
        "launches": launches / STEPS if part.is_cuda else None,
        "operations": operations / STEPS,
        "run_on_device": sum(event.count for event in on_device) / STEPS,
        "device_milliseconds": sum(event.self_device_time_total for event in on_device) / 1e3 / STEPS,
        "host_milliseconds": sum(event.self_cpu_time_total for event in on_host) / 1e3 / STEPS,
        "by_device_time": _dearest(on_device, "self_device_time_total"),
        "by_host_time": _dearest(on_host, "self_cpu_time_total"),
    }


def _dearest(events: Sequence[Any], cost: str) -> list[dict[str, Any]]:
    """Name, calls and microseconds of a step."""
    ordered = sorted(events, key=attrgetter(cost), reverse=True)[:TOP]
    return [
        {"name": event.key[:80], "calls": event.count / STEPS, "microseconds": round(getattr(event, cost) / STEPS, 1)}
        for event in ordered
    ]


def main() -> int:
    """The dialogue RNNs as large as MELD's presets have them, by both kinds of kernels; then every other model."""
    part = Part(__doc__)
    found = {}
    for choice in ("auto", "torch") if part.is_cuda else ("torch",):
        for model in ("emotion-rnn", "dialogue-rnn"):
            with forced(choice):
                found[f"{model}, {choice}"] = profiled(model, SIZES, part)
            part.found(steps=found)
    for model in MODELS:
        if model not in ("emotion-rnn", "dialogue-rnn"):
            found[model] = profiled(model, {}, part)
            part.found(steps=found)
    what = "launches" if part.is_cuda else "operations"
    part.found(headline=f"{what} of a step: " + ", ".join(f"{name} {one[what]:.0f}" for name, one in found.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
