"""Rules of the whole tree that no single module's tests can hold."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dialogue_ser"
SOURCES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MAX_LINES = 300
LONG_BECAUSE = "Long because"

# Modules without a test file of their own: the file that holds their claims, and why there.
TESTED_IN = {
    "cli/commands/sweeps/trial_checks.py": ("cli/commands/sweeps/test_check.py", "what the command checks"),
    "search_space/key_reader.py": ("search_space/test_sweep_file.py", "checks of the keys that are read there"),
    "search_space/laws.py": ("search_space/test_shapes.py", "the shapes without rounding"),
    "search_space/numbers.py": ("search_space/test_parameters.py", "what is wrong with a number"),
    "search_space/sweep.py": ("search_space/test_sweep_file.py", "records that are read there"),
    "search_space/sweep_reader.py": ("search_space/test_sweep_file.py", "the keys of the file that is read there"),
    "cli/commands/sweeps/best.py": ("cli/commands/sweeps/test_run.py", "a preset of the sweep that is run there"),
    "cli/commands/sweeps/show.py": ("cli/commands/sweeps/test_run.py", "the sweep that is run there"),
    "report/figures/sweep_figures.py": ("report/test_sweep_page.py", "the figures of the page"),
    "report/sections/sweep_tables.py": ("report/test_sweep_page.py", "the tables of the page"),
    "cli/smoke.py": ("cli/commands/test_smoke.py", "an option of two commands"),
    "versions.py": ("training/record/test_environment.py", "the versions that a run records"),
    "many/ray_cluster.py": ("many/test_ray_engine.py", "the connection of the engine that is tested there"),
    "training/loop/gradient/not_finite.py": ("training/loop/test_learner.py", "the message of a step that fails there"),
    "training/loop/gradient/shares.py": ("training/loop/test_ranks.py", "it needs several processes"),
    "training/loop/gradient/whole_batch.py": ("training/loop/test_ranks.py", "it needs several processes"),
    "training/loop/gradient/step_gradient.py": (
        "training/loop/gradient/test_terms.py",
        "the step that is tested there",
    ),
    "training/record/peek.py": ("training/test_peek.py", "what the runs of that test write"),
    "evaluation/suite/row_planner.py": ("evaluation/suite/test_plan.py", "the configurations of the plan's rows"),
    "evaluation/new_corpus.py": ("evaluation/test_new_data.py", "it reads what is scored there"),
    "cli/run_layers.py": ("cli/test_run_arguments.py", "a part of parsing the flags of train"),
    "models/published/parts/attention.py": (
        "models/published/test_cosmic.py",
        "a part of the weights that are tested there",
    ),
    "models/published/dialogue_rnn.py": ("models/recurrent/test_dialogue_rnn.py", "its weights are compared there"),
    "nn/recurrence/shown_attention.py": ("nn/recurrence/test_commonsense.py", "seen through both recurrences"),
    "nn/recurrence/parameters.py": (
        "nn/recurrence/test_dialogue_recurrence.py",
        "the parameters of what is tested there",
    ),
    "tensors.py": (
        "nn/recurrence/test_dialogue_recurrence.py",
        "aliases and constants only; the import hook checks them everywhere",
    ),
    "models/api.py": ("models/test_invariants.py", "a base class and a record; every subclass is held to them"),
    "models/recurrent/cmn.py": ("models/recurrent/test_memory_network.py", "CMN and ICON are compared alike"),
    "models/recurrent/icon.py": ("models/recurrent/test_memory_network.py", "CMN and ICON are compared alike"),
    "models/recurrent/history_plan.py": ("models/recurrent/test_memory_network.py", "index arrays of what runs there"),
    "corpus/parsing/rows.py": ("corpus/parsing/test_files.py", "records that every format fills"),
    "corpus/parsing/columns.py": ("corpus/parsing/test_turns.py", "roles are found in order to read turns"),
    "corpus/download/catalogue.py": ("corpus/download/test_fetch.py", "a table of addresses and checksums"),
    "models/graph/modality_nodes.py": ("models/graph/test_mmgcn.py", "the first part of MMGCN and MM-DFN"),
    "models/graph/similarity_system.py": ("models/graph/test_mmgcn.py", "what MMGCN and MM-DFN share"),
    "models/published/parts/modality_graph.py": ("models/published/test_mmgcn.py", "what both loaders share"),
    "encoders/base.py": ("encoders/test_init.py", "a base class; every trained encoder is held to it"),
    "encoders/turn.py": ("models/test_invariants.py", "the front of every system, seen through them"),
    "evaluation/crossval/folds.py": ("evaluation/crossval/test_cross_validate.py", "the folds of what is tested there"),
    "evaluation/suite/results.py": ("evaluation/suite/test_run_suite.py", "what a suite that was run gives"),
    "evaluation/suite/rows.py": ("evaluation/suite/test_plan.py", "the rows of a plan, and what is wrong with them"),
    "evaluation/suite/work.py": ("evaluation/suite/test_run_suite.py", "what the jobs of a suite do"),
    "many/child.py": ("many/test_run_many.py", "the process of a job, seen through many"),
    "many/engines.py": ("many/test_run_many.py", "where jobs are done, seen through many"),
    "many/jobs.py": ("many/test_run_many.py", "records of jobs, seen through many"),
    "many/work.py": ("many/test_run_many.py", "one job, seen through many"),
    "report/figures/suite_figures.py": ("report/test_suite_page.py", "pictures of the page"),
    "report/sections/suite_tables.py": ("report/test_suite_page.py", "tables of the page"),
    "evaluation/crossval/fold_run.py": (
        "evaluation/crossval/test_cross_validate.py",
        "one fold of what is tested there",
    ),
    "features/core/api.py": ("features/test_registry.py", "protocol and records; registered encoders are held to them"),
    "features/audio/decoding.py": ("features/audio/test_opensmile.py", "what audio encoders share, seen through one"),
    "features/transforms/base.py": (
        "features/transforms/test_rowwise.py",
        "a base class; every transform is held to it",
    ),
    "features/core/checked_encoder.py": ("features/test_registry.py", "wraps what the registry builds"),
    "features/store/content_keys.py": ("features/store/test_feature_store.py", "keys of the store"),
    "features/text/front_end.py": (
        "features/text/test_subword_tokenizer.py",
        "a base class; WordIds and SubwordIds are held to it",
    ),
    "features/function_encoder.py": ("features/test_registry.py", "functions become encoders by registration"),
    "features/store/locks.py": ("features/store/test_maintenance.py", "marks that keep prune away"),
    "features/store/progress.py": ("features/store/test_feature_store.py", "what the store reports"),
    "features/core/bad_clips.py": (
        "features/audio/test_opensmile.py",
        "seen through one encoder",
    ),
    "features/core/user_code.py": (
        "features/test_function_encoder.py",
        "what functions give, and where they fail",
    ),
    "features/pretrained/packaged.py": ("features/text/test_minilm.py", "where the encoder finds its weights"),
    "training/record/manifest.py": ("training/record/test_checkpoint.py", "a part of every checkpoint"),
    "training/loop/setup.py": ("training/test_run.py", "first half of a run"),
    "features/core/recipe.py": ("features/store/test_engines.py", "a record that is sent to workers"),
    "features/files/pickle_dialogues.py": (
        "features/files/test_pickle_places.py",
        "the dialogues that are placed there",
    ),
    "features/files/pickle_sandbox.py": (
        "features/files/test_pickle_reading.py",
        "a script that pickle_reading.py runs",
    ),
    "features/store/work_units.py": ("features/store/test_feature_store.py", "how the store cuts its work"),
    "features/core/fingerprints.py": ("inputs/test_pipeline.py", "compares encoders when a pipeline is loaded"),
    "features/files/table_cells.py": ("features/files/test_precomputed.py", "text and parquet files as cells"),
    "features/files/tables.py": ("features/files/test_precomputed.py", "reads its files"),
    "features/transforms/row_matrix.py": (
        "features/transforms/test_rowwise.py",
        "rows as the matrices that transforms work on",
    ),
    "features/text/text_model.py": (
        "features/text/test_minilm.py",
        "transformers' models beside the one that answers like them",
    ),
    "features/core/traits.py": ("features/store/test_feature_store.py", "a record that the store reads"),
    "inference/feature_tables.py": ("inference/test_classifier.py", "the first half of predict"),
    "media/containers.py": ("media/test_decode.py", "seen through decode"),
    "media/hashing.py": ("media/test_decode.py", "seen beside decode"),
    "media/damage.py": ("media/test_checks.py", "the error of the checks"),
    "media/sound_files.py": ("media/test_decode.py", "seen through decode"),
    "media/stated_sizes.py": ("media/test_checks.py", "some of the formats tested there"),
    "nn/recurrence/history.py": ("nn/recurrence/test_dialogue_recurrence.py", "one recurrence in several files"),
    "nn/graph/edge_parts.py": ("nn/graph/test_relational_conv.py", "how the layers there sum over many edges"),
    "nn/graph/dag_states.py": ("nn/graph/test_dag_layer.py", "the node for autograd of what is tested there"),
    "nn/lora.py": ("encoders/test_transformer.py", "seen through the encoder that offers it"),
    "nn/recurrence/turn.py": ("nn/recurrence/test_dialogue_recurrence.py", "one recurrence in several files"),
    "nn/recurrence/state_plan.py": ("nn/recurrence/test_layout.py", "the first half of a layout"),
    "report/sections/crossval_sections.py": ("report/test_crossval_page.py", "pieces of the page"),
    "report/figures/gallery.py": ("report/test_page.py", "pictures of the page"),
    "report/sections/run_sections.py": ("report/test_page.py", "pieces of the page"),
    "report/sections/settings.py": ("report/test_page.py", "pieces of the page"),
    "training/loop/callbacks.py": ("training/loop/test_epochs.py", "a protocol that the loop calls"),
    "training/config/run_config.py": ("training/config/test_files.py", "records, read and written there"),
    "training/data/prepare.py": ("training/test_run.py", "first half of a run"),
    "training/single.py": ("training/test_run.py", "a run of one model"),
    "training/record/run_directory.py": ("training/test_run.py", "files of a run"),
}
# The one file that reads pickles, in a process that can do nothing else; it may import pickle and nothing more.
READS_PICKLES = PACKAGE / "features" / "files" / "pickle_sandbox.py"
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}
FORBIDDEN_CALLS = {"eval", "exec", "torch.load", "torch.save", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}
# joblib may start processes; its files are pickles.
FORBIDDEN_NAMES = {"joblib.load", "joblib.dump", "yaml.load", "torch.load"}


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file. Several claims look at each of hundreds of files."""
    return ast.parse(path.read_text(encoding="utf-8"))


