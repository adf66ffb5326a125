"""DialogueRNN (Majumder et al., AAAI 2019; docs/equations.md): one state per party, attention over emotion states."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import CheckpointError, ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.api import Output, TurnStream
from dialogue_ser.models.recurrent.base import InitialState, RecurrentConfig, RecurrentSystem
from dialogue_ser.nn.recurrence.parameters import Engine
from dialogue_ser.nn.recurrence.stream import RecurrenceStream
from dialogue_ser.nn.recurrence.wiring import dialogue_rnn
from dialogue_ser.nn.sequence_attention import SequenceAttention
from dialogue_ser.options import check_fields

PUBLISHED_EXTRA_DROPOUT = 0.15
PUBLISHED_DIRECTIONS = ("dialog_rnn_f", "dialog_rnn_r")


@dataclass(frozen=True, kw_only=True, slots=True)
class DialogueRNNConfig(RecurrentConfig):
    """Options of DialogueRNN; the defaults are the published settings for MELD.

    :class:`~dialogue_ser.models.recurrent.base.RecurrentConfig` describes the options that are not described here.

    Args:
        attention: kind of attention over the past global states (docs/equations.md); matching is the same as general.
            The kinds simple and simple-linear ignore the present turn and cost less in long dialogues. The published
            implementation calls simple-linear "simple".
        party_dim: number of units of the state q of a party.
        hidden_dim: number of units of the head's hidden layer, per direction: with two directions it has twice as many.
        dropout: dropout rate on the global state g, the party state q and the emotion state e inside the recurrence, on
            e before the attention over all turns, and on the head's hidden layer.
        emotion_attention: kind of attention of each turn over the emotion states of all turns (of the turns so far if
            causal); none = no such attention.
        compat: follow the published implementation: the dropout rate on e before the attention over all turns is then
            ``dropout`` + 0.15. Set it to repeat published results.
    """

    emotion_attention: Literal["general2", "general2-tanh", "none"] = "general2"
    causal: bool = False
    initial_state: InitialState = "zeros"
    compat: bool = False
    engine: Engine = "auto"

    def __post_init__(self) -> None:
        check_fields("model dialogue-rnn: model.options", self)
        if self.emotion_dropout >= 1:
            raise ConfigError(
                f"model dialogue-rnn: model.options.dropout: found {self.dropout}, but compat adds "
                f"{PUBLISHED_EXTRA_DROPOUT} to it on the emotion states; choose less than {1 - PUBLISHED_EXTRA_DROPOUT}"
            )

    @property
    def emotion_dropout(self) -> float:
        """Dropout rate on e between the recurrence and the attention over e."""
        return self.dropout + (PUBLISHED_EXTRA_DROPOUT if self.compat else 0.0)


class DialogueRNN(RecurrentSystem):
    """A recurrence with one state per party, then attention over the emotion states of all turns.

    Utterance vectors → recurrence → attention over all emotion states → two linear layers.

    Source: Majumder et al., DialogueRNN, AAAI 2019, and its published implementation (BiModel).

    Args:
        config: options.
        inputs: modality → shape of its features; their order fixes the order of concatenation.
        n_scores: S.
    """

    name = "dialogue-rnn"
    Config = DialogueRNNConfig

    def __init__(self, config: DialogueRNNConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(
            config,
            dialogue_rnn(config.listeners),
            inputs,
            n_scores,
            causal=config.causal,
            initial_state=config.initial_state,
            engine=config.engine,
        )
        self.config = config
        size = self.recurrence.output_dim
        self.emotion_dropout = nn.Dropout(config.emotion_dropout)
        self.emotion_attention = (
            None
            if config.emotion_attention == "none"
            else SequenceAttention(config.emotion_attention, size, causal=config.causal)
        )
        hidden = config.hidden_dim * self.recurrence.n_directions
        self.head = nn.Sequential(
            nn.Linear(size, hidden), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(hidden, n_scores)
        )

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn.

        With ``return_attention`` the output has the attention weights ``forward`` and ``backward`` over past g and
        ``emotion`` over all e, each ``[B, T, T]``.
        """
        e_BTH, attention = self.emotion_states(self.turns(batch), batch, return_attention=return_attention)
        e_BTH = self.emotion_dropout(e_BTH)
        if self.emotion_attention is not None:
            if return_attention:
                attention = {**attention, "emotion": self.emotion_attention.weights(e_BTH, batch.n_turns)}
            e_BTH = self.emotion_attention(e_BTH, batch.n_turns)
        return Output(self.head(e_BTH), attention)

    def stream(self) -> TurnStream:
        """A stream over one dialogue; a turn costs O(turns so far · E), and more with matching attention over g.

        Raises:
            ConfigError: the system is not causal.
        """
        if not self.causal:
            return super().stream()
        recurrence = RecurrenceStream(self.recurrence)
        emotions: list[Tensor] = []

        def score_turn(batch: DialogueBatch) -> Tensor:
            e_H = self.emotion_dropout(recurrence.step(self.turns(batch)[0, 0], int(batch.speaker[0, 0])))
            if self.emotion_attention is not None:
                emotions.append(e_H)
                e_H = self.emotion_attention.newest(torch.stack(emotions))
            return self.head(e_H)  # type: ignore[no-any-return]

        return score_turn

    def load_published(self, state: Mapping[str, Tensor] | str | Path) -> None:  # type: ignore[override]
        """Load the weights of the published implementation (the ``state_dict`` of a BiModel).

        The system then computes the same numbers as that implementation.

        Args:
            state: the tensors by their published names (``dialog_rnn_f.dialogue_cell.g_cell.weight_ih``, …,
                ``matchatt.transform.weight``, ``linear.weight``, ``smax_fc.bias``), or a safetensors file of them.

        Raises:
            ConfigError: the published model does not exist with these options.
            CheckpointError: the file cannot be read, or tensors are unknown, missing or of another shape (the error
                names all of them). The system keeps its own weights then.
        """
        self._check_published_options()
        tensors = _read_tensors(Path(state)) if isinstance(state, str | Path) else state
        if self.emotion_attention is None:  # the published class has this layer even if it does not use it
            tensors = {name: value for name, value in tensors.items() if not name.startswith("matchatt.")}
        _check_tensors(tensors, dict(self._published_shapes()))
        with torch.no_grad():
            for direction, name in enumerate(PUBLISHED_DIRECTIONS):
                self._load_direction(direction, _tensors_below(tensors, f"{name}.dialogue_cell."))
            parts = {"linear": self.head[0], "smax_fc": self.head[-1]}
            if self.emotion_attention is not None:
                parts["matchatt.transform"] = self.emotion_attention.transform
            for name, part in parts.items():
                part.load_state_dict(_tensors_below(tensors, f"{name}."))

    def _check_published_options(self) -> None:
        """Refuse options with which the published model does not exist."""
        config = self.config
        published = {
            "causal": (config.causal, False),
            "initial_state": (config.initial_state, "zeros"),
            "projection": (config.projection, {}),
        }
        problems = [
            f"model dialogue-rnn: model.options.{name}: found {found}, but the published model has {expected}; set it"
            for name, (found, expected) in published.items()
            if found != expected
        ]
        if self.recurrence.attention.kind == "simple":
            problems.append(
                "model dialogue-rnn: model.options.attention: found simple, which has a tanh and a bias here; the "
                "published simple attention is simple-linear"
            )
        if problems:
            raise ConfigError(*problems)

    def _published_cells(self) -> dict[str, tuple[str, dict[str, int], int]]:
        """For each cell by its published name: our name, its inputs with their sizes in column order, and its size."""
        config, x = self.config, self.turns.out_dim
        g, q, e = config.global_dim, config.party_dim, config.emotion_dim
        cells = {
            "g_cell": ("global", {"x": x, "party": q}, g),
            "p_cell": ("speaker.party", {"x": x, "context": g}, q),
            "e_cell": ("emotion", {"party": q}, e),
        }
        if config.listeners == "update":
            cells["l_cell"] = ("listener.party", {"x": x, "speaker": q}, q)
        return cells

    def _published_shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of every tensor that a published model with these options has."""
        x, g, kind = self.turns.out_dim, self.config.global_dim, self.recurrence.attention.kind
        attention: dict[str, tuple[int, ...]] = {}
        if kind == "simple-linear":
            attention["scalar.weight"] = (1, g)
        elif kind == "concat":
            attention |= {"transform.weight": (g, g + x), "vector_prod.weight": (1, g)}
        elif kind != "dot":
            attention["transform.weight"] = (g, x)
            if kind.startswith("general2"):
                attention["transform.bias"] = (g,)
        for direction in PUBLISHED_DIRECTIONS:
            for cell, (_, inputs, size) in self._published_cells().items():
                prefix = f"{direction}.dialogue_cell.{cell}"
                yield f"{prefix}.weight_ih", (3 * size, sum(inputs.values()))
                yield f"{prefix}.weight_hh", (3 * size, size)
                yield f"{prefix}.bias_ih", (3 * size,)
                yield f"{prefix}.bias_hh", (3 * size,)
            yield from ((f"{direction}.dialogue_cell.attention.{n}", shape) for n, shape in attention.items())
        parts = {"linear": self.head[0], "smax_fc": self.head[-1]}
        if self.emotion_attention is not None:
            parts["matchatt.transform"] = self.emotion_attention.transform
        for name, part in parts.items():
            yield from ((f"{name}.{key}", tuple(value.shape)) for key, value in part.state_dict().items())

    def _load_direction(self, direction: int, tensors: Mapping[str, Tensor]) -> None:
        """Load the cells and the attention of one direction."""
        for published, (cell, sizes, _) in self._published_cells().items():
            weights = _tensors_below(tensors, f"{published}.")
            columns = torch.split(weights["weight_ih"], list(sizes.values()), dim=1)
            inputs = dict(zip(sizes, columns, strict=True))
            hidden, bias_x, bias_h = weights["weight_hh"], weights["bias_ih"], weights["bias_hh"]
            self.recurrence.load_cell(direction, cell, inputs, hidden, bias_x, bias_h)
        attention, published_weights = self.recurrence.attention, _tensors_below(tensors, "attention.")
        if attention.kind == "concat":  # the published matrix multiplies [g; x]
            widths = [self.config.global_dim, self.turns.out_dim]
            of_memory, of_query = torch.split(published_weights["transform.weight"], widths, dim=1)
            attention.weight_memory[direction].copy_(of_memory.T)
            attention.weight_query[direction].copy_(of_query.T)
            attention.score[direction].copy_(published_weights["vector_prod.weight"].T)
        elif attention.kind != "dot":
            (weight,) = (value for name, value in published_weights.items() if name.endswith(".weight"))
            attention.weight[direction].copy_(weight.T)
            if "transform.bias" in published_weights:
                attention.bias[direction].copy_(published_weights["transform.bias"])


def _tensors_below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, by their names without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file, by name."""
    try:
        return safetensors.torch.load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: cannot be read as safetensors ({error}). A .pt or .pkl file of the published implementation is "
            "a pickle. Convert it once with safetensors.torch.save_file(torch.load(path, weights_only=True), new_path)"
        ) from error


def _check_tensors(tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse tensors whose names or shapes are not the expected ones."""
    missing = [f"{name}: missing, expected {list(shape)}" for name, shape in expected.items() if name not in tensors]
    unknown = [f"{name}: unknown, {list(value.shape)}" for name, value in tensors.items() if name not in expected]
    option_problems = [
        f"{name}: found {value.dtype} {list(value.shape)}, expected floats {list(expected[name])}"
        for name, value in tensors.items()
        if name in expected and (tuple(value.shape) != expected[name] or not value.is_floating_point())
    ]
    if missing or unknown or option_problems:
        summary = "dialogue-rnn: the published weights do not fit; set listeners, attention, emotion_attention, the "
        summary += "sizes under model.options and the inputs to the values they were trained with:"
        raise CheckpointError(summary, *(f"  {problem}" for problem in (*missing, *unknown, *option_problems)))
