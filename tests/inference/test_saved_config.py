import json
from pathlib import Path
from typing import Any

import pytest

from dialogue_ser.errors import CheckpointError, DialogueSerError
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inference.model_folder import with_checksum

ODD: tuple[Any, ...] = (None, -1, 0, 10**400, 1.5, "", "x", [], {}, True, [1], {"a": 1})


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, part in inner for place in places(part, (*at, key)))]


def change(folder: Path, config: dict[str, Any], place: tuple[Any, ...], value: Any) -> None:
    changed = json.loads(json.dumps(config))
    node = changed
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    (folder / "config.json").write_text(json.dumps(with_checksum(changed)))


@pytest.mark.parametrize("system", ["bimodal", "values"])
def test_no_value_in_any_place_of_config_json_gives_a_traceback(system, request, tmp_path):
    folder = request.getfixturevalue(system).save_pretrained(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    tried = [place for place in places(config) if place and place[0] in ("model", "inputs", "label_set", "task")]
    tried += [place for place in places(config["features"], ("features",)) if "words" not in place[:-2]]
    refused: list[str] = []
    for number, place in enumerate(tried):
        for value in ODD[number % 12 :: 12]:  # one value for each place; neighbours get the others
            change(folder, config, place, value)
            try:
                DialogueClassifier.from_pretrained(folder).predict([("Ann", "fine")])
            except DialogueSerError as error:
                refused.append(str(error))
    assert len(refused) > len(tried) // 3
    assert max(map(len, refused)) < 3000


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("inputs", "text", "dim"), -1, "inputs.text.dim: found -1, expected a number from 1 to"),
        (("inputs", "text", "dim"), 10**12, "expected a number from 1 to"),
        (("model", "options"), None, "model.options: found None, expected a mapping"),
        (("inputs", "text", "options"), None, "inputs.text.options: found None, expected a mapping"),
        (("features", "text", "transforms"), 3, "features.text.transforms: found 3, expected a list"),
        (("label_set", "labels"), ["calm", 1, "cross"], "label_set.labels: found ['calm', 1, 'cross']"),
        (("features", "text", "on_bad"), "skip", "expected one of error, mask"),
        (("inputs", "text"), [], "inputs.text: found [], expected a mapping"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(classifier, tmp_path, place, value, message):
    folder = classifier.save_pretrained(tmp_path / "model")
    change(folder, json.loads((folder / "config.json").read_text()), place, value)
    with pytest.raises(CheckpointError) as caught:
        DialogueClassifier.from_pretrained(folder)
    assert message in str(caught.value)
    assert str(folder / "config.json") in str(caught.value)
