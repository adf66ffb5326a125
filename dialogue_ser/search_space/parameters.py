"""Read the parameters of a sweep: which shape each has, and every mistake in it."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from dialogue_ser.errors import ConfigError, shown_value, unknown_name
from dialogue_ser.search_space.numbers import MOST_NUMBER, number_problem
from dialogue_ser.search_space.shapes import SHAPES, Constant, IntUniform, Nested, Parameter, Shape, Uniform, leaves

Place = tuple[str, ...]
#: Notes a problem at a place.
Note = Callable[[Place, str], None]

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_EXAMPLE = "{values: [16, 32]} or {distribution: log_uniform_values, min: 0.0001, max: 0.01}"
_ENDS = ("min", "max")
#: Shape → the keys that it needs, and those that it may have.
_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "constant": (("value",), ()),
    "categorical": (("values",), ()),
    "categorical_w_probabilities": (("values", "probabilities"), ()),
    **{name: (_ENDS, ("q",) * name.startswith("q_")) for name in SHAPES if "uniform" in name},
    **{name: ((), ("mu", "sigma", *("q",) * name.startswith("q_"))) for name in SHAPES if "normal" in name},
    "beta": ((), ("a", "b")),
    "q_beta": ((), ("a", "b", "q")),
}
_ALL_KEYS = tuple(
    dict.fromkeys(("distribution", "parameters", *(key for pair in _KEYS.values() for key in sum(pair, ()))))
)
#: The greatest exponent of e that is a finite number, with some space.
_MOST_EXPONENT = 700.0
_SIGMAS = 9.0


def read_parameters(content: Any, place: Place, note: Note) -> dict[str, Parameter]:
    """Return the parameters of a mapping that could be read.

    Args:
        content: the mapping, as it stands in the file.
        place: its place in the file.
        note: gets every problem.
    """
    if not isinstance(content, Mapping) or not content:
        note(place, f"found {shown_value(content)}, expected at least one parameter, e.g. lr: {_EXAMPLE}")
        return {}
    found = {}
    for name, one in content.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            advice = "begin with a letter or _; after it, letters, digits and . _ - are possible"
            note((*place, str(name)), f"found the name {shown_value(name)}; {advice}")
            continue
        parameter = read_parameter(one, (*place, name), note)
        if parameter is not None:
            found[name] = parameter
    return found


def name_clashes(parameters: Mapping[str, Parameter]) -> dict[Place, str]:
    """Return the paths of parameters whose name with dots is that of another parameter, with that other path.

    Hyphens are as good as underscores, as in flags.
    """
    seen: dict[str, Place] = {}
    clashes = {}
    for path in leaves(parameters):
        dotted = ".".join(path).replace("-", "_")
        if dotted in seen:
            clashes[path] = " > ".join(seen[dotted])
        seen.setdefault(dotted, path)
    return clashes


def parameter_of(content: Any) -> Shape:
    """Return the parameter that a suite describes. Its name may have dots, so nothing is nested here.

    Args:
        content: the mapping as it stands in the file.

    Raises:
        ConfigError: it is none of the shapes, or a key of it has a wrong value.

    >>> parameter_of({"values": [1, 2]}).at(0.5)
    2
    """
    problems: list[str] = []

    def note(place: Place, problem: str) -> None:
        problems.append(f"{'.'.join(place)}: {problem}" if place else problem)

    found = None
    if isinstance(content, Mapping) and "parameters" in content:
        note((), "parameters are not nested here; write the name of the setting with dots")
    else:
        found = read_parameter(content, (), note, mixed_ends=True)
    if problems or not isinstance(found, Shape):
        raise ConfigError(*problems)
    return found


def read_parameter(content: Any, place: Place, note: Note, *, mixed_ends: bool = False) -> Parameter | None:
    """Return the parameter that a mapping describes; None after a problem.

    Args:
        content: the mapping, as it stands in the file.
        place: its place in the file.
        note: gets every problem.
        mixed_ends: without ``distribution``, one end may be a whole number and the other not.
    """
    if not isinstance(content, Mapping):
        key = "values" if isinstance(content, list) else "value"
        written = f"; write {{{key}: {shown_value(content)}}}" if content is not None else ""
        note(place, f"found {shown_value(content)}, expected a mapping such as {_EXAMPLE}{written}")
        return None
    if "parameters" in content:
        return _nested(content, place, note)
    name = _distribution(content, place, note, mixed_ends)
    if name is None or not _has_right_keys(name, content, place, note):
        return None
    noted: list[Place] = []

    def own_note(at: Place, problem: str) -> None:
        noted.append(at)
        note(at, problem)

    check = _values_problems if "values" in content else _number_problems
    if name != Constant.distribution:
        check(name, content, place, own_note)
    else:
        _check_value(content["value"], (*place, "value"), own_note)
    if noted:
        return None
    fields = {key: tuple(one) if isinstance(one, list) and key != "value" else one for key, one in content.items()}
    fields.pop("distribution", None)
    return SHAPES[name](**fields)


def _nested(content: Mapping[Any, Any], place: Place, note: Note) -> Nested | None:
    others = [str(key) for key in content if key != "parameters"]
    if others:
        note(place, f"a nested parameter has only the key parameters; move {', '.join(others)} into it, or remove it")
    inside = read_parameters(content["parameters"], (*place, "parameters"), note)
    return Nested(parameters=inside) if inside and not others else None


def _distribution(content: Mapping[Any, Any], place: Place, note: Note, mixed_ends: bool) -> str | None:
    """Return the name of the shape; None after a problem."""
    if "distribution" in content:
        name = content["distribution"]
        if not isinstance(name, str) or name not in SHAPES:
            note((*place, "distribution"), unknown_name("distribution", str(name), SHAPES))
            return None
        if name == "categorical" and "probabilities" in content:
            note((*place, "distribution"), "values with probabilities are categorical_w_probabilities; write this, or "
                                           "leave distribution out")  # fmt: skip
            return None
        return name
    if "value" in content:
        return Constant.distribution
    if "values" in content:
        return "categorical_w_probabilities" if "probabilities" in content else "categorical"
    keys = set(content)
    if keys & {"mu", "sigma", "a", "b", "q"}:
        wanted = ("normal or log_normal" if keys & {"mu", "sigma"} else "beta" if keys & {"a", "b"} else
                  "q_uniform or q_log_uniform_values")  # fmt: skip
        note(place, f"the key distribution is missing; add e.g. distribution: {wanted}")
        return None
    if keys & set(_ENDS):
        return _of_ends(content, place, note, mixed_ends)
    note(place, _no_shape(content))
    return None


def _of_ends(content: Mapping[Any, Any], place: Place, note: Note, mixed_ends: bool) -> str | None:
    """Return the shape that min and max alone describe."""
    whole = [isinstance(content.get(end), int) for end in _ENDS]
    numbers = all(isinstance(content.get(end), int | float) for end in _ENDS)
    if numbers and any(whole) and not all(whole) and not mixed_ends:
        low, high = (content[end] for end in _ENDS)
        advice = f"write {float(low)!r} and {float(high)!r}, or add distribution: uniform"
        note(place, f"found min {low!r} and max {high!r}: one is a whole number and one is not; {advice}")
        return None
    return IntUniform.distribution if all(whole) else Uniform.distribution


def _no_shape(content: Mapping[Any, Any]) -> str:
    """Say why a mapping without any known key is no parameter."""
    if content and all(isinstance(one, Mapping) for one in content.values()):
        inside = ", ".join(map(str, content))
        return (
            f"parameters inside of a parameter ({inside}) stand below the word parameters; write parameters: "
            f"{{{next(iter(content))}: …}}, or one name with dots"
        )
    unknown = [unknown_name("key", str(key), _ALL_KEYS) for key in content if key not in _ALL_KEYS]
    return "; ".join(unknown) or f"found {shown_value(dict(content))}, expected a mapping such as {_EXAMPLE}"


def _has_right_keys(name: str, content: Mapping[Any, Any], place: Place, note: Note) -> bool:
    needed, possible = _KEYS[name]
    known = (*needed, *possible, "distribution")
    missing = [key for key in needed if key not in content]
    if missing:
        note(place, f"{name}: the key {' and the key '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    wrong = [key for key in content if key not in known]
    for key in wrong:
        quantised = f"q_{name}" if key == "q" and f"q_{name}" in SHAPES else ""
        other = f"; distribution: {quantised} has it" if quantised else ""
        note((*place, str(key)), f"{name}: {unknown_name('key', str(key), known)}{other}")
    return not missing and not wrong


def _values_problems(name: str, content: Mapping[Any, Any], place: Place, note: Note) -> None:
    values = content["values"]
    if not isinstance(values, list) or not values:
        note((*place, "values"), f"found {shown_value(values)}, expected a list such as [16, 32]")
        return
    for index, value in enumerate(values):
        _check_value(value, (*place, "values", str(index)), note)
    if "probabilities" not in content:
        return
    at = (*place, "probabilities")
    weights = content["probabilities"]
    if not isinstance(weights, list) or len(weights) != len(values):
        found = f"{len(weights)} of them" if isinstance(weights, list) else shown_value(weights)
        note(at, f"found {found}, expected one probability for each of the {len(values)} values")
        return
    wrong = [(index, weight) for index, weight in enumerate(weights) if number_problem(weight) or weight < 0]
    for index, weight in wrong:
        note((*at, str(index)), number_problem(weight) or f"found {weight}, expected a probability of at least 0")
    if not wrong and not math.isclose(math.fsum(weights), 1.0, rel_tol=1e-5, abs_tol=1e-8):
        note(at, f"the sum is {math.fsum(weights):.6g}, expected 1; correct the probabilities")


def _check_value(value: Any, place: Place, note: Note) -> None:
    """Check that a value can be written as JSON, because a sweep is sent as JSON."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            if not isinstance(key, str):
                note((*place, str(key)), f"found the key {shown_value(key)}, expected text; put it in quotes")
            _check_value(one, (*place, str(key)), note)
    elif isinstance(value, list):
        for index, one in enumerate(value):
            _check_value(one, (*place, str(index)), note)
    elif isinstance(value, float) and not math.isfinite(value):
        note(place, f"found {value}, which JSON does not have; write a number, or text in quotes")
    elif not (value is None or isinstance(value, str | bool | int | float)):
        note(place, f"found {shown_value(value)} ({type(value).__name__}); if text is meant, put it in quotes")


