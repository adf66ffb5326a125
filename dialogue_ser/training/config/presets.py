"""Read presets: the YAML files in ``dialogue_ser/presets``, which are a part of the package."""

from importlib import resources
from pathlib import Path

from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.training.config.files import load_config
from dialogue_ser.training.config.run_config import RunConfig


def preset_names() -> tuple[str, ...]:
    """Return the names of all presets, sorted."""
    return tuple(sorted(_preset_files()))


def load_preset(name: str) -> RunConfig:
    """Return the configuration of a preset.

    Raises:
        ConfigError: there is no such preset (the error names the nearest one), or its file has wrong settings.
    """
    files = _preset_files()
    if name not in files:
        raise ConfigError(unknown_name("preset", name, files))
    return load_config(files[name], trust_code=True)  # a part of the package


def _preset_files() -> dict[str, Path]:
    """Return the name of each preset and its file."""
    with resources.as_file(resources.files("dialogue_ser.presets")) as folder:
        return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
