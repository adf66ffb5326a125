"""What the store asks an encoder for in one call."""

import sys
from collections.abc import Iterator, Mapping, Sequence

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.features.core.api import Array, UtteranceEncoder
from dialogue_ser.features.core.traits import traits_of
from dialogue_ser.features.store.content_keys import parts
from dialogue_ser.features.store.engines import Unit, engine_for, rows_of

# Few enough that several workers finish together, and where like ones are put together enough for full batches. An
# encoder that asks for processes takes one utterance at a time: nothing is gained by more.
_UNIT, _SORTED_UNIT, _UNIT_OF_WORKERS = 64, 256, 16


def units(
    encoder: UtteranceEncoder, dialogues: Sequence[Dialogue], wanted: set[str], most: int = _SORTED_UNIT
) -> Iterator[Unit]:
    """The wanted utterances in units of 64, 256 where they are sorted, or 16 for workers; of about ``most`` at most.

    Where the encoder sees neighbours whole dialogues are kept together. Where it does not, and says what utterances
    cost, those of like cost are, the dearest first: too long a text then fails at once, and workers finish together.
    """
    needs_context = traits_of(encoder, encoder.modality).context != (0, 0)
    in_order = dialogues if needs_context else _by_cost(encoder, dialogues, wanted)
    plain = _UNIT if getattr(encoder, "processes", 1) == 1 else _UNIT_OF_WORKERS
    size = min(most, plain if in_order is dialogues else _SORTED_UNIT)
    for piece in parts(in_order, wanted, needs_context=needs_context, n_utterances=size):
        yield Unit(piece, frozenset(turn.id for dialogue in piece for turn in dialogue if turn.id in wanted))


def encode_all(encoder: UtteranceEncoder, dialogues: Sequence[Dialogue]) -> Mapping[str, Array]:
    """What ``encoder.encode`` gives, without a store: in this process, or in workers where the encoder asks for some.

    Raises:
        MediaError: clips that cannot be used, all of them.
        FeatureError: the encoder breaks its contract, or a worker died.
    """
    ids = [turn.id for turn in utterances(dialogues)]
    engine = engine_for(encoder, len(ids))
    if engine.runs_in_process:
        return encoder.encode(dialogues)
    found: dict[str, Array] = {}
    for _, rows in rows_of(engine.outcomes(encoder, units(encoder, dialogues, set(ids)))):
        found.update(rows)
    return {key: found[key] for key in ids if key in found}


def narrowed(encoder: UtteranceEncoder, unit: Unit, wanted: frozenset[str]) -> Unit:
    """A unit of which some rows have been stored meanwhile, by another process."""
    if wanted == unit.wanted:
        return unit
    needs_context = traits_of(encoder, encoder.modality).context != (0, 0)
    (piece,) = parts(unit.dialogues, set(wanted), needs_context=needs_context, n_utterances=sys.maxsize)
    return Unit(piece, wanted)


def missing(keys: Mapping[str, str | None], stored: Mapping[str, object]) -> set[str]:
    """Utterances to encode: one per content that is not stored, and every one without a key."""
    one_of_each = {key: utterance_id for utterance_id, key in keys.items() if key is not None and key not in stored}
    return {*one_of_each.values(), *(utterance_id for utterance_id, key in keys.items() if key is None)}


def _by_cost(encoder: UtteranceEncoder, dialogues: Sequence[Dialogue], wanted: set[str]) -> Sequence[Dialogue]:
    costs = getattr(encoder, "costs", None)
    if costs is None:
        return dialogues
    pairs = [(dialogue.id, turn) for dialogue in dialogues for turn in dialogue if turn.id in wanted]
    found = costs([turn for _, turn in pairs])
    if len(set(found)) < 2:
        return dialogues
    order = sorted(range(len(pairs)), key=lambda i: -found[i])  # stable: the same order every time
    return [Dialogue(pairs[i][0], (pairs[i][1],)) for i in order]
