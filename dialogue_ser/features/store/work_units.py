"""The units of work: the utterances that an encoder gets in one call."""

import sys
from collections.abc import Iterator, Mapping, Sequence

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.features.core.api import Array, UtteranceEncoder
from dialogue_ser.features.core.traits import traits_of
from dialogue_ser.features.store.content_keys import dialogues_in_pieces
from dialogue_ser.features.store.engines import WorkUnit, collect_rows, engine_for

# Utterances per unit. Small units let several workers finish at the same time; units of utterances sorted by cost are
# larger, so that they fill whole batches. An encoder with worker processes takes one utterance at a time, so that large
# units have no advantage.
_PLAIN_SIZE, _SORTED_SIZE, _WORKER_SIZE = 64, 256, 16


def split_into_units(
    encoder: UtteranceEncoder, dialogues: Sequence[Dialogue], wanted: set[str], max_utterances: int = _SORTED_SIZE
) -> Iterator[WorkUnit]:
    """Yield the wanted utterances in units of work.

    A unit has about 64 utterances, 256 if they are sorted by cost, and 16 for worker processes. No unit is much larger
    than ``max_utterances``. If the encoder needs context, dialogues stay whole. Otherwise, if the encoder knows costs,
    utterances of similar cost are together, and the highest costs come first: a text that is too long then fails at
    once, and workers finish at about the same time.
    """
    needs_context = traits_of(encoder, encoder.modality).context != (0, 0)
    in_order = dialogues if needs_context else _sorted_by_cost(encoder, dialogues, wanted)
    unsorted_size = _PLAIN_SIZE if getattr(encoder, "processes", 1) == 1 else _WORKER_SIZE
    size = min(max_utterances, unsorted_size if in_order is dialogues else _SORTED_SIZE)
    for piece in dialogues_in_pieces(in_order, wanted, needs_context=needs_context, n_utterances=size):
        yield WorkUnit(piece, frozenset(turn.id for dialogue in piece for turn in dialogue if turn.id in wanted))


def encode_all(encoder: UtteranceEncoder, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
    """Return the rows of ``encoder.encode`` without a store. An encoder with ``processes`` gets worker processes.

    Raises:
        MediaError: some clips cannot be used. The message names all of them.
        FeatureError: the rows are not what the interface demands, or a worker died.
    """
    ids = [turn.id for turn in utterances(dialogues)]
    engine = engine_for(encoder, len(ids))
    if engine.runs_in_process:
        return encoder.encode(dialogues)
    found: dict[str, Array] = {}
    for _, rows in collect_rows(engine.outcomes(encoder, split_into_units(encoder, dialogues, set(ids)))):
        found.update(rows)
    return {key: found[key] for key in ids if key in found}


def narrow_unit(encoder: UtteranceEncoder, unit: WorkUnit, wanted: frozenset[str]) -> WorkUnit:
    """Return the unit with fewer wanted utterances, because another process has stored some of its rows."""
    if wanted == unit.wanted:
        return unit
    needs_context = traits_of(encoder, encoder.modality).context != (0, 0)
    (piece,) = dialogues_in_pieces(unit.dialogues, set(wanted), needs_context=needs_context, n_utterances=sys.maxsize)
    return WorkUnit(piece, wanted)


def missing_ids(keys: Mapping[str, str | None], stored: Mapping[str, object]) -> set[str]:
    """Return the ids of the utterances to encode: one for each key that is not stored, and all without a key."""
    one_of_each = {key: utterance_id for utterance_id, key in keys.items() if key is not None and key not in stored}
    return {*one_of_each.values(), *(utterance_id for utterance_id, key in keys.items() if key is None)}


def _sorted_by_cost(encoder: UtteranceEncoder, dialogues: Sequence[Dialogue], wanted: set[str]) -> Sequence[Dialogue]:
    """Return the wanted utterances as dialogues of one turn, highest cost first; unchanged if all costs are equal."""
    costs = getattr(encoder, "costs", None)
    if costs is None:
        return dialogues
    pairs = [(dialogue.id, turn) for dialogue in dialogues for turn in dialogue if turn.id in wanted]
    found = costs([turn for _, turn in pairs])
    if len(set(found)) < 2:
        return dialogues
    order = sorted(range(len(pairs)), key=lambda i: -found[i])  # a stable sort gives the same order every time
    return [Dialogue(pairs[i][0], (pairs[i][1],)) for i in order]
