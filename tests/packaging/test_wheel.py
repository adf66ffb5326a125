"""The wheel that is built from this checkout, installed by itself into an empty folder."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "data" / "sample"
MOST_BYTES = 12 * 2**20
INSIDE = "dialogue_ser/sample_corpus/"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_is_small_and_holds_the_package_and_the_sample_alone(wheel):
    assert wheel.stat().st_size <= MOST_BYTES
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names} == {"dialogue_ser", wheel.name.split("-py3")[0] + ".dist-info"}
    checked_in = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "dialogue_ser"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    package = {name for name in names if name.startswith("dialogue_ser/") and not name.startswith(INSIDE)}
    assert package == {name for name in checked_in.stdout.splitlines() if (ROOT / name).is_file()}


def test_the_sample_ships_byte_for_byte_without_the_scripts_that_make_it(wheel):
    shipped = [*SAMPLE.rglob("*.ogg"), *SAMPLE.glob("*.csv"), SAMPLE / "README.md"]
    assert len(shipped) == 662 + 3 + 1
    with zipfile.ZipFile(wheel) as archive:
        found = {name.removeprefix(INSIDE): archive.read(name) for name in archive.namelist() if INSIDE in name}
    assert found == {path.relative_to(SAMPLE).as_posix(): path.read_bytes() for path in shipped}


# Run by the installed package: one process for both commands, since imports take longer than either.
BOTH = """
import sys
import dialogue_ser
from dialogue_ser.cli.main import main
from dialogue_ser.corpus.download.locate import sample_folder

print("package:", dialogue_ser.__file__, "sample:", sample_folder())
from dialogue_ser.report.figures import gallery
from dialogue_ser.training.dry_run import smoke

# The first picture shows that pictures are drawn. All others are copies of it.
drawn, draw = [], gallery.Gallery.draw

def draw_first(self, name, figure, alt):
    drawn.append(draw(self, name, figure, alt) if not drawn else drawn[0])
    return gallery.Picture(name=name, light=drawn[0].light, dark=drawn[0].dark, alt=alt)

gallery.Gallery.draw = draw_first
smoke.N_DIALOGUES = {"train": 4, "dev": 1, "test": 1}
one_split = ["--data.options", "{splits: [test]}", "--data.train", "test", "--data.dev", "test"]  # a sixth of the clips
status = main(["train", "--preset", "quickstart", "--training.epochs", "1", *one_split])
sys.exit(status or main(["train", "--preset", "meld-textcnn", "--smoke", "--out", "runs/smoke"]))
"""


def test_installed_alone_it_trains_the_quickstart_and_runs_presets_at_reduced_size(wheel, tmp_path):
    target, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    subprocess.run([*pip, "--no-deps", "--no-index", "--target", target, wheel], check=True)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "OMP_NUM_THREADS") if name in os.environ}
    # PYTHONPATH comes before site-packages, where an editable install may name the checkout.
    own = {"PYTHONPATH": str(target), "DIALOGUE_SER_CACHE": str(tmp_path / "store"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", BOTH], cwd=empty, env=kept | own, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    package, sample = target / "dialogue_ser" / "__init__.py", target / INSIDE
    assert done.stdout.startswith(f"package: {package} sample: {sample}\n")
    assert "dialogue-ser predict runs/quickstart INPUT.csv" in done.stdout
    assert "full size: " in done.stdout
    assert {path.name for path in (empty / "runs").iterdir()} == {"quickstart", "smoke"}
    assert all((run / "report.html").is_file() for run in (empty / "runs").iterdir())
    [picture] = (empty / "runs" / "quickstart" / "figures").glob("*.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