def test_every_module_has_a_mirrored_test():
    assert [problem for source in SOURCES if (problem := _lacks_test(source))] == []


def _lacks_test(source: Path) -> str:
    """What to do about a module without a test; "" if it has one."""
    name = source.relative_to(PACKAGE)
    if _only_docstring(source):
        return ""
    if str(name) in TESTED_IN:
        exists = (ROOT / "tests" / TESTED_IN[str(name)][0]).is_file()
        return "" if exists else f"TESTED_IN[{str(name)!r}] names a file that does not exist"
    if name.name == "__init__.py":
        stem = name.parent.name or "init"
        candidates = [name.parent / f"test_{stem}.py", name.parent / "test_init.py", name.parent / "test_registry.py"]
        candidates.append(name.parent.parent / f"test_{stem}.py")
    else:
        candidates = [name.with_name(f"test_{name.name}")]
    if any((ROOT / "tests" / candidate).is_file() for candidate in candidates):
        return ""
    return (
        f"dialogue_ser/{name} has no test; write tests/{candidates[0]}, or name the file that tests it, with the "
        "reason, in TESTED_IN of tests/test_architecture.py"
    )


def test_the_list_of_exceptions_names_only_modules_that_exist():
    assert [name for name in TESTED_IN if not (PACKAGE / name).is_file()] == []


