"""The invariants of docs/equations.md, checked for every system whose traits require them, and controls that must fail.

They are checked for both tasks: for log-probabilities of classes and for values of dimensions.
"""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dialogue_ser.batch.collate import collate
from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import Dialogue, LabelSet, Utterance
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import FeatureTable, InputSpec
from dialogue_ser.models import MODELS, DialogueSystem, build_model
from dialogue_ser.nn.losses import masked_nll
from dialogue_ser.nn.value_losses import masked_mse
from dialogue_ser.tasks.base import Task
from dialogue_ser.tasks.classification import Classification
from dialogue_ser.tasks.regression import Regression

LABELS = LabelSet("emotion", ("neutral", "joy", "anger"))
DIMENSIONS = ("valence", "arousal", "dominance")
TASKS: dict[str, Task] = {
    "classes": Classification(LABELS),
    "values": Regression(DIMENSIONS, centres=(3.0, 2.0, -1.0), scales=(0.5, 2.0, 1.5)),
}
DIMS = {"text": 5, "audio": 3}
INPUTS = {name: InputSpec(kind="vector", dim=size) for name, size in DIMS.items()}
FRAMES = {name: InputSpec(kind="frames", dim=size) for name, size in DIMS.items()}
# Systems over frames get several frames: with a single vector, some of their parameters would have no effect.
READ = {"fusion-attention": FRAMES}
# The inputs and the task of the system under test.
GIVEN: dict[str, Any] = {"inputs": INPUTS, "task": TASKS["classes"]}
SPEAKERS = ["abacab", "a", "aaaa", "abcda", "abbbba", "ab"]

