"""Checks before a run is started or resumed in a run directory; see also test_run.py."""

from pathlib import Path

import pytest

from dialogue_ser.errors import ConfigError, DialogueSerError
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.record.manifest import RunIdentity
from dialogue_ser.training.record.run_directory import RunDirectory


def test_a_config_file_of_the_user_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 3  # mine\n")
    with pytest.raises(ConfigError, match=r"holds a config\.yaml that no run wrote"):
        RunDirectory(tmp_path).check(RunConfig(), resume=False, allow_mismatch=False)


def test_a_run_that_was_killed_before_its_first_checkpoint_may_begin_again(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.write_config(RunConfig())
    directory.write_environment({}, RunIdentity(run_id="a", settings="b"))
    directory.check(RunConfig(), resume=False, allow_mismatch=False)


@pytest.mark.parametrize("content", ["{", "[]", "\x00\x00"])
def test_a_damaged_environment_names_the_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "environment.json").write_text(content)
    with pytest.raises(DialogueSerError, match=r"environment\.json: (is not a JSON object|found list)"):
        RunDirectory(tmp_path).check_environment({}, allow_mismatch=False)
