"""Read presets: the YAML files in ``dialogue_ser/presets``, and those in ``presets`` of the working folder."""

from importlib import resources
from pathlib import Path

from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.training.config.files import load_config
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.trust import Trust

#: Folder of the user's own presets, inside the working folder.
OWN_FOLDER = Path("presets")


def preset_names() -> tuple[str, ...]:
    """Return the names of all presets, sorted: those of the package, and the user's own."""
    return tuple(sorted({*_packaged(), *own_presets()}))


def own_presets() -> dict[str, Path]:
    """Return the name of each preset in the folder ``presets`` of the working folder, and its file."""
    return {path.stem: path for path in sorted(OWN_FOLDER.glob("*.yaml"))} if OWN_FOLDER.is_dir() else {}


def preset_file(name: str) -> Path:
    """Return the file of a preset.

    Raises:
        ConfigError: there is no such preset (the error names the nearest one), or the package and the user both have
            one of this name.
    """
    packaged, own = _packaged(), own_presets()
    if name in packaged and name in own:
        raise ConfigError(f"{own[name]}: the package has a preset {name!r} too; give the file another name")
    found = {**packaged, **own}
    if name not in found:
        raise ConfigError(unknown_name("preset", name, found))
    return found[name]


def load_preset(name: str, *, trust_code: Trust = False) -> RunConfig:
    """Return the configuration of a preset.

    Args:
        name: its name.
        trust_code: code that a preset in the working folder may name, see
            :func:`~dialogue_ser.training.config.files.load_config`. The presets of the package name none.

    Raises:
        ConfigError: see :func:`preset_file`; or the file has wrong settings, or names code that is not trusted.
    """
    return load_config(preset_file(name), trust_code=trust_code or name in _packaged())


def check_new_name(name: str) -> None:
    """Refuse a name that a new preset of the user cannot have.

    Raises:
        ConfigError: it cannot be the name of a file, or the package has a preset of this name.
    """
    if not name or name.startswith(".") or any(not (letter.isalnum() or letter in "._-") for letter in name):
        raise ConfigError(f"preset {name!r}: expected a name of letters, digits and . _ -, e.g. meld-best")
    if name in _packaged():
        raise ConfigError(f"preset {name!r}: the package has a preset of this name; choose another one")


def _packaged() -> dict[str, Path]:
    """Return the name of each preset of the package and its file."""
    with resources.as_file(resources.files("dialogue_ser.presets")) as folder:
        return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
