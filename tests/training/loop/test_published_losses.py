"""The published losses are those of their formulas, and of the published programs where their numbers are here."""

import json
import math
from pathlib import Path

import pytest
import torch

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import LabelSet
from dialogue_ser.errors import ConfigError
from dialogue_ser.models.api import Output
from dialogue_ser.nn.losses import masked_nll, masked_pseudo_focal
from dialogue_ser.tasks.classification import Classification
from dialogue_ser.training.config.files import config_from_dict
from dialogue_ser.training.config.run_config import LossConfig
from dialogue_ser.training.loop.loss import DialogueLoss, class_weights

SCORES = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
LABEL = torch.tensor([[0, 3, -100], [2, 2, 1]])
WEIGHTS = torch.tensor([0.5, 2.0, 1.0, 3.0], dtype=torch.float64)


def rows():
    for b, t in ((b, t) for b in range(2) for t in range(3)):
        if LABEL[b, t] >= 0:
            yield SCORES[b, t].log_softmax(-1), int(LABEL[b, t])


def test_the_pseudo_focal_loss_counts_every_wrong_class_once():
    numerator, denominator = masked_pseudo_focal(
        SCORES.log_softmax(-1), LABEL, focal_gamma=2.5, class_weights_C=WEIGHTS
    )
    right = 0.0
    for log_probs, label in rows():
        terms = [-((1 - (log_probs[c] if c == label else 0.0)) ** 2.5) * log_probs[c] for c in range(4)]
        right += WEIGHTS[label] * sum(terms) / 4
    torch.testing.assert_close(numerator, torch.as_tensor(right))
    assert float(denominator) == sum(float(WEIGHTS[label]) for _, label in rows())


def test_the_pseudo_focal_loss_flattens_probabilities_that_cross_entropy_sharpens():
    scores = torch.tensor([[[6.0, 0.0, 0.0]]], requires_grad=True)
    (numerator, _), label = masked_pseudo_focal(scores.log_softmax(-1), torch.tensor([[0]])), torch.tensor([[0]])
    numerator.backward()
    sharper = torch.autograd.grad(masked_nll(scores.log_softmax(-1), label)[0], scores)[0]
    assert scores.grad[0, 0, 0] > 0 > sharper[0, 0, 0]  # a step against the gradient lowers the right class's score


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_the_focal_factor_without_gradient_is_only_a_weight(gamma):
    scores = SCORES.clone().requires_grad_()
    loss = masked_nll(scores.log_softmax(-1), LABEL, focal_gamma=gamma, focal_gradient=False)[0]
    free = masked_nll(scores.log_softmax(-1), LABEL, focal_gamma=gamma)[0]
    assert loss.item() == free.item()
    right = torch.zeros_like(scores)
    for b in range(2):
        for t in range(3):
            if LABEL[b, t] >= 0:
                p = SCORES[b, t].softmax(-1)
                one_hot = torch.nn.functional.one_hot(LABEL[b, t], 4)
                right[b, t] = (1 - p[LABEL[b, t]]) ** gamma * (p - one_hot)
    torch.testing.assert_close(torch.autograd.grad(loss, scores)[0], right)
    assert not torch.allclose(torch.autograd.grad(free, scores)[0], right)


LABELS = LabelSet("emotion", ("neutral", "joy", "anger"))


@pytest.mark.parametrize(
    ("given", "found"), [([0.5, 2, 1e-3], [0.5, 2.0, 1e-3]), ({"anger": 3, "neutral": 0}, [0.0, 1.0, 3.0])]
)
def test_fixed_class_weights_stay_as_given(given, found):
    config = config_from_dict({"loss": {"class_weights": given}}).loss
    assert class_weights([], LABELS, config).tolist() == found


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"class_weights": [1.0, 2.0]}, "found 2 numbers for 3 classes; give one for each of neutral, joy, anger"),
        ({"class_weights": {"angre": 1.0}}, "unknown class 'angre'; did you mean 'anger'"),
        ({"class_weights": [0.0, 0.0, 0.0]}, "expected finite numbers of at least 0, one of them above 0"),
        ({"class_weights": [1.0, math.nan, 1.0]}, "expected finite numbers of at least 0"),
        ({"class_weights": {"anger": -1.0}}, "expected finite numbers of at least 0"),
        ({"class_weights": []}, "expected finite numbers of at least 0"),
        ({"kind": "pseudo-focal"}, "would then ignore the labels; set it above 0"),
        ({"kind": "pseudo-focal", "focal_gamma": 2.5, "focal_gradient": False}, "only nll has this form"),
        ({"contrastive": {"temperature": 0}}, "loss.contrastive.temperature: found 0"),
        ({"contrastive": {"weight": -1}}, "loss.contrastive.weight: found -1"),
        ({"contrastive": {"similarity": "cosin"}}, "did you mean 'cosine'"),
    ],
)
def test_wrong_settings_of_losses_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        class_weights([], LABELS, config_from_dict({"loss": settings}).loss)


GOLDEN = Path(__file__).parents[3].parent / "shared" / "golden"
PUBLISHED = {
    **dict.fromkeys(("mmgcn", "m3net"), lambda _: {"kind": "pseudo-focal", "focal_gamma": 2.5}),
    **dict.fromkeys(("mm_dfn", "dialoguecrn"), lambda own: {"focal_gamma": own["gamma"], "focal_gradient": False}),
    **dict.fromkeys(("bc_lstm", "cosmic", "dag_erc", "dialoguegcn"), lambda own: {}),
}


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the published numbers are not here")
@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_the_losses_are_those_of_the_published_programs(path):
    from safetensors.torch import load_file

    about = json.loads(path.read_text(encoding="utf-8"))
    if about["system"] not in PUBLISHED:
        pytest.skip("its loss has terms of the system itself")
    golden, own = load_file(path.with_suffix(".safetensors")), about["settings"]
    settings = PUBLISHED[about["system"]](own)
    if own.get("class_weight"):
        settings["class_weights"] = tuple(own["class_weight"])
    lengths, log_probs_NC = golden["input/lengths"].tolist(), golden["output/log_probs"]
    label = torch.cat([golden["input/label"][b, :n] for b, n in enumerate(lengths)])[None]
    names = tuple(map(str, range(log_probs_NC.shape[1])))
    config, label_set = LossConfig(**settings), LabelSet("emotion", names)
    batch = DialogueBatch(
        features={}, is_present={}, speaker=torch.zeros_like(label), n_turns=torch.tensor([label.shape[1]]),
        label=label.long(), is_real_turn=torch.ones_like(label, dtype=torch.bool), utterance_ids=(),
    )  # fmt: skip
    loss = DialogueLoss(config, Classification(label_set), class_weights([], label_set, config))
    numerator, denominator = loss(Output(log_probs_NC[None], {}), batch)
    assert float(numerator / denominator) == pytest.approx(float(golden["loss/published"]), rel=1e-9)
