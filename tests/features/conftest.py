import importlib.util
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest

from dialogue_ser.corpus.schema import Dialogue, Utterance


@pytest.fixture(scope="session")
def speech_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a tiny speech network by its kind in speech_models.py; each is made once."""
    # --import-mode=importlib puts no test folder on sys.path, so the maker is loaded by its path.
    spec = importlib.util.spec_from_file_location("speech_models", Path(__file__).parent / "audio" / "speech_models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cache(lambda kind: module.save_tiny(kind, tmp_path_factory.mktemp(kind)))


@pytest.fixture
def dialogue() -> Callable[..., Dialogue]:
    """Builds a dialogue from texts; speakers alternate unless given."""

    def build(texts: Sequence[str | None], name: str = "train/dia0", speakers: Sequence[str] = ()) -> Dialogue:
        who = speakers or ["Ross", "Joey"] * len(texts)
        turns = (Utterance(id=f"{name}_utt{i}", speaker=who[i], text=text) for i, text in enumerate(texts))
        return Dialogue(name, tuple(turns))

    return build


@pytest.fixture
def spoken(tmp_path: Path) -> Callable[..., Dialogue]:
    """Builds a dialogue whose turns are tones of given lengths (seconds); 0 volume is silence."""
    import numpy as np
    import soundfile

    from dialogue_ser.corpus.schema import AudioRef

    def build(seconds: Sequence[float], volume: float = 0.3, rate: int = 16000, name: str = "train/dia0") -> Dialogue:
        turns = []
        for i, length in enumerate(seconds):
            t = np.arange(int(length * rate)) / rate
            samples = volume * np.sin(2 * np.pi * (150 + 40 * i) * t) * (1 + 0.3 * np.sin(2 * np.pi * 3 * t)) / 1.3
            path = tmp_path / f"{name.replace('/', '_')}_{rate}_{volume}_{i}.wav"
            soundfile.write(path, samples.astype(np.float32), rate)
            turns.append(
                Utterance(id=f"{name}_utt{i}", speaker="Ross", audio=AudioRef(path), origin=f"list.csv row {i + 2}")
            )
        return Dialogue(name, tuple(turns))

    return build
