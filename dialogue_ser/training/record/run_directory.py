"""The run directory: its files, and checks before a run is started or resumed in it."""

import json
import logging
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import CheckpointError, ConfigError
from dialogue_ser.runs.checksums import is_unchanged, with_checksum, with_checksum_line
from dialogue_ser.runs.intact import has_whole_model, has_whole_predictions
from dialogue_ser.runs.run_files import read_json, to_json
from dialogue_ser.training.config.files import dump_config, load_record
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.record.checkpoint import CheckpointFolder
from dialogue_ser.training.record.environment import config_differences, environment_differences, settings_checksum
from dialogue_ser.training.record.manifest import RunIdentity

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunDirectory:
    """The directory of one run and the files that training writes there.

    Args:
        folder: path of the run directory.
    """

    folder: Path

    @property
    def metrics(self) -> Path:
        """Path of metrics.jsonl."""
        return self.folder / "metrics.jsonl"

    @property
    def checkpoints(self) -> CheckpointFolder:
        """The folder of the checkpoints, whatever run they belong to."""
        return CheckpointFolder(self.folder / "checkpoints")

    def checkpoints_of(self, identity: RunIdentity) -> CheckpointFolder:
        """Return the checkpoints of a run; those of other runs are refused."""
        return CheckpointFolder(self.folder / "checkpoints", identity)

    @property
    def members(self) -> Path:
        """Folder with the run directories of an ensemble's members."""
        return self.folder / "members"

    @property
    def has_results(self) -> bool:
        """Whether it holds checkpoints, members or a summary, which a new run would destroy."""
        return self.folder.is_dir() and (bool(self.checkpoints.names()) or self.members.is_dir() or self.is_finished)

    @property
    def is_finished(self) -> bool:
        """Whether the run is finished: its summary, which is written last, exists. Damaged lines do not matter here."""
        lines = self.metrics.read_bytes().splitlines() if self.metrics.is_file() else []
        return any(_is_summary(line) for line in lines)

    @property
    def has_outputs(self) -> bool:
        """Whether the predictions and the model are there and whole; somebody may have deleted or damaged them."""
        return has_whole_predictions(self.folder) and has_whole_model(self.folder)

    def check(self, config: RunConfig, *, resume: bool, allow_mismatch: bool) -> None:
        """Check that a run may start or resume here: it must not destroy a run or continue it with other settings.

        Raises:
            ConfigError: ``resume`` is not set and the folder holds a run, or a config.yaml that no run wrote; or
                ``resume`` is set and settings are different. The error names every difference.
            CheckpointError: ``resume`` is set and there is no run.
        """
        if not resume:
            if self.has_results:
                state = "a finished" if self.is_finished else "an unfinished"
                raise ConfigError(
                    f"{self.folder}: holds {state} run; continue it with --resume, or choose another --out or --name"
                )
            if (self.folder / "config.yaml").is_file() and not (self.folder / "environment.json").is_file():
                # A run writes both files, so this is a file of the user, perhaps the one that was given as --config.
                raise ConfigError(
                    f"{self.folder}: holds a config.yaml that no run wrote; the run would replace this file; "
                    "choose another --out"
                )
            return
        if not (self.folder / "config.yaml").is_file():
            raise CheckpointError(
                f"{self.folder}: there is no run to resume (no config.yaml); start it without --resume"
            )
        differences = config_differences(load_record(self.folder / "config.yaml"), config)
        self._refuse(differences, allow_mismatch)

    def check_environment(self, now: dict[str, Any], *, allow_mismatch: bool) -> None:
        """Check that a resumed run has the same data, versions and machine as before.

        Raises:
            ConfigError: something is different. The error names every difference.
            DialogueSerError: environment.json is damaged.
        """
        if not (self.folder / "environment.json").is_file():
            logger.warning(
                "%s: environment.json is missing, so data and versions cannot be compared with those of its "
                "start; it is written again",
                self.folder,
            )
            return
        before = read_json(self.folder / "environment.json")
        differences = environment_differences(before, now)
        if not is_unchanged(before):
            differences.append("environment.json was changed or damaged after the run wrote it (its checksum differs)")
        if before.get("settings_sha256", now.get("settings_sha256")) != now.get("settings_sha256"):
            differences.append("config.yaml was changed: its settings are not those that the run started with")
        self._refuse(differences, allow_mismatch)

    def identity(self, config: RunConfig, *, resume: bool, allow_mismatch: bool) -> RunIdentity:
        """Return what ties the checkpoints here to their run.

        environment.json has the name of the run. If it has none, because an older version wrote it or somebody deleted
        it, the checkpoints must agree on one run with these settings.

        Raises:
            CheckpointError: the checkpoints are of several runs or of a run with other settings.
        """
        settings = settings_checksum(config)
        environment = read_json(self.folder / "environment.json") if resume else {}
        if "run_id" in environment:
            return RunIdentity(
                run_id=str(environment["run_id"]),
                settings=settings,
                accepts_unmarked=bool(environment.get("accepts_unmarked_checkpoints", False)),
            )
        marks = self.checkpoints.marks() if resume else []
        run_ids = {mark.run_id for mark in marks}
        is_known = not marks or allow_mismatch or settings in {mark.settings for mark in marks}
        if len(run_ids) > 1 or not is_known:
            found = "several runs" if len(run_ids) > 1 else "a run with other settings"
            raise CheckpointError(
                f"{self.folder}: environment.json does not name the run, and the checkpoints are of {found}; move "
                "those of other runs away" + (", or add --allow-mismatch" if len(run_ids) == 1 else "")
            )
        run_id = run_ids.pop() if run_ids else secrets.token_hex(8)
        return RunIdentity(run_id=run_id, settings=settings, accepts_unmarked=resume)

    def write_config(self, config: RunConfig) -> None:
        """Write config.yaml with all settings, also those that have their defaults."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / "config.yaml", with_checksum_line(dump_config(config)))

    def write_environment(self, environment: dict[str, Any], identity: RunIdentity) -> None:
        """Write environment.json, with the name of the run and a checksum."""
        environment = environment | {"run_id": identity.run_id}
        if identity.accepts_unmarked:
            environment["accepts_unmarked_checkpoints"] = True
        write_atomically(self.folder / "environment.json", to_json(with_checksum(environment)))

    def _refuse(self, differences: list[str], allow_mismatch: bool) -> None:
        """Raise ConfigError if there are differences, unless they are allowed."""
        if differences and not allow_mismatch:
            advice = "resume with the old settings and data, choose another --out, or add --allow-mismatch"
            problems = [*differences, advice]
            raise ConfigError(*(f"{self.folder}: {problem}" for problem in problems))


def _is_summary(line: bytes) -> bool:
    """Return whether a line of metrics.jsonl is a whole summary."""
    if b'"summary"' not in line:
        return False
    try:
        row = json.loads(line)
    except ValueError:
        return False
    return isinstance(row, dict) and row.get("kind") == "summary"
