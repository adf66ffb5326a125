"""Make three optimizer steps and one evaluation in fp64, in one or several processes, and write the results.

Then make three steps of adversarial training with a system that has auxiliary losses. At last make whole runs with
every kind of loss into the folder OUT.runs.

``python ranks.py OUT.safetensors BATCH_SIZE ACCUMULATE``
"""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from dialogue_ser.batch.collate import collate
from dialogue_ser.corpus.schema import utterances
from dialogue_ser.features.core.api import FeatureTable, InputSpec
from dialogue_ser.models import build_model
from dialogue_ser.tasks.classification import Classification
from dialogue_ser.training.config.run_config import AdversarialConfig, LossConfig, OptimizerConfig, TrainingConfig
from dialogue_ser.training.data.batches import Batches
from dialogue_ser.training.loop.devices import make_accelerator, share_buffers
from dialogue_ser.training.loop.gradient.adversarial import Attack
from dialogue_ser.training.loop.learner import Learner
from dialogue_ser.training.loop.loss import DialogueLoss, class_weights
from dialogue_ser.training.loop.optimize import build_optimizer
from dialogue_ser.training.loop.predict import predict
from dialogue_ser.training.run import train

sys.path.insert(0, str(Path(__file__).parent))
import tiny
import two_heads


def learn(out: Path, batch_size: int, accumulate: int) -> None:
    accelerator = make_accelerator(TrainingConfig(device="cpu"))
    corpus = tiny.read_tiny()
    task = Classification(corpus.label_set)
    train, dev = corpus.split("train"), corpus.split("dev")
    turns = [turn for turn in utterances([*train, *dev]) if turn.text]
    rows = dict(zip([turn.id for turn in turns], tiny.letters([turn.text for turn in turns]), strict=True))
    tables = {"text": FeatureTable(InputSpec(kind="vector", dim=26), rows)}
    torch.manual_seed(5)
    options = {"hidden_dim": 6, "dropout": 0.0}
    system = build_model("bigru", options, {"text": tables["text"].spec}, 3).double()
    loss_config = LossConfig(class_weights="inverse-frequency")
    loss = DialogueLoss(loss_config, task, class_weights(train, corpus.label_set, loss_config))
    config = OptimizerConfig(name="sgd", learning_rate=0.5, weight_decay=0.01, momentum=0.9, clip_norm=0.2)

    def learner_of(system, attack=None):
        optimizer = build_optimizer(system, config)
        return Learner(system, optimizer, loss, config=config, total_steps=9, accelerator=accelerator, attack=attack)

    batches = Batches(
        collate=partial(collate, tables=tables, task=task, dtype=torch.float64),
        batch_size=batch_size,
        accumulate=accumulate,
        rank=accelerator.process_index,
        n_ranks=accelerator.num_processes,
    )
    learner = learner_of(system)
    losses = [learner.step(step, i).loss for i, step in enumerate(batches.steps(train, seed=3, epoch=1))]
    system_with_heads = two_heads.TwoHeads(26, 3).double()
    settings = AdversarialConfig(epsilon=0.5, weights=("head.", "sentiment.weight"))
    several = learner_of(system_with_heads, Attack(system_with_heads, settings, seed=1))
    results_of = [several.step(step, i) for i, step in enumerate(batches.steps(train, seed=3, epoch=1))]
    system.eval()
    shared = torch.nn.BatchNorm1d(2).double()
    shared.running_mean.fill_(1 + accelerator.process_index)
    share_buffers(shared, accelerator)
    assert shared.running_mean.tolist() == [1.0, 1.0], "all processes have the buffers of the main one"
    dev_predicted = predict(system, dev, batches, loss, accelerator)
    if accelerator.is_main_process:
        results = {f"model/{name}": value for name, value in system.state_dict().items()}
        results |= {f"several/{name}": value for name, value in several.system.state_dict().items()}
        rows = [[value for pair in one.auxiliary.values() for value in pair] for one in results_of]
        results["several/sums"] = torch.tensor(rows, dtype=torch.float64)
        results["losses"] = torch.tensor(losses, dtype=torch.float64)
        results["dev"] = torch.from_numpy(np.ascontiguousarray(dev_predicted.outputs_NS))
        results["n_ranks"] = torch.tensor(accelerator.num_processes)
        save_file(results, out)


#: What a run is about → its settings. 19 dialogues in batches of 6 leave one for the last batch: a process gets none.
CASES = {
    "focal, two at a time": {
        "loss.focal_gamma": 2.0, "loss.focal_gradient": False, "training.accumulate": 2, "training.batch_size": 3
    },
    "pseudo-focal, downsampled, bucketed": {
        "loss.kind": "pseudo-focal", "loss.focal_gamma": 1.0, "loss.label_smoothing": 0.0,
        "training.balance": "downsample", "training.sampling": "bucketed",
    },
    "binary, averaged weights": {
        "loss.kind": "binary", "loss.label_smoothing": 0.0, "training.ema_decay": 0.8, "optimizer.l2": {"head": 0.1}
    },
    "contrastive, adversarial": {
        "training.adversarial": {"epsilon": 0.5, "rate": 1.0, "weights": ["head."]}, "loss.contrastive.weight": 0.5
    },
}  # fmt: skip
VALUE_CASES = {
    "ccc": {"loss.kind": "ccc"},
    "own loss of a batch": {"loss.kind": "ranks:distance"},
}
SETTINGS = {
    "training.epochs": 1, "training.batch_size": 6, "training.ema_decay": 0.0, "model.options.dropout": 0.0,
    "optimizer.warmup_fraction": 0.0, "save_attention": False,
}  # fmt: skip


def distance(value_NS, gold_NS):
    """The distance of the means of the first dimension, and of its spreads: a loss of the user, no sum over turns."""
    p_N, g_N, n_turns = value_NS[:, 0], gold_NS[:, 0], float(len(value_NS))
    spreads = [(x_N - x_N.mean()).square().mean() for x_N in (p_N, g_N)]
    return n_turns * ((p_N.mean() - g_N.mean()).square() + (spreads[0] - spreads[1]).square()), n_turns


def train_cases(folder: Path) -> None:
    for cases, make in ((CASES, tiny.tiny_config), (VALUE_CASES, tiny.value_config)):
        for name, settings in cases.items():
            train(make(**{**SETTINGS, **settings}), folder / name, progress=False)


if __name__ == "__main__":
    sys.modules["ranks"] = sys.modules["__main__"]
    learn(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    train_cases(Path(f"{sys.argv[1]}.runs"))