def _number_problems(name: str, content: Mapping[Any, Any], place: Place, note: Note) -> None:
    numbers = {key: value for key, value in content.items() if key != "distribution"}
    wrong = {key: problem for key, value in numbers.items() if (problem := number_problem(value))}
    for key, problem in wrong.items():
        note((*place, key), problem)
    if wrong:
        return
    for key, value in numbers.items():
        if key in ("q", "a", "b") and not value >= 1 / MOST_NUMBER:
            note((*place, key), f"found {value}, expected a number above 0")
        if key == "sigma" and value < 0:
            note((*place, key), f"found {value}, expected a number of at least 0")
    if "min" in numbers:
        _ends_problems(name, numbers["min"], numbers["max"], place, note)
    elif "log" in name:
        greatest = abs(numbers.get("mu", 0.0)) + _SIGMAS * numbers.get("sigma", 1.0)
        if greatest > _MOST_EXPONENT:
            note(place, f"{name}: exp({greatest:.3g}) is too great a number; choose a smaller mu or sigma")


def _ends_problems(name: str, low: float, high: float, place: Place, note: Note) -> None:
    if low >= high:
        note(place, f"found min {low!r} and max {high!r}, expected min < max")
    elif name == "int_uniform" and not (isinstance(low, int) and isinstance(high, int)):
        note(place, f"int_uniform: found min {low!r} and max {high!r}, expected whole numbers without a point")
    elif name.endswith("_values") and low <= 0:
        note((*place, "min"), f"{name}: found min {low!r}, expected a number above 0")
    elif "log" in name and not name.endswith("_values") and max(abs(low), abs(high)) > _MOST_EXPONENT:
        note(place, f"{name}: min and max are exponents of e, of at most {_MOST_EXPONENT:.0f}; {name}_values takes the "
                    "numbers themselves")  # fmt: skip
