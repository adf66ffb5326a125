import pytest
import torch

from benchmarks.gpu.measured.steps import batch_of, learner_of, train_step


@pytest.mark.parametrize("model", ["dialogue-rnn", "fusion-attention", "utterance"])
def test_a_step_of_a_model_gives_a_loss_and_moves_its_weights(model: str) -> None:
    names = ["frames"] if model == "fusion-attention" else ["vector"]
    learner = learner_of(model, {}, names, torch.device("cpu"))
    before = [weight.detach().clone() for weight in learner.system.parameters()]
    assert torch.isfinite(train_step(learner, batch_of(names)))
    assert any(not torch.equal(old, new) for old, new in zip(before, learner.system.parameters(), strict=True))
