"""Train steps of any registered model over made-up dialogues, to see how a step runs, not what it learns."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import LabelSet
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models import build_model
from dialogue_ser.tasks.classification import Classification
from dialogue_ser.training.config.run_config import LossConfig, OptimizerConfig, TrainingConfig
from dialogue_ser.training.loop.devices import make_accelerator
from dialogue_ser.training.loop.learner import Learner
from dialogue_ser.training.loop.loss import DialogueLoss
from dialogue_ser.training.loop.optimize import build_optimizer

INPUTS = {
    "vector": InputSpec(kind="vector", dim=24),
    "frames": InputSpec(kind="frames", dim=4),
    "tokens": InputSpec(kind="tokens", dim=30, encoder="textcnn", options={"dropout": 0.0}),
}
N_CLASSES, N_PARTIES, MOST_FRAMES = 7, 3, 9
CLASSES = Classification(LabelSet("class", tuple(f"class {number}" for number in range(N_CLASSES))))


def batch_of(
    names: Sequence[str], n_turns: Sequence[int] = (3, 6, 1), *, dim: int = INPUTS["vector"].dim
) -> DialogueBatch:
    """Dialogues of these lengths, on the CPU; ``names`` of :data:`INPUTS`."""
    generator, n_turns_B = torch.Generator().manual_seed(3), torch.tensor(n_turns)
    is_real_BT = torch.arange(max(n_turns)) < n_turns_B[:, None]
    shape = is_real_BT.shape
    drawn_BT = torch.randint(1, MOST_FRAMES, shape, generator=generator)
    lengths_BT = torch.where(is_real_BT, drawn_BT, 0)
    values = {
        "vector": lambda: torch.randn(*shape, dim, generator=generator),
        "frames": lambda: torch.randn(*shape, MOST_FRAMES, INPUTS["frames"].dim, generator=generator),
        "tokens": lambda: torch.randint(1, INPUTS["tokens"].dim, (*shape, MOST_FRAMES), generator=generator),
    }
    return DialogueBatch(
        features={name: values[name]() for name in names},
        is_present=dict.fromkeys(names, is_real_BT),
        lengths={name: lengths_BT for name in names if name != "vector"},
        speaker=torch.where(is_real_BT, torch.arange(shape[1]) % N_PARTIES, -1),
        n_turns=n_turns_B,
        label=torch.where(is_real_BT, torch.arange(shape[1]) % N_CLASSES, -100),
        is_real_turn=is_real_BT,
        utterance_ids=tuple(tuple(f"{b}-{t}" for t in range(n)) for b, n in enumerate(n_turns)),
    )


def learner_of(
    model: str,
    options: Mapping[str, Any],
    names: Sequence[str],
    device: torch.device,
    *,
    dim: int = INPUTS["vector"].dim,
    optimizer: str = "adamw",
    precision: str = "no",
) -> Learner:
    """A model with the same first weights on every device, and what trains it."""
    accelerator = make_accelerator(TrainingConfig(device=device.type, precision=precision))  # type: ignore[arg-type]
    inputs = {name: InputSpec(kind="vector", dim=dim) if name == "vector" else INPUTS[name] for name in names}
    torch.manual_seed(3)
    system = build_model(model, options, inputs, N_CLASSES).to(accelerator.device)
    config = OptimizerConfig(name=optimizer, learning_rate=0.01, weight_decay=0.0)  # type: ignore[arg-type]
    loss, built = DialogueLoss(LossConfig(), CLASSES), build_optimizer(system, config)
    return Learner(system, built, loss, config=config, total_steps=100, accelerator=accelerator)


def train_step(learner: Learner, batch: DialogueBatch) -> Tensor:
    """Forward, loss, backward and the optimizer's step of a batch on the host; its loss, unread, on the device.

    The learner's own step reads its numbers at the end, which waits. This one leaves that out and nothing else.
    """
    learner.optimizer.zero_grad(set_to_none=True)
    own = batch.to(learner.accelerator.device)
    with learner.accelerator.autocast():
        output = learner.system(own)
    numerator, denominator = learner.loss(output, own)
    loss = numerator / denominator
    loss.backward()  # type: ignore[no-untyped-call]
    learner.optimizer.step()
    return loss.detach()
