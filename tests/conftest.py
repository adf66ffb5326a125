"""What every test shares: run-time shape checks, one thread, no network, and the data beside the checkout."""

import base64
import gc
import importlib.util
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, get_args

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "disabled")
# As the Makefile has it: corpora that are not bundled lie in the checkout's data/ or beside the checkout.
os.environ.setdefault(
    "DIALOGUE_SER_DATA",
    os.pathsep.join(str(Path(__file__).parents[i] / folder) for i, folder in ((1, "data"), (2, "shared/data"))),
)

import jaxtyping
import pytest
from filelock import FileLock

if TYPE_CHECKING:
    import torch

# Shapes and types of the torch rooms are checked at run time in the suite; users do not pay for it.
# Must be installed before anything imports these rooms. Triton cannot read functions that the hook has wrapped, so
# nn/gru/kernels.py is left out: the modules of its room are named one by one.
PACKAGE = Path(__file__).parents[1] / "dialogue_ser"
NN_MODULES = sorted(path.relative_to(PACKAGE).with_suffix("") for path in (PACKAGE / "nn").rglob("*.py"))
CHECKED = [".".join(name.parts) for name in NN_MODULES if name.name not in ("__init__", "kernels")]
CHECKED += ["tensors", "batch", "encoders", "models"]
jaxtyping.install_import_hook([f"dialogue_ser.{name}" for name in CHECKED], "beartype.beartype")


def _has_shapes(annotation: Any) -> bool:
    """Whether a type states a shape. Text, which is not looked into, counts as one."""
    if isinstance(annotation, str | list | tuple):
        return isinstance(annotation, str) or any(map(_has_shapes, annotation))
    is_shape = isinstance(annotation, type) and issubclass(annotation, jaxtyping.AbstractArray)
    return is_shape or any(map(_has_shapes, get_args(annotation)))