COSMIC: dict[str, Any] = {"global_dim": 4, "internal_dim": 3, "external_dim": 5, "intent_dim": 2, "emotion_dim": 4}
COSMIC |= {"hidden_dim": 6}
ALL_OF_COSMIC = {"attention": "concat", "attention_dim": 3, "norm": "dialogue", "combine": "weighted"}
ALL_OF_COSMIC |= {"listeners": "hold", "emotion_attention": "general2-tanh", "residual": True}
SDT: dict[str, Any] = {"hidden_dim": 6, "n_heads": 2}
# Every system with all settings that change its computation.
SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("emotion-rnn", {"attention": "simple"}),
    ("emotion-rnn", {"attention": "matching"}),
    ("emotion-rnn", {"attention": "simple-linear", "listeners": "hold", "initial_state": "zeros"}),
    ("emotion-rnn", {"attention": "general2-tanh", "head_input": "emotion+turn", "projection": {"text": 4}}),
    ("emotion-rnn", {"attention": "simple", "causal": True}),
    ("emotion-rnn", {"attention": "concat", "causal": True}),
    ("dialogue-rnn", {}),
    ("dialogue-rnn", {"listeners": "update", "emotion_attention": "general2-tanh", "compat": True}),
    ("dialogue-rnn", {"attention": "simple", "emotion_attention": "none", "initial_state": "learned"}),
    ("dialogue-rnn", {"attention": "simple-linear", "listeners": "update", "causal": True}),
    ("dialogue-rnn", {"attention": "concat", "emotion_attention": "general2-tanh", "causal": True}),
    ("emotion-rnn", {"attention": "matching", "engine": "autograd"}),
    ("bc-lstm", {}),
    ("bc-lstm", {"attention": "general2", "n_layers": 1}),
    ("bc-lstm", {"attention": "general2-tanh", "projection": {"text": 4}}),
    ("bc-lstm", {"fusion": "hierarchical", "context_dim": 4, "hidden_dim": 5}),
    ("bc-lstm", {"fusion": "hierarchical", "context_dim": 4, "hidden_dim": 5, "unimodal_weight": 0.5}),
    ("cmn", {"hidden_dim": 4, "history": 3, "hops": 2}),
    ("cmn", {"hidden_dim": 4, "hops": 1, "window_padding": True, "history": 4}),
    ("dialogue-crn", {"context_dim": 4}),
    ("dialogue-crn", {"context_dim": 3, "rnn": "gru", "n_layers": 2, "party_steps": 2, "situation_steps": 3}),
    ("dialogue-crn", {"context_dim": 4, "situation_steps": 0, "party_steps": 2, "party_padding": True}),
    ("dialogue-crn", {"context_dim": 4, "cognition": False}),
    ("icon", {"hidden_dim": 4, "history": 2, "dropout": 0.2}),
    ("icon", {"hidden_dim": 4, "hops": 2, "window_padding": True, "projection": {"text": 4}}),
    ("cosmic", COSMIC | {"causal": True, "stand_in": "turn", "norm": "layer", "emotion_attention": "general2"}),
    ("cosmic", COSMIC | ALL_OF_COSMIC),
    ("bigru", {}),
    ("bigru", {"causal": True}),
    ("dag-erc", {"hidden_dim": 6}),
    ("dag-erc", {"hidden_dim": 6, "attention": "linear", "own_turns": 2, "nodal_attention": "past"}),
    ("dag-erc", {"hidden_dim": 6, "attention": "dotprod", "relations": False, "nodal_attention": "global"}),
    ("dag-erc", {"hidden_dim": 6, "attention": "linear", "relations": False, "own_turns": None}),
    ("dialogue-gcn", {"context_dim": 4, "graph_dim": 5, "n_bases": 3}),
    ("dialogue-gcn", {"context": "dialogue-rnn", "context_dim": 3, "edge_attention": "position", "window_past": 2}),
    ("dialogue-gcn", {"context": "gru", "context_dim": 4, "relations": "speakers", "messages": "send"}),
    ("dialogue-gcn", {"context_dim": 4, "graph_dim": 5, "window_past": 2, "causal": True}),
    ("dialogue-gcn", {"context": "none", "window_past": None, "nodal_attention": False, "causal": True}),
    ("graphsmile", {"hidden_dim": 6, "layers": [2], "past": 1, "future": 2}),
    ("graphsmile", {"hidden_dim": 6, "layers": [1], "past": -1, "future": -1, "weights_by_place": True}),
    ("graphsmile", {"hidden_dim": 6, "layers": [2], "past": 2, "future": 0, "text_fusion": "concat"}),
    ("m3net", {"turn_dim": 8, "hidden_dim": 6, "pair_layers": 2}),
    ("m3net", {"turn_dim": 8, "hidden_dim": 6, "speakers": "number", "norm": "dialogue", "weights_by_place": True}),
    (
        "m3net",
        {
            "turn_dim": 8,
            "hidden_dim": 6,
            "speakers": "none",
            "norm": "layer",
            "text_layer": True,
            "residual": True,
            "modality_vectors": True,
            "other_recurrence": True,
            "hypergraph_layers": 1,
            "pair_layers": 1,
        },
    ),
    ("mm-dfn", {"context_dim": 4, "graph_dim": 6, "n_layers": 3}),
    ("mm-dfn", {"context_dim": 4, "graph_dim": 6, "n_layers": 2, "party_padding": True}),
    (
        "mm-dfn",
        {
            "context_dim": 4,
            "graph_dim": 6,
            "n_layers": 2,
            "layer_lstm": False,
            "residual": False,
            "party_padding": True,
            "across_weight": 0.5,
            "speakers": "order",
            "modality_vectors": True,
            "other_recurrence": True,
        },
    ),
    ("mm-dfn", {"context_dim": 4, "graph_dim": 6, "n_layers": 2, "party_context": False, "speakers": "order"}),
    ("mmgcn", {"input_dim": 5, "context_dim": 4, "graph_dim": 6, "n_layers": 4}),
    ("mmgcn", {"input_dim": 5, "context_dim": 4, "graph_dim": 6, "n_layers": 2, "speakers": "number"}),
    (
        "mmgcn",
        {
            "input_dim": 5,
            "context_dim": 4,
            "graph_dim": 6,
            "n_layers": 2,
            "speakers": "none",
            "modality_vectors": True,
            "other_recurrence": True,
            "n_context_layers": 1,
        },
    ),
    ("utterance", {}),
    ("utterance", {"projection": {"text": 4}}),
    ("late-fusion", {}),
    ("sdt", SDT | {"gates": "learned"}),
    ("sdt", SDT | {"speakers": "embedding"}),
    ("sdt", SDT | {"speakers": "none", "unimodal_weight": 0.0, "distillation_weight": 0.0}),
    ("fusion-attention", {"units": {"audio": 4, "text": 6}, "fusion_dim": 6, "hidden_dim": 5}),
    ("fusion-attention", {"query": "text", "units": {}, "branch_dim": 4, "bidirectional": True}),
]
# A recurrence does not depend on the task, so values are checked once per system, and again where it is causal.
FIRST = dict(reversed(SETTINGS))
HELD = [("classes", *setting) for setting in SETTINGS]
HELD += [("values", name, options) for name, options in SETTINGS if FIRST[name] is options or options.get("causal")]


