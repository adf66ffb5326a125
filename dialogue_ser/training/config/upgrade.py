"""Configurations that earlier versions wrote, in today's words."""

from collections.abc import Mapping
from typing import Any

# Until 0.1.0 a fold, a corpus without a fold and the small corpus of --smoke were readers that wrapped another one.
_FOLD = "dialogue_ser.evaluation.folds:read_fold"
_WITHOUT_FOLD = "dialogue_ser.evaluation.cross_fit:read_without_fold"
_SMOKE = "dialogue_ser.training.smoke:read_smoke"
_OLD_DEFAULT = "leave-one-speaker-out"


def upgraded(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings with what has moved where it is today; those of today's version come back as they are.

    ``crossval.protocol`` and ``crossval.seed`` become ``data.cut``. Their old default stood in every run, cut or not:
    it becomes ``none``, which `dialogue-ser crossval` takes for the same protocol. Readers that wrapped another one
    become that reader and a cut. The corpus of ``--smoke`` becomes the whole sample: ``train`` is now given the small
    one, so that such an old run is read and shown, but not resumed.

    Args:
        values: nested mapping, as YAML gives it; what is malformed is left to the strict parser.

    >>> upgraded({"crossval": {"protocol": "session-5", "estimator": "none"}})
    {'crossval': {'estimator': 'none'}, 'data': {'cut': {'protocol': 'session-5'}}}
    """
    data, crossval = values.get("data") or {}, values.get("crossval") or {}
    if not (isinstance(data, Mapping) and isinstance(crossval, Mapping)):
        return values
    old = {key: crossval[key] for key in ("protocol", "seed") if key in crossval}
    found = dict(values)
    if old:
        if old.get("protocol") == _OLD_DEFAULT:
            old["protocol"] = "none"
        found["crossval"] = {key: value for key, value in crossval.items() if key not in old}
        found["data"] = data = {**data, "cut": {**_mapping(data.get("cut")), **old}}
    if data.get("reader") in (_FOLD, _WITHOUT_FOLD, _SMOKE):
        found["data"] = _unwrapped(data)
    return found


def _unwrapped(data: Mapping[str, Any]) -> dict[str, Any]:
    """Section ``data`` whose reader wrapped another one."""
    options = _mapping(data.get("options"))
    if data["reader"] == _SMOKE:
        return {**data, "reader": "sample", "options": {}}
    own = {key: options[key] for key in ("protocol", "fold", "seed", "n_folds") if key in options}
    if data["reader"] == _WITHOUT_FOLD:
        own["protocol"] = "cross-fit"
    inner = {**data, "reader": options.get("corpus"), "options": _mapping(options.get("options")), "cut": own}
    return _unwrapped(inner) if inner["reader"] == _SMOKE else inner


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}