def _jaxtyped(*, typechecker: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What the import hook decorates with. Functions without shapes get the check of types alone, which is faster."""
    with_shapes = _WITH_SHAPES(typechecker=typechecker)

    def decorate(thing: Any) -> Any:
        if isinstance(thing, FunctionType) and not any(map(_has_shapes, thing.__annotations__.values())):
            return typechecker(thing)
        return with_shapes(thing)

    return decorate


_WITH_SHAPES, jaxtyping.jaxtyped = jaxtyping.jaxtyped, _jaxtyped

# Run by nn/gru/test_kernels.py in processes of their own: Triton reads TRITON_INTERPRET once, when it is imported.
collect_ignore = ["nn/gru/executed_kernels.py", "nn/gru/compiled_kernels.py", "example_package"]
#: auto, or cpu: the CPU stands in for the GPU in tests marked ``cuda``, to try them where there is none.
TEST_DEVICE = "DIALOGUE_SER_TEST_DEVICE"

#: One grey pixel.
BLANK_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)
_TESTS = count()
LOOPBACK = ("127.0.0.1", "localhost", "::1")

#: Files that take longest. They are begun first: one that began last would keep one process while the other has nothing
#: left to do. ``make test`` tells pytest-xdist to keep this order.
DEAREST = (
    "cli/commands/test_smoke.py",
    "models/test_invariants.py",
    "features/store/test_engines.py",
    "evaluation/crossval/test_cross_validate.py",
    "nn/gru/test_kernels.py",
    "packaging/test_wheel.py",
    "cli/test_sweep_run.py",
    "report/test_page.py",
    "benchmarks/test_suites.py",
    "nn/recurrence/test_dialogue_recurrence.py",
    "models/test_no_waiting.py",
    "cli/test_run_arguments.py",
    "training/test_regression.py",
    "benchmarks/test_finetuning.py",
    "training/test_images.py",
    "test_numbers.py",
    "evaluation/test_out_of_fold.py",
    "cli/commands/test_crossval.py",
    "test_fixtures.py",
    "training/data/test_augmented.py",
    "docs/test_readme.py",
    "benchmarks/test_recurrence.py",
)


def pytest_collection() -> None:
    """Thousands of tests and all modules are loaded now and stay; garbage collection would look through them again."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Garbage collection looks at what tests make, and no longer at what was loaded before."""
    gc.freeze()
    gc.enable()
    # pytest adds its handlers to every logger that hands nothing on, six times a test, and torch has fifty of them
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("torch.") and isinstance(logger, logging.Logger) and not logger.propagate:
            logger.handlers.clear()
            logger.propagate = True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the dearest files to the beginning; all else stays as it is."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(DEAREST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    """A test that opens a connection to another machine fails at once instead of hanging."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and address[0] not in LOOPBACK:
            raise AssertionError(f"a test tried to reach {address}; tests use no network")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


@pytest.fixture(autouse=True)
def _each_test(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What thousands of tests need is done by one fixture, because each fixture takes its time.

    No test fills or reads the user's feature store, or another test's. The folder is made by who needs it. Only
    report/, and who asks for ``real_pictures``, draws pictures; fixtures of a module or the session are made before.
    """
    # not in tmp_path: to make a numbered folder for each of thousands of tests, pytest lists all of them each time
    folder = tmp_path_factory.getbasetemp() / "feature-stores" / str(next(_TESTS))
    monkeypatch.setenv("DIALOGUE_SER_CACHE", str(folder))
    if "report" not in request.path.parts and "real_pictures" not in request.fixturenames:
        _leave_pictures_blank(monkeypatch)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Torch uses one thread: the machine is shared, and sums are then the same everywhere."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def _no_list_of_seeds() -> Iterator[None]:
    """Without a GPU, torch.manual_seed need not note the seed, with the stack of its call, for each kind of GPU."""
    import torch

    with pytest.MonkeyPatch.context() as patch:
        for kind in (torch.cuda, torch.xpu, torch.mtia):
            if not kind.is_available():
                patch.setattr(kind, "manual_seed_all", lambda seed: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """What a process has written outlives its death even before it is on disk; and no test cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def gpu() -> "torch.device":
    """The GPU of tests marked ``cuda``; skips where there is none."""
    import torch

    if os.environ.get(TEST_DEVICE) == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        pytest.skip(f"needs CUDA; {TEST_DEVICE}=cpu has the CPU stand in")
    return torch.device("cuda", 0)


def _shared(name: str) -> Path:
    from dialogue_ser.corpus.download.locate import find_data
    from dialogue_ser.errors import MissingDataError

    try:
        return find_data(name)
    except MissingDataError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def meld() -> Path:
    """Folder of the official MELD CSVs; skips where they are absent."""
    return _shared("meld")


@pytest.fixture(scope="session")
def emobank() -> Path:
    """Folder of EmoBank; skips where it is absent."""
    return _shared("emobank")


@pytest.fixture(scope="session")
def nemo() -> Path:
    """Folder of the nEMO subset; skips where it is absent."""
    return _shared("nemo")


@pytest.fixture(scope="session")
def sample() -> Path:
    """Folder of the bundled synthetic corpus."""
    from dialogue_ser.corpus.download.locate import sample_folder

    return sample_folder()


@pytest.fixture(scope="session")
def write_run() -> Callable[..., Path]:
    """Writes a run directory made up by tests/support/synthetic_run.py."""
    write: Callable[..., Path] = _maker("support/synthetic_run").write_run
    return write


@pytest.fixture(scope="session")
def write_nemo() -> Callable[..., Path]:
    """Writes a corpus in nEMO's layout made up by tests/support/synthetic_nemo.py."""
    write: Callable[..., Path] = _maker("support/synthetic_nemo").write_nemo
    return write


@pytest.fixture(scope="session")
def write_suite() -> Callable[..., Path]:
    """Writes a suite that trains in a second, made up by tests/support/small_suite.py."""
    write: Callable[..., Path] = _maker("support/small_suite").write_suite
    return write


@pytest.fixture(scope="session")
def write_error_suite() -> Callable[..., Path]:
    """Writes the folder of a suite with stated predictions, made up by tests/support/error_suite.py."""
    write: Callable[..., Path] = _maker("support/error_suite").write_error_suite
    return write


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Makes a folder for all processes of the suite: the first one that asks fills it, the others wait for it."""

    def folder_of(name: str, fill: Callable[[Path], object]) -> Path:
        folder = _of_all_processes(tmp_path_factory) / name
        ready = folder.with_name(f"{name}-ready")
        with FileLock(f"{folder}.lock"):
            if not ready.exists():
                folder.mkdir(exist_ok=True)
                fill(folder)
                ready.touch()
        return folder

    return folder_of


@pytest.fixture(scope="session")
def suite_run(made_once: Callable[[str, Callable[[Path], object]], Path], write_suite: Callable[..., Path]) -> Path:
    """The folder of a small suite that was run once, with its results in out/. Copy it before you change it."""
    from dialogue_ser.evaluation.suite.plan import read_plan
    from dialogue_ser.evaluation.suite.run_suite import run_suite

    def fill(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(folder))
            run_suite(read_plan(write_suite(folder), trust_code=True), folder / "out")

    return made_once("suite", fill)


@pytest.fixture(scope="session")
def write_iemocap() -> Callable[..., Path]:
    """Writes a corpus in IEMOCAP's layout made up by tests/support/synthetic_iemocap.py."""
    write: Callable[..., Path] = _maker("support/synthetic_iemocap").write_iemocap
    return write


@pytest.fixture(scope="session")
def iemocap_facts() -> ModuleType:
    """tests/support/synthetic_iemocap.py itself, for the counts it states."""
    return _maker("support/synthetic_iemocap")


@pytest.fixture(scope="session")
def tiny_text_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny BERT of tests/support/text_models.py."""
    folder: Path = _maker("support/text_models").save_tiny_bert(tmp_path_factory.mktemp("tiny-bert"))
    return folder


def _maker(name: str) -> ModuleType:
    # --import-mode=importlib puts no test folder on sys.path, so a maker is loaded by its path.
    spec = importlib.util.spec_from_file_location(Path(name).name, Path(__file__).parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def warm_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Runs scripts in processes of their own that need not import the package: tests/support/warm_process.py."""
    process = _maker("support/warm_process").WarmProcess(tmp_path_factory.mktemp("warm"))
    yield process
    process.end()


@pytest.fixture
def real_pictures() -> None:
    """Asked for by tests outside report/ that want the pictures of their pages drawn."""


@pytest.fixture
def blank_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages have blank pictures: to draw them takes seconds a page."""
    _leave_pictures_blank(monkeypatch)


@pytest.fixture(scope="session")
def pictures_blank() -> Callable[[], AbstractContextManager[None]]:
    """The same for a fixture of a module or the session: a context."""

    @contextmanager
    def blank() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            _leave_pictures_blank(patch)
            yield

    return blank


def _leave_pictures_blank(monkeypatch: pytest.MonkeyPatch) -> None:
    from dialogue_ser.report.figures import gallery

    def draw(self: gallery.Gallery, name: str, figure: object, alt: str) -> gallery.Picture:
        self._pictures.append(gallery.Picture(name=name, light=BLANK_PNG, dark=BLANK_PNG, alt=alt))
        return self._pictures[-1]

    monkeypatch.setattr(gallery.Gallery, "draw", draw)


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A feature store that whole files share, over all processes of the suite: what one encodes the others find."""
    return _of_all_processes(tmp_path_factory) / "shared-feature-store"


def _of_all_processes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all processes of the suite share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def record_numbers() -> ModuleType:
    """tests/record_numbers.py itself."""
    return _maker("record_numbers")


@pytest.fixture
def value_run_dir(write_run: Callable[..., Path], tmp_path: Path) -> Path:
    """A made-up finished run of a regression."""
    return write_run(tmp_path / "values", task="regression", name="values")


@pytest.fixture
def run_dir(write_run: Callable[..., Path], tmp_path: Path) -> Path:
    """A made-up finished run."""
    return write_run(tmp_path / "demo")
