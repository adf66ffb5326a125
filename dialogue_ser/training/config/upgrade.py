"""Translate configurations of earlier versions to the keys of this version."""

from collections.abc import Mapping
from typing import Any

# Up to version 0.1.0 these were corpus readers around another reader: one fold of a corpus, a corpus without one fold,
# and the small corpus of --smoke.
_FOLD = "dialogue_ser.evaluation.folds:read_fold"
_WITHOUT_FOLD = "dialogue_ser.evaluation.cross_fit:read_without_fold"
_SMOKE = "dialogue_ser.training.smoke:read_smoke"
_OLD_DEFAULT_PROTOCOL = "leave-one-speaker-out"


def upgraded(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return settings with the keys of this version. Settings that have them already are returned unchanged.

    - ``crossval.protocol`` and ``crossval.seed`` move to ``data.cut``. Every old run had the default protocol, even if
      its corpus was not cut. So the default becomes ``none``; `dialogue-ser crossval` uses the same protocol for it.
    - A reader around another reader becomes that other reader with a cut.
    - The small corpus of ``--smoke`` becomes the whole sample corpus. Such an old run can be read and shown, but not
      resumed.

    Args:
        values: nested mapping, as YAML gives it. Malformed parts are returned unchanged: the strict parser reports
            them.

    >>> upgraded({"crossval": {"protocol": "session-5", "estimator": "none"}})
    {'crossval': {'estimator': 'none'}, 'data': {'cut': {'protocol': 'session-5'}}}
    """
    data, crossval = values.get("data") or {}, values.get("crossval") or {}
    if not (isinstance(data, Mapping) and isinstance(crossval, Mapping)):
        return values
    moved = {key: crossval[key] for key in ("protocol", "seed") if key in crossval}
    result = dict(values)
    if moved:
        if moved.get("protocol") == _OLD_DEFAULT_PROTOCOL:
            moved["protocol"] = "none"
        result["crossval"] = {key: value for key, value in crossval.items() if key not in moved}
        result["data"] = data = {**data, "cut": {**_mapping_or_empty(data.get("cut")), **moved}}
    if data.get("reader") in (_FOLD, _WITHOUT_FOLD, _SMOKE):
        result["data"] = _with_inner_reader(data)
    return result


def _with_inner_reader(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the section ``data`` of an old run with the reader inside its reader, and with a cut."""
    options = _mapping_or_empty(data.get("options"))
    if data["reader"] == _SMOKE:
        return {**data, "reader": "sample", "options": {}}
    cut = {key: options[key] for key in ("protocol", "fold", "seed", "n_folds") if key in options}
    if data["reader"] == _WITHOUT_FOLD:
        cut["protocol"] = "cross-fit"
    inner = {**data, "reader": options.get("corpus"), "options": _mapping_or_empty(options.get("options")), "cut": cut}
    return _with_inner_reader(inner) if inner["reader"] == _SMOKE else inner


def _mapping_or_empty(value: Any) -> dict[str, Any]:
    """Return a mapping as a dict, and an empty dict for any other value."""
    return dict(value) if isinstance(value, Mapping) else {}
