import subprocess
import sys

import pytest

from dialogue_ser.errors import MissingDataError
from dialogue_ser.features.ray_engine import RayEngine

# In a process of its own: ray starts threads and opens files that pytest would take for leaks.
COMPARE = """
import sys
from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.errors import FeatureError
from dialogue_ser.features.ray_engine import RayEngine
from dialogue_ser.features.registry import build_encoder
from dialogue_ser.features.store import FeatureStore

model, root = sys.argv[1:]
talks = [
    Dialogue(f"d{n}", tuple(Utterance(id=f"d{n}_{i}", speaker="s", text=t) for i, t in enumerate(texts)))
    for n, texts in enumerate([["oh my god", f"no {'really ' * n}", "yes"] for n in range(6)])
]
encoder = build_encoder("hf-text", "text", {"model": model})
alone = FeatureStore(root + "/alone", chunk_utterances=4).table(encoder, talks, progress=False)
engine = RayEngine(2)
rows = FeatureStore(root + "/ray", chunk_utterances=4, engine=engine).table(encoder, talks, progress=False)
assert rows.keys() == alone.keys() and len(rows) == 18
assert all(rows[key].tobytes() == alone[key].tobytes() for key in rows)
bad = build_encoder("hf-text", "text", {"model": model, "layers": [7]})
try:
    FeatureStore(root + "/ray", engine=engine).table(bad, talks, progress=False)
except FeatureError as error:
    print(error)
"""


def test_ray_actors_give_the_same_bits_and_the_same_errors(tmp_path, tiny_text_model):
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    done = subprocess.run(
        [sys.executable, "-c", COMPARE, str(tiny_text_model), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=420,
    )
    assert done.returncode == 0, done.stderr
    assert "has hidden states 0 … 3, not [7]" in done.stdout


def test_without_ray_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDataError, match=r"dialogue-ser\[ray\]"):
        RayEngine(2)