def _system(name: str, options: dict[str, Any]) -> DialogueSystem:
    """Return a new system. The random numbers after it are the same as well."""
    torch.manual_seed(11)
    task = GIVEN["task"]
    system = build_model(name, options, GIVEN["inputs"], task.n_scores, task).double().eval()
    with torch.no_grad():
        for parameter in system.parameters():  # large weights make differences visible
            parameter.mul_(2.0)
    return system


def _dialogues() -> list[Dialogue]:
    return [
        Dialogue(
            f"test/dia{d}",
            tuple(
                Utterance(
                    id=f"test/dia{d}_utt{t}",
                    speaker=speaker,
                    label=LABELS.labels[(d + t) % 3],
                    targets={name: 1.0 + (d + 2 * t + s) % 5 for s, name in enumerate(DIMENSIONS)},
                )
                for t, speaker in enumerate(speakers)
            ),
        )
        for d, speakers in enumerate(SPEAKERS)
    ]


def _batch(dialogues: list[Dialogue]) -> DialogueBatch:
    """The dialogues with random vectors; turns 1 and 2 of three have a sentiment."""
    generator = np.random.default_rng(5)
    ids = [turn.id for dialogue in _dialogues() for turn in dialogue]
    shapes = {
        name: [(1 + k % 4,) * (spec.kind == "frames") + (spec.dim,) for k in range(len(ids))]
        for name, spec in GIVEN["inputs"].items()
    }
    tables = {
        name: FeatureTable(spec, {i: generator.normal(size=n) for i, n in zip(ids, shapes[name], strict=True)})
        for name, spec in GIVEN["inputs"].items()
    }
    del tables["audio"].rows["test/dia0_utt2"]  # type: ignore[attr-defined]
    batch = collate(dialogues, tables, GIVEN["task"], dtype=torch.float64)
    turn_T = torch.arange(batch.speaker.shape[1]) % 3
    return replace(batch, sentiment=torch.where(batch.is_real_turn & (turn_T < 2), turn_T, -100))


def _real(output: Tensor, batch: DialogueBatch) -> dict[str, Tensor]:
    return {utterance: output[b, t] for b, ids in enumerate(batch.utterance_ids) for t, utterance in enumerate(ids)}


def _close(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.allclose(one[key], other[key], rtol=0, atol=1e-12) for key in other)


#: Number in HELD → the system, which tests get copies of, and the state of the random numbers after it was built.
_BUILT: dict[int, tuple[DialogueSystem, Tensor]] = {}


@pytest.fixture(params=HELD, ids=lambda held: f"{held[0]}-{held[1]}-{'-'.join(map(str, held[2].values()))}")
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> DialogueSystem:
    task, name, options = request.param
    monkeypatch.setitem(GIVEN, "task", TASKS[task])
    monkeypatch.setitem(GIVEN, "inputs", READ.get(name, INPUTS))
    if request.param_index not in _BUILT:
        _BUILT[request.param_index] = _system(name, options), torch.get_rng_state()
    built, state = _BUILT[request.param_index]
    torch.set_rng_state(state)
    return deepcopy(built)


def _outputs(system: DialogueSystem, batch: DialogueBatch) -> Tensor:
    """Log-probabilities or values of every turn."""
    found: Tensor = GIVEN["task"].outputs(system(batch).scores_BTS)
    return found


def _said(system: DialogueSystem, batch: DialogueBatch) -> dict[str, Tensor]:
    with torch.no_grad():
        return _real(_outputs(system, batch), batch)


def _loss(outputs_BTS: Tensor, batch: DialogueBatch) -> tuple[Tensor, Tensor]:
    if batch.value is None:
        return masked_nll(outputs_BTS, batch.label)
    return masked_mse(outputs_BTS.flatten(0, 1), batch.value.flatten(0, 1))


def _pad(batch: DialogueBatch, extra: int, content: float) -> DialogueBatch:
    """The same batch with more padding, which has values that must not matter."""
    shape = (batch.n_dialogues, extra)

    def grow(tensor: Tensor, value: float) -> Tensor:
        return torch.cat([tensor, tensor.new_full((*shape, *tensor.shape[2:]), value)], dim=1)

    padding = grow(~batch.is_real_turn, True)
    features = {
        name: grow(values, content).masked_fill(padding.view(*padding.shape, *[1] * (values.dim() - 2)), content)
        for name, values in batch.features.items()
    }
    for name, lengths in batch.lengths.items():  # and after the last frame of a turn
        beyond = torch.arange(features[name].shape[2]) >= grow(lengths, 0)[..., None]
        features[name] = features[name].masked_fill(beyond[..., None], content)
    return replace(
        batch,
        features=features,
        lengths={name: grow(lengths, 0) for name, lengths in batch.lengths.items()},
        is_present={name: grow(present, False) for name, present in batch.is_present.items()},
        speaker=grow(batch.speaker, -1),
        label=grow(batch.label, -100),
        sentiment=None if batch.sentiment is None else grow(batch.sentiment, -100),
        value=None if batch.value is None else grow(batch.value, float("nan")),
        is_real_turn=grow(batch.is_real_turn, False),
    )


