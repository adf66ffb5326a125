import time

import pytest

from dialogue_ser.foreign_text.yaml_text import YamlError, parse_yaml


def test_ordinary_yaml_is_read_as_ever():
    assert parse_yaml("a: {b: [1, 2.5, no, null, x]}\nc: '1'") == {"a": {"b": [1, 2.5, False, None, "x"]}, "c": "1"}
    assert parse_yaml("") is None
    assert parse_yaml("a: {x: 1}\nb: {x: 1}\n1: y\n'1': z") == {"a": {"x": 1}, "b": {"x": 1}, 1: "y", "1": "z"}
    assert parse_yaml("base: &b {x: 1}\nmine: {<<: *b, y: 2}")["mine"] == {"x": 1, "y": 2}


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{k}: &a{k} [*a{k - 1}, *a{k - 1}]\n" for k in range(1, 40))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 50_000, "nested more than"),
        ("a: " + "{b: " * 50_000, "nested more than"),
        ("\n".join(" " * k + "a:" for k in range(1200)), "nested more than"),
        ("- " * 5_000 + "x", "nested more than"),
        (BOMB, "aliases counted"),
        ("a: &a [*a]", "not complete"),
        ("a: *nowhere", "not complete"),
        ("x" * 1_000_001, "characters"),
        ("a: " + "9" * 5_000, "cannot be read"),
        ("a: 2020-99-99", "cannot be read"),
        ("a: [1, 2", "is not YAML"),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
        ("a: \x00", "is not YAML"),
        ("{[1]: 2}", "is not YAML"),
        ('a: "x\\0y"', "NUL character"),
        ("seed: 1\na: {b: 1, c: 2}\nseed: 2", "has 'seed' twice in one mapping, in lines 1 and 3; keep one"),
        ("a:\n  b: 1\n  'b': 2", "has 'b' twice"),
    ],
    ids=lambda value: value[:12],
)
def test_what_cannot_be_read_is_one_line_at_once(text, message):
    begin = time.perf_counter()
    with pytest.raises(YamlError, match=message) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)
    assert time.perf_counter() - begin < 1


def test_names_in_a_mapping_stay_words_and_values_do_not():
    assert parse_yaml("{yes: yes, no: [{on: off}], 'true': 1, 2: 3}") == {
        "yes": True,
        "no": [{"on": False}],
        "true": 1,
        2: 3,
    }
    assert parse_yaml("a: &x {yes: 1}\nb: *x") == {"a": {"yes": 1}, "b": {"yes": 1}}
    assert parse_yaml("") is None