def test_a_long_file_says_why():
    too_long = []
    for path in SOURCES + TESTS:
        n_lines = path.read_text(encoding="utf-8").count("\n")
        limit = MAX_LINES if PACKAGE in path.parents else 2 * MAX_LINES
        if n_lines > limit and LONG_BECAUSE not in (ast.get_docstring(tree_of(path)) or ""):
            too_long.append(f"{path.relative_to(ROOT)}: {n_lines} lines")
    assert too_long == [], f"split each, or explain in its docstring with '{LONG_BECAUSE}'"


def test_no_file_is_a_drawer_for_odds_and_ends():
    drawers = {"utils", "util", "helpers", "helper", "misc", "common"}
    assert [path for path in SOURCES if path.stem in drawers or path.parent.name in drawers] == []


def test_nothing_can_execute_what_it_loads():
    found = {source: [what for _, what in _dangers(tree_of(source))] for source in SOURCES}
    assert {source: dangers for source, dangers in found.items() if dangers} == {READS_PICKLES: ["imports pickle"]}


def test_the_file_that_reads_pickles_is_imported_by_nobody():
    name = _module(READS_PICKLES)
    assert READS_PICKLES in SOURCES
    importers = [path for path in SOURCES if name in set(_imported(tree_of(path)))]
    assert importers == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "eval('1')",
        "torch.load(path)",
        "yaml.load(text)",
        "np.load(path, allow_pickle=True)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
    ],
)
def test_the_search_for_dangers_finds_them(code):
    assert list(_dangers(ast.parse(code)))