def test_the_invariants_are_checked_for_every_registered_system() -> None:
    for task in TASKS:
        missing = set(MODELS) - {name for own, name, _ in HELD if own == task}
        assert not missing, f"add options of {', '.join(sorted(missing))} to SETTINGS"


def test_a_single_turn_works(system: DialogueSystem) -> None:
    batch = _batch([_dialogues()[1]])
    outputs = _outputs(system, batch)
    assert outputs.shape == (1, 1, 3)
    assert outputs.isfinite().all()
    if GIVEN["task"].gives_probabilities:
        torch.testing.assert_close(outputs.exp().sum(), torch.ones((), dtype=torch.float64))


def test_padding_never_changes_real_turns(system: DialogueSystem) -> None:
    batch = _batch(_dialogues())
    plain = _said(system, batch)
    for extra, content in [(0, 7.5), (1, 0.0), (9, -1e6), (3, float("nan"))]:
        assert _close(_said(system, _pad(batch, extra, content)), plain)


def test_outputs_are_float32_under_bf16_autocast_and_probabilities_sum_to_one(system: DialogueSystem) -> None:
    system = system.float()
    batch = replace(
        _batch(_dialogues()), features={name: v.float() for name, v in _batch(_dialogues()).features.items()}
    )
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        outputs = _outputs(system, batch)[batch.is_real_turn]
    assert outputs.dtype == torch.float32
    if GIVEN["task"].gives_probabilities:
        torch.testing.assert_close(outputs.exp().sum(-1), torch.ones(len(outputs)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("party", [0, 5])
def test_speaker_ids_on_padding_change_no_state(system: DialogueSystem, party: int) -> None:
    """In other implementations padding belongs to speaker 0 and changes the state of this speaker."""
    batch = _batch(_dialogues())
    pointing = replace(batch, speaker=torch.where(batch.is_real_turn, batch.speaker, party))
    assert _close(_said(system, pointing), _said(system, batch))


def test_other_dialogues_of_the_batch_and_their_order_change_nothing(system: DialogueSystem) -> None:
    dialogues = _dialogues()
    together = _said(system, _batch(dialogues))
    assert _close(_said(system, _batch(dialogues[::-1])), together)
    for dialogue in dialogues:
        assert _close(together, _said(system, _batch([dialogue])))


def test_absent_modalities_are_not_read(system: DialogueSystem) -> None:
    batch = _batch(_dialogues())
    audio = batch.features["audio"].clone()
    audio[0, 2] = 1e3
    spoiled = replace(batch, features={**batch.features, "audio": audio})
    assert _close(_said(system, spoiled), _said(system, batch))


def test_gradients_to_padding_are_exactly_zero(system: DialogueSystem) -> None:
    batch = _pad(_batch(_dialogues()), 2, 0.5)
    features = {name: values.requires_grad_() for name, values in batch.features.items()}
    numerator, denominator = _loss(_outputs(system, replace(batch, features=features)), batch)
    for gradient in torch.autograd.grad(numerator / denominator, list(features.values())):
        assert gradient[~batch.is_real_turn].abs().sum() == 0
        assert gradient[batch.is_real_turn].abs().sum() > 0


def test_loss_ignores_turns_without_a_label(system: DialogueSystem) -> None:
    batch = _batch(_dialogues())
    outputs = _outputs(system, batch)
    numerator, denominator = _loss(outputs, batch)
    per_turn = 1 if batch.value is None else len(DIMENSIONS)
    assert denominator == per_turn * sum(map(len, SPEAKERS))
    without, alone = (_labelled(batch, [b for b in range(len(SPEAKERS)) if (b == 3) == chosen]) for chosen in (0, 1))
    fewer, smaller = _loss(outputs, without)
    assert smaller == denominator - per_turn * len(SPEAKERS[3])
    own, _ = _loss(outputs, alone)
    torch.testing.assert_close(numerator - own, fewer)


def _labelled(batch: DialogueBatch, dialogues: list[int]) -> DialogueBatch:
    """Gold labels or values for some of the dialogues only."""
    label = torch.full_like(batch.label, -100)
    label[dialogues] = batch.label[dialogues]
    if batch.value is None:
        return replace(batch, label=label)
    value = torch.full_like(batch.value, float("nan"))
    value[dialogues] = batch.value[dialogues]
    return replace(batch, label=label, value=value)


def _respoken(dialogues: list[Dialogue], names: dict[str, str]) -> list[Dialogue]:
    return [
        Dialogue(d.id, tuple(replace(turn, speaker=names.get(turn.speaker, turn.speaker)) for turn in d))
        for d in dialogues
    ]


def test_renaming_speakers_changes_nothing(system: DialogueSystem) -> None:
    if not system.speaker_equivariant:
        pytest.skip("not declared speaker-equivariant")
    dialogues = _dialogues()
    renamed = _batch(_respoken(dialogues, {"a": "zoe", "b": "adam", "c": "mia", "d": "b"}))
    assert _close(_said(system, renamed), _said(system, _batch(dialogues)))
    batch = _batch(dialogues)
    shifted = replace(batch, speaker=torch.where(batch.speaker >= 0, 6 - batch.speaker, -1))
    assert _close(_said(system, shifted), _said(system, batch))


def test_merging_two_speakers_changes_something_iff_speaker_aware(system: DialogueSystem) -> None:
    dialogues = _dialogues()
    merged = _said(system, _batch(_respoken(dialogues, {"b": "a"})))
    assert _close(merged, _said(system, _batch(dialogues))) != system.speaker_aware


def _changed_after(batch: DialogueBatch, turn: int) -> DialogueBatch:
    features = {name: values.clone() for name, values in batch.features.items()}
    for values in features.values():
        values[:, turn + 1 :] += 3.0
    speaker = batch.speaker.clone()
    speaker[:, turn + 1 :] = torch.where(speaker[:, turn + 1 :] >= 0, speaker[:, turn + 1 :] + 1, -1)
    return replace(batch, features=features, speaker=speaker)


@pytest.mark.parametrize("turn", [0, 2])
def test_the_future_changes_the_past_iff_not_causal(system: DialogueSystem, turn: int) -> None:
    batch = _batch(_dialogues())
    with torch.no_grad():
        plain = system(batch).scores_BTS[:, : turn + 1]
        changed = system(_changed_after(batch, turn)).scores_BTS[:, : turn + 1]
    assert torch.equal(plain, changed) == system.causal


def test_dialogues_cut_short_keep_their_labels_iff_causal(system: DialogueSystem) -> None:
    dialogue = _dialogues()[0]
    start = Dialogue(dialogue.id, dialogue.utterances[:3])
    assert _close(_said(system, _batch([dialogue])), _said(system, _batch([start]))) == system.causal


def test_turn_by_turn_gives_the_same_iff_causal(system: DialogueSystem) -> None:
    if not system.causal:
        with pytest.raises(ConfigError, match="cannot label turn by turn"):
            system.stream()
        return
    dialogue = _dialogues()[0]
    whole = _batch([dialogue])
    read = system.stream()
    with torch.no_grad():
        streamed = {
            turn.id: GIVEN["task"].outputs(
                read(replace(_batch([Dialogue(dialogue.id, (turn,))]), speaker=whole.speaker[:, t : t + 1]))
            )
            for t, turn in enumerate(dialogue)
        }
    assert _close(streamed, _said(system, whole))


def _truly_reversed(batch: DialogueBatch) -> DialogueBatch:
    turn = torch.arange(batch.speaker.shape[1])
    index = torch.where(turn < batch.n_turns[:, None], batch.n_turns[:, None] - 1 - turn, turn)
    return replace(
        batch,
        features={name: v.gather(1, index[..., None].expand_as(v)) for name, v in batch.features.items()},
        is_present={name: v.gather(1, index) for name, v in batch.is_present.items()},
        speaker=batch.speaker.gather(1, index),
        utterance_ids=tuple(ids[::-1] for ids in batch.utterance_ids),
    )


def _naively_reversed(batch: DialogueBatch) -> DialogueBatch:
    return replace(
        batch,
        features={name: v.flip(1) for name, v in batch.features.items()},
        speaker=batch.speaker.flip(1).clamp_min(0),
    )


def _swap_directions(system: DialogueSystem) -> DialogueSystem:
    """The same system after the weights of its two directions were exchanged, in the head too."""
    torch.manual_seed(11)
    if any(isinstance(module, nn.RNNBase) and module.bidirectional for module in system.modules()):
        return _swap_torch_directions(system)
    twin = MODELS[system.name](system.config, INPUTS, len(LABELS)).double().eval()  # type: ignore[arg-type, attr-defined]
    swapped = {}
    for key, value in system.state_dict().items():
        if ".emotion.0." in key or ".emotion.1." in key:
            old, new = (".0.", ".1.") if ".emotion.0." in key else (".1.", ".0.")
            swapped[key.replace(f"emotion{old}", f"emotion{new}")] = value
        else:
            swapped[key] = value.flip(0) if key.startswith("recurrence.") else value
    size = twin.recurrence.emotion_dim  # type: ignore[attr-defined]
    first = swapped["head.0.weight"]
    swapped["head.0.weight"] = torch.cat([first[:, size : 2 * size], first[:, :size], first[:, 2 * size :]], dim=1)
    for key in [key for key in swapped if key.startswith("emotion_attention.")]:
        swapped[key] = swapped[key].roll([size] * swapped[key].dim(), list(range(swapped[key].dim())))
    twin.load_state_dict(swapped)
    return twin


def _swap_torch_directions(system: DialogueSystem) -> DialogueSystem:
    """The same for the recurrences of torch; what reads their outputs gets the halves in the former order."""
    twin = deepcopy(system)
    for rnn in twin.modules():
        if isinstance(rnn, nn.RNNBase) and rnn.bidirectional:
            state = {
                name.removesuffix("_reverse") if name.endswith("_reverse") else f"{name}_reverse": value.clone()
                for name, value in rnn.state_dict().items()
            }
            deeper = [name for name in state if name.startswith("weight_ih") and "_l0" not in name]
            rnn.load_state_dict(state | {name: _exchange_halves(state[name]) for name in deeper})
            rnn.register_forward_hook(_exchange_outputs)
    return twin


def _exchange_halves(value: Tensor) -> Tensor:
    return torch.cat(value.chunk(2, dim=-1)[::-1], dim=-1)


def _exchange_outputs(rnn: nn.Module, given: Any, outputs: Any) -> Any:
    packed = outputs[0]
    return packed._replace(data=_exchange_halves(packed.data)), *outputs[1:]


def test_backward_half_is_the_forward_cell_on_the_truly_reversed_dialogue(system: DialogueSystem) -> None:
    """Exchange the two directions and reverse every dialogue within its own length: nothing may change."""
    if not system.bidirectional_recurrence:
        pytest.skip("reads one way only")
    batch = _batch(_dialogues())
    twin = _swap_directions(system)
    plain = _said(system, batch)
    assert _close(_said(twin, _truly_reversed(batch)), plain)
    naive = replace(_naively_reversed(batch), utterance_ids=batch.utterance_ids)
    assert not _close(_said(twin, naive), plain), "control: reversing the padded row must be noticed"


def test_control_a_dropped_mask_is_noticed(system: DialogueSystem) -> None:
    """If padding were treated as turns, the padding test would fail."""
    batch = _batch(_dialogues())
    everything = torch.full_like(batch.n_turns, batch.speaker.shape[1])
    unmasked = replace(
        batch,
        n_turns=everything,
        speaker=batch.speaker.clamp_min(0),
        is_present={name: present | ~batch.is_real_turn for name, present in batch.is_present.items()},
        is_real_turn=torch.ones_like(batch.is_real_turn),
    )
    same = _close(_said(system, unmasked), _said(system, batch))
    assert same == system.causal  # a causal system never reads what comes after a turn, padding included


def test_training_mode_reaches_every_parameter(system: DialogueSystem) -> None:
    system.train()
    batch = _batch(_dialogues())
    output = system(batch)

    def main_loss(scores_BTS: Tensor, of: DialogueBatch) -> tuple[Tensor, Tensor]:
        return _loss(GIVEN["task"].outputs(scores_BTS), of)

    numerator, denominator = main_loss(output.scores_BTS, batch)
    auxiliary = system.auxiliary_numerators(output, batch, main_loss)
    assert set(auxiliary) >= {name for name, weight in system.auxiliary_weights.items() if weight}
    (numerator / denominator + sum(auxiliary.values())).backward()
    silent = [
        name
        for name, parameter in system.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or parameter.grad.abs().sum() == 0)
    ]
    assert silent == []
