import gc
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

from dialogue_ser.training.config.files import load_record
from dialogue_ser.training.record.mirror.child import Way, mirror
from dialogue_ser.training.record.mirror.offline_file import records

FIXTURE = Path(__file__).parents[3] / "fixtures" / "run"


@pytest.fixture
def finished_run(tmp_path: Path) -> Callable[..., Path]:
    """Copies a finished run, with a report, and gives it settings of W&B."""

    def copy(**settings: object) -> Path:
        folder = tmp_path / "run"
        shutil.copytree(FIXTURE, folder)
        config = yaml.safe_load((folder / "config.yaml").read_text())
        config["wandb"] = {"mode": "offline", **settings}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        (folder / "report-without-texts.html").write_text("<p>numbers</p>")
        (folder / "report.html").write_text("<p>numbers and texts</p>")
        (folder / "model" / "README.md").write_text("# the card\n")
        return folder

    return copy


@pytest.fixture
def wandb_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """W&B's library in this process, with a user who has set up nothing, and without its service at the end."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.chdir(tmp_path)
    import wandb

    wandb.teardown()
    yield
    with suppress(ConnectionError):  # a test has killed the service
        wandb.teardown()
    for process in psutil.Process().children():
        if "wandb-core" in " ".join(process.cmdline()):
            process.wait(30)
    with warnings.catch_warnings():  # W&B leaves its process and its files to the collection of garbage
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    os.environ.pop("WANDB_SERVICE", None)


class FakeParent:
    """The training, as the mirror sees it."""

    def __init__(self, *, is_complete: bool = True, is_gone: bool = False) -> None:
        self.is_complete, self.is_gone = is_complete, is_gone
        self.told: list[str] = []

    def tell(self, kind: str = "", text: str = "") -> None:
        self.told.append(f"{kind} {text}")


@pytest.fixture
def fake_parent() -> type[FakeParent]:
    """Makes a training, as the mirror sees it."""
    return FakeParent


@pytest.fixture
def offline(finished_run, wandb_library):
    """Mirror a finished run offline; return its folder and the records that W&B wrote."""

    def send(folder: Path) -> list:
        parent = FakeParent()
        mirror(folder, load_record(folder / "config.yaml"), Way("offline", ""), parent)
        assert parent.told == []
        (file,) = (folder / "wandb").glob("offline-run-*/*.wandb")
        return list(records(file))

    return finished_run, send
