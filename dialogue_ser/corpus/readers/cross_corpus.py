"""Two corpora as one: learn on the first, be tested on the whole of the second, in classes or dimensions both have."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dialogue_ser.corpus.label_maps import LabelMap, relabel
from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet, Utterance, utterances
from dialogue_ser.corpus.splits import by_fractions
from dialogue_ser.errors import ConfigError, CorpusError, unknown_name

_SETTINGS = ("reader", "path", "labels", "options")


def read_cross_corpus(
    path: str | Path | None = None,
    labels: str = "emotion",
    train: Mapping[str, Any] | None = None,
    test: Mapping[str, Any] | None = None,
    label_map: Mapping[str, str] | None = None,
    label_order: Sequence[str] | None = None,
    dev_share: float = 0.2,
    seed: int = 0,
    on_bad: str = "error",
) -> Corpus:
    """Read a corpus to learn from and one to be tested on.

    Train and dev are the first corpus's own splits where it has both; otherwise dev is a share of its sessions, drawn
    by seed, or of the groups of people who talk together where turns name no session, so that no dialogue is cut. Test
    is every split of the second corpus. Ids become ``train/<id>``, ``dev/<id>`` and ``test/<id>``.

    Turns whose label the map leaves out are neither learnt from nor scored: they lose label and votes and stay as
    context; dialogues that keep neither are left out (:func:`~dialogue_ser.corpus.label_maps.relabel`). Both are
    counted in the warnings, label by label. Readers' label sets ``shared-4``, … need no map: their labels are the same.

    Dimensions that both corpora have stay, with their targets as they are: whether both use one scale is for the user
    to know. Where one of the corpora has no classes, the two share dimensions only.

    Args:
        path: None: both corpora have paths of their own.
        labels: name of the shared label set.
        train: of the first corpus: reader, and path, labels and options where they are not its defaults.
        test: the same of the second.
        label_map: label of either corpus → shared class; None = the labels that both have turns of, as they are.
        label_order: the shared classes in order; None = as they first appear in the map, or in the first corpus.
        dev_share: share of the first corpus's groups that becomes dev.
        seed: of that draw.
        on_bad: as in :func:`~dialogue_ser.corpus.readers.read_corpus`, of both.

    Raises:
        ConfigError: settings that are missing or unknown, a map with a class that one corpus has no turn of, an order
            that does not hold the classes, a map or an order where there are no classes to share.
        CorpusError: no label (without classes: no dimension) in common, too few groups to choose on.
        MissingDataError: a corpus is not on this machine.
    """
    if path is not None:
        raise ConfigError(
            "reader cross-corpus: reads two corpora; give their paths in options train and test, not as --data.path"
        )
    if not 0 < dev_share < 1:
        raise ConfigError(f"reader cross-corpus: option dev_share: found {dev_share}, expected a share between 0 and 1")
    first, second = (_read(role, spec, on_bad) for role, spec in (("train", train), ("test", test)))
    if first.fingerprint() == second.fingerprint():
        raise ConfigError("reader cross-corpus: train and test are the same utterances; name another corpus as one")
    parts = _train_and_dev(first, dev_share, seed)
    dimensions, noticed = _shared_dimensions(first, second)
    if first.label_set is None or second.label_set is None:
        _require_dimensions_alone(first, second, dimensions, label_map, label_order)
        learnt = _placed(first, parts, dimensions, None)
        tested = _placed(second, {"test": _all(second)}, dimensions, None)
    else:
        known = {*first.label_set, *second.label_set}
        learnt = _placed(first, parts, dimensions, first.label_set)
        tested = _placed(second, {"test": _all(second)}, dimensions, second.label_set)
        shared = _shared_map(learnt, tested, label_map)
        in_vain = [label for label in shared if label not in known]
        noticed += [f"label_map: {', '.join(in_vain)}: a label of neither corpus"] if in_vain else []
        order = _ordered(shared, label_order)
        learnt, tested = (_relabelled(corpus, labels, shared, order) for corpus in (learnt, tested))
    return Corpus(
        name=f"{first.name}-to-{second.name}",
        label_set=tested.label_set,
        dimensions=dimensions,
        splits={**learnt.splits, **tested.splits},
        licence=f"{first.name}: {first.licence}; {second.name}: {second.licence}",
        warnings=(*noticed, *learnt.warnings, *tested.warnings),
    )


def _read(role: str, spec: Mapping[str, Any] | None, on_bad: str) -> Corpus:
    if not spec or "reader" not in spec:
        raise ConfigError(f"reader cross-corpus: option {role} is missing; give it as {{reader: NAME, path: …}}")
    unknown = [unknown_name("setting", name, _SETTINGS) for name in spec if name not in _SETTINGS]
    if unknown:
        raise ConfigError(*(f"reader cross-corpus: option {role}: {problem}" for problem in unknown))
    options = dict(spec.get("options") or {})
    return read_corpus(spec["reader"], spec.get("path"), spec.get("labels", "emotion"), on_bad=on_bad, **options)


def _all(corpus: Corpus) -> tuple[Dialogue, ...]:
    return tuple(dialogue for dialogues in corpus.splits.values() for dialogue in dialogues)


def _train_and_dev(corpus: Corpus, dev_share: float, seed: int) -> dict[str, tuple[Dialogue, ...]]:
    """The corpus's own splits where it has both, else whole groups of its dialogues.

    Raises:
        CorpusError: too few groups.
    """
    if {"train", "dev"} <= corpus.splits.keys():
        return {part: corpus.splits[part] for part in ("train", "dev")}
    dialogues = _all(corpus)
    has_sessions = all(turn.attributes.get("session") for turn in utterances(dialogues))
    group = {
        one.id: one.utterances[0].attributes["session"] if has_sessions else " + ".join(sorted(one.speakers))
        for one in dialogues
    }
    try:
        part = by_fractions(sorted(set(group.values())), {"train": 1 - dev_share, "dev": dev_share}, seed)
    except CorpusError as error:
        kind = "sessions" if has_sessions else "speakers, or groups of them"
        raise CorpusError(
            f"reader cross-corpus: train ({corpus.name}) has only {len(set(group.values()))} {kind}, so that a "
            f"dev_share of {dev_share} would be none; raise it, or use a corpus with splits train and dev"
        ) from error
    return {name: tuple(one for one in dialogues if part[group[one.id]] == name) for name in ("train", "dev")}


def _shared_dimensions(first: Corpus, second: Corpus) -> tuple[tuple[str, ...], list[str]]:
    """The dimensions that both have, in the order of the first, and what is to be said of the others."""
    shared = tuple(name for name in first.dimensions if name in second.dimensions)
    alone = {one.name: [name for name in one.dimensions if name not in shared] for one in (first, second)}
    return shared, [f"dimensions of {name} alone are left out: {', '.join(own)}" for name, own in alone.items() if own]


def _require_dimensions_alone(
    first: Corpus,
    second: Corpus,
    dimensions: Sequence[str],
    label_map: Mapping[str, str] | None,
    label_order: Sequence[str] | None,
) -> None:
    bare = " and ".join(corpus.name for corpus in (first, second) if corpus.label_set is None)
    if label_map is not None or label_order is not None:
        raise ConfigError(
            f"reader cross-corpus: no classes can be shared ({bare} has none); leave out label_map and label_order"
        )
    if not dimensions:
        raise CorpusError(
            f"reader cross-corpus: {first.name} and {second.name} have no dimension in common, and {bare} no classes; "
            "read them with the same classes, or name the same dimensions"
        )


def _shared_map(learnt: Corpus, tested: Corpus, label_map: Mapping[str, str] | None) -> dict[str, str]:
    """Label → shared class. A class that one side has no turn of would count as never found in every average.

    Args:
        learnt: the first corpus, with its dialogues that are used.
        tested: the second.
        label_map: what the user says.

    Raises:
        ConfigError: an empty map, or such a class.
        CorpusError: nothing in common.
    """
    found = [(corpus.name, {turn.label for turn in utterances(_all(corpus))}) for corpus in (learnt, tested)]
    if label_map is None:
        first, second = (tuple(corpus.label_set or ()) for corpus in (learnt, tested))
        common = [label for label in first if all(label in labels for _, labels in found)]
        if not common:
            raise CorpusError(
                f"reader cross-corpus: {learnt.name} ({', '.join(first)}) and {tested.name} ({', '.join(second)}) "
                "have turns of no label in common; map them with option label_map"
            )
        return {label: label for label in common}
    shared = {str(label): str(name) for label, name in label_map.items()}
    problems = [] if shared else ["names no label"]
    for corpus, labels in found:
        reached = {shared[label] for label in labels if label in shared}
        problems += [
            f"class {name!r} has no turn in {corpus} (labels: {', '.join(sorted(filter(None, labels)))}); map another "
            "label to it, or drop it"
            for name in dict.fromkeys(shared.values())
            if name not in reached
        ]
    if problems:
        raise ConfigError(*(f"reader cross-corpus: label_map: {problem}" for problem in problems))
    return shared


def _ordered(shared: Mapping[str, str], order: Sequence[str] | None) -> tuple[str, ...]:
    classes = tuple(dict.fromkeys(shared.values()))
    if order is None:
        return classes
    if sorted(order) != sorted(classes):
        raise ConfigError(
            f"reader cross-corpus: label_order {', '.join(order)}: expected each of {', '.join(classes)} once"
        )
    return tuple(order)


def _placed(
    corpus: Corpus, splits: Mapping[str, Sequence[Dialogue]], dimensions: tuple[str, ...], label_set: LabelSet | None
) -> Corpus:
    """The corpus with other splits, whose ids begin with the split, and with these annotations only."""
    return replace(
        corpus,
        label_set=label_set,
        dimensions=dimensions,
        splits={
            split: tuple(
                Dialogue(f"{split}/{one.id}", tuple(_turn(turn, split, dimensions, label_set) for turn in one))
                for one in dialogues
            )
            for split, dialogues in splits.items()
        },
    )


def _turn(turn: Utterance, split: str, dimensions: Sequence[str], label_set: LabelSet | None) -> Utterance:
    targets = {name: value for name, value in turn.targets.items() if name in dimensions}
    placed = replace(turn, id=f"{split}/{turn.id}", targets=targets)
    return placed if label_set is not None else replace(placed, label=None, votes=None)


def _relabelled(corpus: Corpus, name: str, shared: Mapping[str, str], order: tuple[str, ...]) -> Corpus:
    """The corpus under shared labels; warnings count what is left out, label by label."""
    # Every label is named: those outside the map become none instead of keeping a name that may be a class.
    merge = {label: shared.get(label) for label in corpus.label_set or ()}
    found = relabel(corpus, name, LabelMap(classes=order, merge=merge))
    left = []
    for split, dialogues in corpus.splits.items():
        counts = Counter(turn.label for turn in utterances(dialogues) if turn.label and turn.label not in shared)
        named = ", ".join(f"{label} {count}" for label, count in counts.most_common())
        left += [f"{split} ({corpus.name}): labels outside the map: {named}"] if counts else []
    return replace(found, warnings=(*found.warnings, *left))
