"""Starting, continuing and refusing a run directory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialogue_ser.durable import write_atomically
from dialogue_ser.errors import CheckpointError, ConfigError
from dialogue_ser.runs.run_files import RunFiles, to_json
from dialogue_ser.training.config.files import dump_config, load_config
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.record.checkpoint import CheckpointFolder
from dialogue_ser.training.record.environment import config_differences, environment_differences


@dataclass(frozen=True)
class RunDirectory:
    """The files of a run that training writes.

    Args:
        folder: the run directory.
    """

    folder: Path

    @property
    def metrics(self) -> Path:
        """metrics.jsonl."""
        return self.folder / "metrics.jsonl"

    @property
    def checkpoints(self) -> CheckpointFolder:
        """checkpoints/."""
        return CheckpointFolder(self.folder / "checkpoints")

    @property
    def members(self) -> Path:
        """members/, of an ensemble: a run directory each."""
        return self.folder / "members"

    @property
    def is_begun(self) -> bool:
        """Whether there is anything in it that starting anew would lose."""
        return self.folder.is_dir() and (bool(self.checkpoints.names()) or self.members.is_dir() or self.is_finished)

    @property
    def is_finished(self) -> bool:
        """Whether its summary was written, which comes last."""
        return self.folder.is_dir() and bool(RunFiles(self.folder).summary)

    @property
    def has_outputs(self) -> bool:
        """Whether predictions and model, which a finished run leaves, are still there."""
        return (self.folder / "predictions.parquet").is_file() and (self.folder / "model" / "config.json").is_file()

    def check(self, config: RunConfig, *, resume: bool, allow_mismatch: bool) -> None:
        """Refuses what would overwrite a run, or continue one under other settings.

        Raises:
            ConfigError: the folder holds a run, or somebody's config.yaml, and ``resume`` is not set; or settings
                differ, each one listed.
            CheckpointError: nothing to resume.
        """
        if not resume:
            if self.is_begun:
                state = "a finished" if self.is_finished else "an unfinished"
                raise ConfigError(
                    f"{self.folder}: holds {state} run; continue it with --resume, or choose another --out or --name"
                )
            if (self.folder / "config.yaml").is_file() and not (self.folder / "environment.json").is_file():
                raise ConfigError(  # a run writes both; perhaps it is the very file given as --config
                    f"{self.folder}: holds a config.yaml that no run wrote; choose another --out, it would be replaced"
                )
            return
        if not (self.folder / "config.yaml").is_file():
            raise CheckpointError(f"{self.folder}: no run to resume (no config.yaml); train it without --resume first")
        differences = config_differences(load_config(self.folder / "config.yaml"), config)
        self._refuse(differences, allow_mismatch)

    def check_environment(self, now: dict[str, Any], *, allow_mismatch: bool) -> None:
        """Refuses to continue a run with other data or versions.

        Raises:
            ConfigError: every difference.
            DialogueSerError: an environment.json that is damaged.
        """
        path = self.folder / "environment.json"
        if path.is_file():
            self._refuse(environment_differences(RunFiles(self.folder).environment, now), allow_mismatch)

    def write_config(self, config: RunConfig) -> None:
        """config.yaml, fully resolved."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / "config.yaml", dump_config(config))

    def write_environment(self, environment: dict[str, Any]) -> None:
        """environment.json."""
        write_atomically(self.folder / "environment.json", to_json(environment))

    def _refuse(self, differences: list[str], allow_mismatch: bool) -> None:
        if differences and not allow_mismatch:
            mend = "resume it as it was, choose another --out, or add --allow-mismatch"
            raise ConfigError(*(f"{self.folder}: {difference}" for difference in differences), f"{self.folder}: {mend}")
