import subprocess
import sys
from types import SimpleNamespace

import pytest

from dialogue_ser.errors import FeatureError, MissingDataError
from dialogue_ser.features.store.ray_engine import RayEngine

# In a process of its own: ray starts threads and opens files that pytest would take for leaks.
COMPARE = """
import sys
from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.errors import FeatureError
from dialogue_ser.features.store.ray_engine import RayEngine
from dialogue_ser.features.registry import build_encoder
from dialogue_ser.features.store.feature_store import FeatureStore

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


@pytest.mark.parametrize(
    ("workers", "gpus", "complaint"),
    [(8, 0.0, r"8 CPUs \(it has 4\) of"), (4, 0.5, r"2 GPUs \(it has 1\) of"), (5, 1.0, r"5 CPUs .* and 5 GPUs")],
)
def test_a_cluster_without_room_for_all_actors_is_an_error_and_not_waited_for(monkeypatch, workers, gpus, complaint):
    """No ray is needed: a stand-in of the few calls that come before the first actor."""
    ended: list[bool] = []
    options = SimpleNamespace(remote=lambda recipe: pytest.fail("an actor was started"))
    ray = SimpleNamespace(
        is_initialized=lambda: False,
        init=lambda **settings: None,
        shutdown=lambda: ended.append(True),
        cluster_resources=lambda: {"CPU": 4.0, "GPU": 1.0, "memory": 1e9},
        remote=lambda kind: SimpleNamespace(options=lambda **settings: options),
        exceptions=SimpleNamespace(RayActorError=OSError),
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    with pytest.raises(FeatureError, match=complaint):
        list(RayEngine(workers, address="auto", gpus=gpus).outcomes(SimpleNamespace(name="x"), iter(())))
    assert ended == [True]


def test_without_ray_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDataError, match=r"dialogue-ser\[ray\]"):
        RayEngine(2)
