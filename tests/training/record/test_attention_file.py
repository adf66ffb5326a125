import json
import tracemalloc

import pytest
import safetensors.torch
import torch

from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.training.record.attention_file import AttentionFile


def _dialogue(name: str, n_turns: int) -> Dialogue:
    return Dialogue(name, tuple(Utterance(id=f"{name}_u{turn}", speaker="Ann", text="Hi") for turn in range(n_turns)))


def _attention(n_turns: int) -> dict[str, torch.Tensor]:
    return {name: torch.rand(n_turns, n_turns) for name in ("forward", "backward")}


def test_the_file_has_the_same_bytes_as_one_that_safetensors_writes_from_memory(tmp_path):
    dialogues = [_dialogue(name, n) for name, n in (("test/d10", 3), ("test/d9", 1), ("ä “d”", 2), ("d\n1", 5))]
    expected = {}
    with AttentionFile(tmp_path, 1000) as file:
        for dialogue in dialogues:
            attention = _attention(len(dialogue))
            file.put("test", dialogue, attention)
            key = f"test/{dialogue.id.removeprefix('test/')}"
            expected |= {f"{key}/{name}": weights for name, weights in attention.items()}
        file.write()
    assert (tmp_path / "attention.safetensors").read_bytes() == safetensors.torch.save(expected)
    turns = json.loads((tmp_path / "attention.json").read_text(encoding="utf-8"))
    assert list(turns) == ["turns"]
    assert turns["turns"]["test/d9"] == ["test/d9_u0"]
    assert len(list(tmp_path.iterdir())) == 2
    found = RunFiles(tmp_path).attention("test", "test/d10")
    assert (found["backward"] == expected["test/d10/backward"].double().numpy()).all()


def test_dialogues_that_are_too_long_are_named(tmp_path):
    with AttentionFile(tmp_path, 4) as file:
        file.put("test", _dialogue("test/d1", 2), _attention(2))
        file.leave_out("test", _dialogue("test/d2", 5))
        file.write()
    run = RunFiles(tmp_path)
    assert (run.attention_limit("test", "test/d1"), run.attention_limit("test", "test/d2")) == (None, 4)
    assert run.attention_limit("test", "d2") == 4
    assert set(run.attention("test", "test/d1")) == {"forward", "backward"}
    assert run.attention("test", "test/d2") == {}


def test_without_attention_there_is_no_file_even_after_an_error(tmp_path):
    with AttentionFile(tmp_path, 1000) as file:
        file.write()
    with pytest.raises(KeyError), AttentionFile(tmp_path, 1000) as file:
        file.put("test", _dialogue("d", 2), {"forward": _attention(2)["absent"]})
    assert list(tmp_path.iterdir()) == []


def test_one_dialogue_at_a_time_is_in_memory(tmp_path):
    dialogue, attention = _dialogue("d", 300), _attention(300)
    tracemalloc.start()
    with AttentionFile(tmp_path, 1000) as file:
        for number in range(20):
            file.put("train", Dialogue(f"d{number}", dialogue.utterances), attention)
        file.write()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "attention.safetensors").stat().st_size > 20 * 2 * 4 * 300**2
    assert peak < 4 * 4 * 300**2
