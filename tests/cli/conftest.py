import csv
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from dialogue_ser.cli.main import main

WORDS = {"calm": "fine okay sure well", "glad": "great lovely yes wow", "cross": "no stop never ugh"}


def write_table(path: Path, seed: int = 0) -> Path:
    """Write a CSV with 30 short dialogues in three splits; the words of a turn show its label."""
    rng = np.random.default_rng(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["split", "dialogue", "speaker", "text", "label"])
        for number in range(30):
            split = "train" if number < 18 else "dev" if number < 24 else "test"
            for _ in range(int(rng.integers(1, 6))):
                label = str(rng.choice(list(WORDS)))
                text = " ".join(rng.choice(WORDS[label].split(), size=4))
                writer.writerow([split, f"d{number}", str(rng.choice(["Ann", "Bo"])), text, label])
    return path


def write_config(path: Path, table: Path) -> Path:
    path.write_text(
        f"""
name: tiny
seed: 3
data: {{reader: table, path: {table}}}
features:
  text: {{encoder: textcnn, options: {{n_filters: 4, embedding_dim: 8, out_dim: 6, dropout: 0.0}}}}
model: {{name: emotion-rnn, options: {{global_dim: 8, party_dim: 8, emotion_dim: 6, hidden_dim: 8, dropout: 0.0}}}}
optimizer: {{learning_rate: 0.02}}
training: {{epochs: 6, batch_size: 6, device: cpu}}
"""
    )
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A YAML file that describes a run of about a second."""
    return write_config(tmp_path / "tiny.yaml", write_table(tmp_path / "turns.csv"))


@pytest.fixture(scope="session")
def trained(
    made_once: Callable[[str, Callable[[Path], object]], Path],
    pictures_blank: Callable[[], AbstractContextManager[None]],
) -> Path:
    """A finished run that the command line made once for all tests; copy it before you change it."""

    def fill(folder: Path) -> None:
        config = write_config(folder / "tiny.yaml", write_table(folder / "turns.csv"))
        with pictures_blank():
            assert main(["train", "--config", str(config), "--out", str(folder / "run")]) == 0

    return made_once("cli", fill) / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """A function that runs a command line and returns exit status, standard output and standard error."""

    def call(*tokens: object) -> tuple[int, str, str]:
        capfd.readouterr()
        status = main([str(token) for token in tokens])
        out, err = capfd.readouterr()
        return status, out, err

    return call


@pytest.fixture
def tiny_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration of the tiny corpus of the tests of training."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "training"))
    import tiny

    from dialogue_ser.training.config.files import dump_config

    path = tmp_path / "tiny.yaml"
    path.write_text(dump_config(tiny.tiny_config()))
    return path