def test_every_public_thing_has_a_docstring():
    kinds = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
    bare = []
    for source in SOURCES:
        tree, name = tree_of(source), source.relative_to(ROOT)
        if not ast.get_docstring(tree):
            bare.append(f"{name}: a module says what it is for")
        things = [node for node in tree.body if isinstance(node, kinds)]
        documented = {node.name for node in things if ast.get_docstring(node)}
        bare += [f"{name}: {node.name}" for node in things if node.name[0] != "_" and node.name not in documented]
    assert bare == []


def test_imports_go_downwards_only():
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


ROOMS_WITHOUT_TORCH = ("corpus", "media", "metrics", "report", "runs", "search_space", "tasks")


@pytest.mark.parametrize("room", ROOMS_WITHOUT_TORCH)
def test_a_room_that_needs_no_torch_never_imports_it(room):
    modules = [_module(path) for path in sorted((PACKAGE / room).rglob("*.py"))]
    code = (
        f"import importlib, sys\nfor name in {modules}: importlib.import_module(name)\nsys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_cheap_rooms_do_not_mention_torch_even_in_functions():
    imports = {
        str(path.relative_to(ROOT)): name
        for room in ROOMS_WITHOUT_TORCH
        if room != "tasks"  # it names torch.Tensor in annotations that only type checkers read
        for path in (PACKAGE / room).rglob("*.py")
        for name in _imported(tree_of(path))
        if name.split(".")[0] in ("torch", "transformers", "accelerate", "safetensors.torch")
    }
    assert imports == {}


def test_every_registered_model_has_its_file_and_a_word_in_the_docs():
    from dialogue_ser.models import MODELS

    docs = "\n".join(path.read_text(encoding="utf-8") for path in [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])
    for name, system in MODELS.items():
        file = f"{name.replace('-', '_')}.py"
        files = [f"dialogue_ser.models.{room}.{file.removesuffix('.py')}" for room in ("fusion", "graph", "recurrent")]
        assert system.name == name, f"{system.__name__}.name is {system.name!r}; MODELS calls it {name!r}"
        assert system.__module__ in files, f"model {name} must lie in a room of dialogue_ser/models, in {file}"
        assert f"`{name}`" in docs, f"no page names the model `{name}` (in backticks); describe it in docs/models.md"


def test_every_reader_encoder_loss_and_preset_is_in_the_docs():
    from dialogue_ser.corpus.readers import READERS
    from dialogue_ser.encoders import TRAINED_ENCODERS
    from dialogue_ser.features.registry import ENCODERS
    from dialogue_ser.training.config.presets import preset_names
    from dialogue_ser.training.loop.loss import LOSSES

    docs = "\n".join(path.read_text(encoding="utf-8") for path in [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])
    names = (*READERS, *ENCODERS, *TRAINED_ENCODERS, *LOSSES)
    missing = [name for name in names if f"`{name}`" not in docs]
    missing += [name for name in preset_names() if name not in docs and not name.startswith("source-emotion-rnn-")]
    assert missing == [], (
        f"no page names {', '.join(missing)} (in backticks); the table in docs/architecture.md says which page "
        "describes it"
    )


def test_constraints_pin_everything_the_project_names_to_one_version():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in pinned if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *(r for group in project["optional-dependencies"].values() for r in group)]
    names = {_normal(line.split("==")[0]) for line in pinned}
    assert [r for r in named if _normal(re.split(r"[\[<>=~! ]", r)[0]) not in names] == []
    assert "torch==2.13.0" in pinned


def test_hooks_of_pre_commit_are_local():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repository["repo"] for repository in hooks["repos"]] == ["local"]


def test_the_script_of_ci_runs_what_make_offers():
    script = (ROOT / ".ci" / "run").read_text()
    assert "set -euo pipefail" in script
    targets = re.findall(r"^make (\w+)$", script, re.MULTILINE)
    assert targets == ["check", "test"]
    assert "export DIALOGUE_SER_DATA=" in script
    done = subprocess.run(["make", "--dry-run", "check"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert all(tool in done.stdout for tool in ("ruff format --check", "ruff check", "mypy", "lint-imports"))


def _only_docstring(path: Path) -> bool:
    body = tree_of(path).body
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def _dangers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = list(_imported(node))
            if isinstance(node, ast.ImportFrom):
                names += [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                if name.split(".")[0] in FORBIDDEN_IMPORTS or name in FORBIDDEN_NAMES:
                    yield node.lineno, f"imports {name}"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in FORBIDDEN_CALLS | FORBIDDEN_NAMES:
                yield node.lineno, f"calls {called}"
            for keyword in node.keywords:
                is_false = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if keyword.arg in ("allow_pickle", "trust_remote_code") and not is_false:
                    yield node.lineno, f"{keyword.arg} is not False"
