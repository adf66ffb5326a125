import numpy as np
import pytest


@pytest.fixture
def talks(dialogue):
    """Five dialogues of eight turns and three speakers."""
    return [dialogue(["x"] * 8, name=f"d{i}", speakers=["Ross"] * 4 + ["Joey"] * 3 + ["Mona"]) for i in range(5)]


@pytest.fixture
def rows_for():
    """Function that draws a vector, or ``n_frames`` frames, for every turn of some dialogues."""

    def draw_rows(talks, n_features=4, seed=0, n_frames=None):
        random = np.random.default_rng(seed)
        size = (n_features,) if n_frames is None else (n_frames, n_features)
        return {turn.id: random.normal(3, 2, size).astype(np.float32) for talk in talks for turn in talk}

    return draw_rows
